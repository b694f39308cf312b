// Head maps to Gaussians: one block takes PLACED neighbouring pixels of a frame, so that maps and SH move in whole lines.
constexpr int PLACED = 128, POINTS = 2, WIDTH = 38, SH_VALUES = 27, MAP_CHANNELS = POINTS * WIDTH;

__device__ __forceinline__ float sigmoid(float v) { return 1.0f / (1.0f + __expf(-v)); }

// Strides of maps in floats; a row of pixels follows the one before. Order of the result: frame, point, row, column.
__global__ void __launch_bounds__(PLACED) place(
    int rows, int columns, const float* __restrict__ maps, u32 frame_stride, u32 channel_stride, u32 pixel_stride,
    const float* __restrict__ camera_quats, const float* __restrict__ positions, const float* __restrict__ intrinsics,
    float max_scale, float* __restrict__ means, float* __restrict__ quats, float* __restrict__ scales,
    float* __restrict__ opacities, float* __restrict__ sh) {
    __shared__ float staged[PLACED * MAP_CHANNELS];
    const int pixels = rows * columns, first = blockIdx.x * PLACED, count = min(PLACED, pixels - first), frame = blockIdx.y;
    maps += (u64)frame * frame_stride + (u64)first * pixel_stride;
    for (int i = threadIdx.x; i < count * MAP_CHANNELS; i += PLACED) {
        const int pixel = channel_stride == 1 ? i / MAP_CHANNELS : i % count;
        const int channel = channel_stride == 1 ? i % MAP_CHANNELS : i / count;
        staged[pixel * MAP_CHANNELS + channel] = maps[(u64)pixel * pixel_stride + (u64)channel * channel_stride];
    }
    __syncthreads();

    const int pixel = first + threadIdx.x;
    if (pixel < pixels) {
        const float* q = camera_quats + 4 * frame;
        const float s = 2.0f / (q[0] * q[0] + q[1] * q[1] + q[2] * q[2] + q[3] * q[3]);
        const float w = q[0], x = q[1], y = q[2], z = q[3];
        const float r[9] = {1 - s * (y * y + z * z), s * (x * y - w * z), s * (x * z + w * y),
                            s * (x * y + w * z), 1 - s * (x * x + z * z), s * (y * z - w * x),
                            s * (x * z - w * y), s * (y * z + w * x), 1 - s * (x * x + y * y)};
        const float* k = intrinsics + 4 * frame;  // divided by width or height
        const float fx = k[0] * columns, fy = k[1] * rows, cx = k[2] * columns, cy = k[3] * rows;
        const float focal = sqrtf(k[0] / columns * (k[0] / columns) + k[1] / rows * (k[1] / rows));
        for (int point = 0; point < POINTS; point++) {
            const float* v = staged + threadIdx.x * MAP_CHANNELS + point * WIDTH + SH_VALUES;
            const u64 at = ((u64)frame * POINTS + point) * pixels + pixel;
            const float lx = (pixel % columns + 0.5f + v[0] * cx - cx) / fx;  // offsets in units of the principal point
            const float ly = -(pixel / columns + 0.5f + v[1] * cy - cy) / fy;
            const float distance = expf(v[2]);
            float d[3], length = 0;
            for (int i = 0; i < 3; i++) {
                d[i] = r[3 * i] * lx + r[3 * i + 1] * ly - r[3 * i + 2];
                length += d[i] * d[i];
            }
            length = sqrtf(length);
            for (int i = 0; i < 3; i++) means[3 * at + i] = positions[3 * frame + i] + distance * (d[i] / length);
            opacities[at] = sigmoid(v[3]);
            const float size = max_scale * focal * distance;
            for (int i = 0; i < 3; i++) scales[3 * at + i] = sigmoid(v[4 + i]) * size;
            const float norm = fmaxf(sqrtf(v[7] * v[7] + v[8] * v[8] + v[9] * v[9] + v[10] * v[10]), 1e-12f);
            for (int i = 0; i < 4; i++) quats[4 * at + i] = v[7 + i] / norm;
        }
    }
    for (int point = 0; point < POINTS; point++) {
        float* out = sh + (((u64)frame * POINTS + point) * pixels + first) * SH_VALUES;
        for (int i = threadIdx.x; i < count * SH_VALUES; i += PLACED)
            out[i] = staged[i / SH_VALUES * MAP_CHANNELS + point * WIDTH + i % SH_VALUES];
    }
}
