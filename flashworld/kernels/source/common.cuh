// What all kernels share. Compiled by NVRTC, which has no standard headers.
//
// A "splat" is one Gaussian as one view sees it. Pixel centres are at +0.5; a tile is TILE x TILE pixels; views of one
// call have the same size. Arrays with a row a view have n entries a row, n being the number of Gaussians.
typedef unsigned short u16;
typedef unsigned int u32;
typedef unsigned long long u64;

constexpr int TILE = 16;
constexpr float MIN_ALPHA = 1.0f / 255.0f;
constexpr float MAX_ALPHA = 0.999f;
constexpr float MIN_TRANSMITTANCE = 1e-4f;
constexpr float LARGEST = 3.0e38f;
constexpr u32 HIDDEN = 0xFFFFFFFFu;  // depth key of what a view does not see

struct Camera {
    float rotation[9], translation[3];  // world to camera, OpenCV axes
    float centre[3];                    // in the world
    float fx, fy, cx, cy;               // pixels
};

struct Splat {
    float x, y;     // centre, pixels
    float a, b, c;  // inverse covariance: 0.5 (a dx dx + c dy dy) + b dx dy is the exponent
    float opacity;
    float reach;    // exponent at which alpha falls below MIN_ALPHA
    float depth;    // along the optical axis
};

// Sum of the values of the threads up to and with this one; total: of all. sums: one entry a warp and one more.
__device__ __forceinline__ u32 block_scan(u32 value, u32* sums, u32& total) {
    const int lane = threadIdx.x & 31, warp = threadIdx.x >> 5, warps = blockDim.x >> 5;
    for (int step = 1; step < 32; step <<= 1) {
        const u32 other = __shfl_up_sync(0xffffffffu, value, step);
        if (lane >= step) value += other;
    }
    if (lane == 31) sums[warp] = value;
    __syncthreads();
    u32 before = 0;
    total = 0;
    for (int w = 0; w < warps; w++) {
        if (w < warp) before += sums[w];
        total += sums[w];
    }
    __syncthreads();
    return value + before;
}
