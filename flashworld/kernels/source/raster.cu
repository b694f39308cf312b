// One block a tile, a warp each quarter of it, PIXELS pixels a thread (one below the other): blends a tile's list from near
// to far onto what nearer slabs have left. A warp passes over splats that do not reach its quarter.
//
// Between slabs rgb (and depth) hold sums, alpha what is let through; below 0 where a pixel takes nothing more.
constexpr int PIXELS = 2, RASTER_THREADS = TILE * TILE / PIXELS, QUARTER = TILE / 2;

template <bool DEPTH>
__global__ void __launch_bounds__(RASTER_THREADS) rasterize(
    int width, int height, int first_slab, const u32* __restrict__ begins, const u32* __restrict__ ends,
    const u32* __restrict__ list, const Splat* __restrict__ splats, const float* __restrict__ colors, float* __restrict__ rgb,
    float* __restrict__ alpha, float* __restrict__ depth, unsigned char* __restrict__ finished) {
    __shared__ float4 box[RASTER_THREADS], shape[RASTER_THREADS], paint[RASTER_THREADS];
    const u32 tile = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x, begin = begins[tile], end = ends[tile];
    if (!first_slab && begin == end) return;
    const int t = threadIdx.x, lane = t & 31, warp = t >> 5;
    const int corner_x = blockIdx.x * TILE + warp % 2 * QUARTER, corner_y = blockIdx.y * TILE + warp / 2 * QUARTER;
    const int x = corner_x + lane % QUARTER, y = corner_y + lane / QUARTER * PIXELS;
    const float middle_x = corner_x + 0.5f * QUARTER, middle_y = corner_y + 0.5f * QUARTER, half = 0.5f * (QUARTER - 1) + SLACK;
    float left[PIXELS], r[PIXELS], g[PIXELS], b[PIXELS], z[PIXELS];
    bool done[PIXELS], all_done = true;
    for (int p = 0; p < PIXELS; p++) {
        const u64 at = ((u64)blockIdx.z * height + y + p) * width + x;
        const bool inside = x < width && y + p < height, goes_on = inside && !first_slab;
        left[p] = goes_on ? alpha[at] : 1.0f;
        r[p] = goes_on ? rgb[3 * at] : 0.0f, g[p] = goes_on ? rgb[3 * at + 1] : 0.0f, b[p] = goes_on ? rgb[3 * at + 2] : 0.0f;
        z[p] = DEPTH && goes_on ? depth[at] : 0.0f;
        done[p] = !inside || left[p] < 0.0f;
        left[p] = fabsf(left[p]);
        all_done = all_done && done[p];
    }
    int closed = 0;
    for (u32 start = begin; start < end; start += RASTER_THREADS) {
        closed = __syncthreads_count(all_done);
        if (closed == RASTER_THREADS) break;
        if (start + t < end) {
            const u32 id = list[start + t];
            const float4 u = ((const float4*)splats)[2 * (u64)id], v = ((const float4*)splats)[2 * (u64)id + 1];
            const float* color = colors + 3 * (u64)id;
            const float spread = 2.0f * v.z / (u.z * v.x - u.w * u.w);  // u: x y a b, v: c opacity reach depth
            box[t] = make_float4(u.x, u.y, sqrtf(spread * v.x) + half, sqrtf(spread * u.z) + half);
            shape[t] = make_float4(u.z, u.w, v.x, v.y);
            paint[t] = make_float4(color[0], color[1], color[2], v.w);
        }
        __syncthreads();
        const int count = min(end - start, (u32)RASTER_THREADS);
        for (int i = 0; i < count; i++) {
            const float4 s = box[i];
            if (fabsf(s.x - middle_x) > s.z || fabsf(s.y - middle_y) > s.w) continue;  // the whole warp alike
            if (all_done) continue;
            const float4 f = shape[i], c = paint[i];
            const float dx = s.x - (x + 0.5f);
            all_done = true;
            for (int p = 0; p < PIXELS; p++) {
                const float dy = s.y - (y + p + 0.5f);
                const float exponent = 0.5f * (f.x * dx * dx + f.z * dy * dy) + f.y * dx * dy;
                const float opaque = fminf(MAX_ALPHA, f.w * __expf(-exponent));
                if (!done[p] && exponent >= 0.0f && opaque >= MIN_ALPHA) {
                    const float next = left[p] * (1.0f - opaque);
                    if (next <= MIN_TRANSMITTANCE) {
                        done[p] = true;  // without this one
                    } else {
                        const float weight = opaque * left[p];
                        r[p] += weight * c.x, g[p] += weight * c.y, b[p] += weight * c.z;
                        if (DEPTH) z[p] += weight * c.w;
                        left[p] = next;
                    }
                }
                all_done = all_done && done[p];
            }
        }
    }
    closed = __syncthreads_count(all_done);
    if (t == 0) finished[tile] = closed == RASTER_THREADS;
    for (int p = 0; p < PIXELS; p++) {
        if (x >= width || y + p >= height) continue;
        const u64 at = ((u64)blockIdx.z * height + y + p) * width + x;
        rgb[3 * at] = r[p], rgb[3 * at + 1] = g[p], rgb[3 * at + 2] = b[p];
        alpha[at] = done[p] ? -left[p] : left[p];
        if (DEPTH) depth[at] = z[p];
    }
}

// After the last slab: the background, and what is covered instead of what is let through.
__global__ void finish(u32 pixels, float red, float green, float blue, float* __restrict__ rgb, float* __restrict__ alpha) {
    const u32 at = blockIdx.x * blockDim.x + threadIdx.x;
    if (at >= pixels) return;
    const float left = fabsf(alpha[at]);
    rgb[3 * (u64)at] += left * red, rgb[3 * (u64)at + 1] += left * green, rgb[3 * (u64)at + 2] += left * blue;
    alpha[at] = 1.0f - left;
}
