// Every Gaussian in every view: one thread reads a Gaussian once and goes through the views.
//
// Arithmetic of gsplat's "classic" mode: covariance through the Jacobian of the projection, its x / z and y / z clamped
// a little outside the picture, blurred by 0.3 square pixels. Unlike there, a splat meets only those tiles that its
// ellipse of MIN_ALPHA touches, not its bounding box: no other pixel would take any of it.

constexpr float BLUR = 0.3f;
constexpr float MARGIN = 0.3f;     // of half the field of view
constexpr float MAX_SIGMAS = 3.33f;
constexpr float SLACK = 0.01f;     // pixels, against rounding

__device__ __forceinline__ void world_covariance(const float4 q, const float* s, float* cov) {
    const float n = rsqrtf(q.x * q.x + q.y * q.y + q.z * q.z + q.w * q.w);
    const float w = q.x * n, x = q.y * n, y = q.z * n, z = q.w * n;
    const float m[9] = {
        (1 - 2 * (y * y + z * z)) * s[0], 2 * (x * y - w * z) * s[1], 2 * (x * z + w * y) * s[2],
        2 * (x * y + w * z) * s[0], (1 - 2 * (x * x + z * z)) * s[1], 2 * (y * z - w * x) * s[2],
        2 * (x * z - w * y) * s[0], 2 * (y * z + w * x) * s[1], (1 - 2 * (x * x + y * y)) * s[2]};
    cov[0] = m[0] * m[0] + m[1] * m[1] + m[2] * m[2];
    cov[1] = m[0] * m[3] + m[1] * m[4] + m[2] * m[5];
    cov[2] = m[0] * m[6] + m[1] * m[7] + m[2] * m[8];
    cov[3] = m[3] * m[3] + m[4] * m[4] + m[5] * m[5];
    cov[4] = m[3] * m[6] + m[4] * m[7] + m[5] * m[8];
    cov[5] = m[6] * m[6] + m[7] * m[7] + m[8] * m[8];
}

__device__ __forceinline__ float clamped(float value, float low, float high) { return fminf(fmaxf(value, low), high); }

// False where the view does not see it, or where its numbers are not finite.
__device__ __forceinline__ bool project_one(const float* mean, const float* cov, float opacity, const Camera& view, int width,
                                            int height, float near, float far, Splat& splat) {
    const float* r = view.rotation;
    const float z = r[6] * mean[0] + r[7] * mean[1] + r[8] * mean[2] + view.translation[2];
    if (!(z >= near && z <= far)) return false;
    const float x = r[0] * mean[0] + r[1] * mean[1] + r[2] * mean[2] + view.translation[0];
    const float y = r[3] * mean[0] + r[4] * mean[1] + r[5] * mean[2] + view.translation[1];
    const float half_x = MARGIN * 0.5f * width / view.fx, half_y = MARGIN * 0.5f * height / view.fy, iz = 1.0f / z;
    const float tx = z * clamped(x * iz, -(view.cx / view.fx + half_x), (width - view.cx) / view.fx + half_x);
    const float ty = z * clamped(y * iz, -(view.cy / view.fy + half_y), (height - view.cy) / view.fy + half_y);
    float u[3], v[3];  // rows of Jacobian times rotation
    for (int i = 0; i < 3; i++) {
        u[i] = view.fx * iz * (r[i] - tx * iz * r[6 + i]);
        v[i] = view.fy * iz * (r[3 + i] - ty * iz * r[6 + i]);
    }
    const float cu[3] = {cov[0] * u[0] + cov[1] * u[1] + cov[2] * u[2], cov[1] * u[0] + cov[3] * u[1] + cov[4] * u[2],
                         cov[2] * u[0] + cov[4] * u[1] + cov[5] * u[2]};
    const float cv[3] = {cov[0] * v[0] + cov[1] * v[1] + cov[2] * v[2], cov[1] * v[0] + cov[3] * v[1] + cov[4] * v[2],
                         cov[2] * v[0] + cov[4] * v[1] + cov[5] * v[2]};
    const float xx = u[0] * cu[0] + u[1] * cu[1] + u[2] * cu[2] + BLUR, xy = v[0] * cu[0] + v[1] * cu[1] + v[2] * cu[2];
    const float yy = v[0] * cv[0] + v[1] * cv[1] + v[2] * cv[2] + BLUR;
    const float det = xx * yy - xy * xy;
    if (!(det > 0.0f && det < LARGEST)) return false;
    const float reach = logf(opacity / MIN_ALPHA);
    const float sigmas = fminf(MAX_SIGMAS, sqrtf(2.0f * reach));
    const float rx = ceilf(sigmas * sqrtf(xx)), ry = ceilf(sigmas * sqrtf(yy));
    const float px = view.fx * x * iz + view.cx, py = view.fy * y * iz + view.cy;
    if (!(px + rx > 0 && px - rx < width && py + ry > 0 && py - ry < height)) return false;
    splat = Splat{px, py, yy / det, -xy / det, xx / det, opacity, reach, z};
    return true;
}

