// One block a tile, PIXELS pixels a thread (one below the other): blends a tile's list from near to far.
constexpr int PIXELS = 2, RASTER_THREADS = TILE * TILE / PIXELS;

template <bool DEPTH>
__global__ void __launch_bounds__(RASTER_THREADS) rasterize(
    int width, int height, const u32* __restrict__ begins, const u32* __restrict__ ends, const u32* __restrict__ list,
    const Splat* __restrict__ splats, const float* __restrict__ colors, float red, float green, float blue, float* __restrict__ rgb,
    float* __restrict__ alpha, float* __restrict__ depth) {
    __shared__ float4 shape[RASTER_THREADS], paint[RASTER_THREADS];
    __shared__ float2 rest[RASTER_THREADS];
    const int t = threadIdx.x, x = blockIdx.x * TILE + t % TILE, y = blockIdx.y * TILE + t / TILE * PIXELS;
    const u32 tile = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x, begin = begins[tile], end = ends[tile];
    float left[PIXELS], r[PIXELS], g[PIXELS], b[PIXELS], z[PIXELS];
    bool done[PIXELS], all_done = true;
    for (int p = 0; p < PIXELS; p++) {
        left[p] = 1.0f, r[p] = g[p] = b[p] = z[p] = 0.0f;
        done[p] = x >= width || y + p >= height;
        all_done = all_done && done[p];
    }
    for (u32 start = begin; start < end; start += RASTER_THREADS) {
        if (__syncthreads_count(all_done) == RASTER_THREADS) break;
        if (start + t < end) {
            const u32 id = list[start + t];
            const float4 first = ((const float4*)splats)[2 * (u64)id], second = ((const float4*)splats)[2 * (u64)id + 1];
            const float* color = colors + 3 * (u64)id;
            shape[t] = first;                                                    // x y a b
            paint[t] = make_float4(second.x, second.y, color[0], color[1]);      // c opacity red green
            rest[t] = make_float2(color[2], second.w);                           // blue depth
        }
        __syncthreads();
        const int count = min(end - start, (u32)RASTER_THREADS);
        for (int i = 0; i < count && !all_done; i++) {
            const float4 s = shape[i], c = paint[i];
            const float dx = s.x - (x + 0.5f);
            all_done = true;
            for (int p = 0; p < PIXELS; p++) {
                const float dy = s.y - (y + p + 0.5f);
                const float exponent = 0.5f * (s.z * dx * dx + c.x * dy * dy) + s.w * dx * dy;
                const float opaque = fminf(MAX_ALPHA, c.y * __expf(-exponent));
                if (!done[p] && exponent >= 0.0f && opaque >= MIN_ALPHA) {
                    const float next = left[p] * (1.0f - opaque);
                    if (next <= MIN_TRANSMITTANCE) {
                        done[p] = true;  // without this one
                    } else {
                        const float weight = opaque * left[p];
                        r[p] += weight * c.z, g[p] += weight * c.w, b[p] += weight * rest[i].x;
                        if (DEPTH) z[p] += weight * rest[i].y;
                        left[p] = next;
                    }
                }
                all_done = all_done && done[p];
            }
        }
    }
    for (int p = 0; p < PIXELS; p++) {
        if (x >= width || y + p >= height) continue;
        const u64 at = ((u64)blockIdx.z * height + y + p) * width + x;
        rgb[3 * at] = r[p] + left[p] * red, rgb[3 * at + 1] = g[p] + left[p] * green, rgb[3 * at + 2] = b[p] + left[p] * blue;
        alpha[at] = 1.0f - left[p];
        if (DEPTH) depth[at] = z[p];
    }
}