// First and last + 1 of the tiles between two pixel coordinates whose pixel centres they may hold.
__device__ __forceinline__ void tiles_between(float low, float high, int tiles, int& first, int& last) {
    first = (int)fmaxf(ceilf((low - SLACK - TILE + 0.5f) / TILE), 0.0f);
    last = (int)fminf(floorf((high + SLACK - 0.5f) / TILE) + 1.0f, (float)tiles);
}

__device__ __forceinline__ void tile_rows(const Splat& s, int tiles_y, int& first, int& last) {
    const float half = sqrtf(2.0f * s.reach * s.a / (s.a * s.c - s.b * s.b));
    tiles_between(s.y - half, s.y + half, tiles_y, first, last);
}

// The tiles of one row that the ellipse meets: [first, last), empty where it does not reach the row's pixel centres.
__device__ __forceinline__ void tile_columns(const Splat& s, int row, int tiles_x, int& first, int& last) {
    const float det = s.a * s.c - s.b * s.b, twice = 2.0f * s.reach;
    const float half_x = sqrtf(twice * s.c / det), half_y = sqrtf(twice * s.a / det);
    float low = row * TILE + 0.5f - s.y, high = row * TILE + TILE - 0.5f - s.y;
    first = last = 0;
    if (low > half_y || high < -half_y) return;
    low = fmaxf(low, -half_y);
    high = fminf(high, half_y);
    const float at = s.b / s.c * half_x;  // the ellipse is widest there, below on the one side and above on the other
    const float y_right = clamped(-at, low, high), y_left = clamped(at, low, high);
    const float right = (-s.b * y_right + sqrtf(fmaxf(0.0f, twice * s.a - det * y_right * y_right))) / s.a;
    const float left = (-s.b * y_left - sqrtf(fmaxf(0.0f, twice * s.a - det * y_left * y_left))) / s.a;
    tiles_between(s.x + left, s.x + right, tiles_x, first, last);
    if (last < first) last = first;
}

template <int DEGREE>
__device__ __forceinline__ void shade(const float* sh, const float* mean, const float* centre, float* rgb) {
    float x = mean[0] - centre[0], y = mean[1] - centre[1], z = mean[2] - centre[2];
    const float n = rsqrtf(x * x + y * y + z * z);
    x *= n, y *= n, z *= n;
    constexpr int K = (DEGREE + 1) * (DEGREE + 1);
    float basis[16];
    basis[0] = 0.2820947917738781f;
    if (DEGREE >= 1) {
        basis[1] = -0.48860251190292f * y;
        basis[2] = 0.48860251190292f * z;
        basis[3] = -0.48860251190292f * x;
    }
    const float xx = x * x, yy = y * y, zz = z * z;
    if (DEGREE >= 2) {
        basis[4] = 1.092548430592079f * x * y;
        basis[5] = -1.092548430592079f * y * z;
        basis[6] = 0.9461746957575601f * zz - 0.3153915652525201f;
        basis[7] = -1.092548430592079f * x * z;
        basis[8] = 0.5462742152960395f * (xx - yy);
    }
    if (DEGREE >= 3) {
        basis[9] = -0.5900435899266435f * y * (3.0f * xx - yy);
        basis[10] = 2.890611442640554f * x * y * z;
        basis[11] = y * (0.4570457994644658f - 2.285228997322329f * zz);
        basis[12] = z * (1.865881662950577f * zz - 1.119528997770346f);
        basis[13] = x * (0.4570457994644658f - 2.285228997322329f * zz);
        basis[14] = 1.445305721320277f * z * (xx - yy);
        basis[15] = -0.5900435899266435f * x * (xx - 3.0f * yy);
    }
    for (int channel = 0; channel < 3; channel++) {
        float value = 0.5f;
        for (int k = 0; k < K; k++) value += basis[k] * sh[3 * k + channel];
        rgb[channel] = value;
    }
}

// Writes a depth key and a number of tiles for every Gaussian and view, splats and colours only where there are tiles.
template <int DEGREE>
__global__ void __launch_bounds__(256) project(
    int n, int views, const float* __restrict__ means, const float* __restrict__ quats, const float* __restrict__ scales,
    const float* __restrict__ opacities, const float* __restrict__ sh, const Camera* __restrict__ cameras, int width, int height,
    float near, float far, Splat* __restrict__ splats, float* __restrict__ colors, u32* __restrict__ keys,
    u32* __restrict__ tiles) {
    constexpr int VALUES = 3 * (DEGREE + 1) * (DEGREE + 1);
    __shared__ Camera cached[32];
    for (int i = threadIdx.x; i < views * (int)(sizeof(Camera) / 4); i += blockDim.x)
        ((float*)cached)[i] = ((const float*)cameras)[i];
    __syncthreads();
    const int id = blockIdx.x * blockDim.x + threadIdx.x;
    if (id >= n) return;
    const float opacity = opacities[id];
    const bool solid = opacity >= MIN_ALPHA && opacity < LARGEST;
    const int tiles_x = (width + TILE - 1) / TILE, tiles_y = (height + TILE - 1) / TILE;
    float mean[3], cov[6], coefficients[VALUES];
    bool loaded = false;
    if (solid) {
        float s[3];
        for (int i = 0; i < 3; i++) mean[i] = means[3 * id + i], s[i] = scales[3 * id + i];
        world_covariance(((const float4*)quats)[id], s, cov);
    }
    for (int v = 0; v < views; v++) {
        const u64 at = (u64)v * n + id;
        Splat splat;
        u32 count = 0;
        if (solid && project_one(mean, cov, opacity, cached[v], width, height, near, far, splat)) {
            int top, bottom, left, right;
            tile_rows(splat, tiles_y, top, bottom);
            for (int row = top; row < bottom; row++) {
                tile_columns(splat, row, tiles_x, left, right);
                count += right - left;
            }
        }
        if (count) {
            if (!loaded)
                for (int i = 0; i < VALUES; i++) coefficients[i] = sh[(u64)VALUES * id + i];
            loaded = true;
            float rgb[3];
            shade<DEGREE>(coefficients, mean, cached[v].centre, rgb);
            if (fabsf(rgb[0]) + fabsf(rgb[1]) + fabsf(rgb[2]) < LARGEST) {
                splats[at] = splat;
                for (int i = 0; i < 3; i++) colors[3 * at + i] = fmaxf(rgb[i], 0.0f);
            } else {
                count = 0;  // broken coefficients
            }
        }
        tiles[at] = count;
        keys[at] = count ? __float_as_uint(splat.depth) : HIDDEN;
    }
}
