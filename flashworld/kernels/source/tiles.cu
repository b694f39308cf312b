// Lists of splats by tile, nearest first: written in order of depth, then sorted by tile, stably.

constexpr u32 PARTS = 256;  // a view's order is drawn in slabs, given in parts of PARTS

__device__ __forceinline__ u32 slab_bound(u32 length, u32 part) { return (u32)((u64)length * part / PARTS); }

// How many tiles that are not finished a splat meets; finished: a byte a tile of this view, null before the first slab.
__device__ __forceinline__ u32 open_tiles(const Splat& splat, const unsigned char* finished, int tiles_x, int tiles_y) {
    int top, bottom, left, right;
    u32 count = 0;
    tile_rows(splat, tiles_y, top, bottom);
    for (int y = top; y < bottom; y++) {
        tile_columns(splat, y, tiles_x, left, right);
        for (int x = left; x < right; x++) count += !finished[y * tiles_x + x];
    }
    return count;
}

// hits: tiles met by the splats of each chunk of a slab. [row][chunk] With finished tiles `tiles` is counted anew.
__global__ void __launch_bounds__(SORT_THREADS) count_hits(
    u32 n, const u32* __restrict__ lengths, u32 from, u32 to, const u32* __restrict__ order, const Splat* __restrict__ splats,
    const unsigned char* __restrict__ finished, int tiles_x, int tiles_y, u32* __restrict__ tiles, u32* __restrict__ hits,
    u32 chunks) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = blockIdx.y, start = slab_bound(lengths[row], from), length = slab_bound(lengths[row], to);
    u32 mine = 0, total;
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = start + blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        if (at >= length) continue;
        const u32 id = order[(u64)row * n + at];
        if (finished) tiles[id] = open_tiles(splats[id], finished + (u64)row * tiles_x * tiles_y, tiles_x, tiles_y);
        mine += tiles[id];
    }
    block_scan(mine, sums, total);
    if (threadIdx.x == 0) hits[row * chunks + blockIdx.x] = total;
}

// One block a row: hits become what chunks before hold.
__global__ void __launch_bounds__(SORT_THREADS) sum_hits(u32* __restrict__ hits, u32 chunks, u64* __restrict__ totals) {
    __shared__ u32 sums[SORT_WARPS];
    u32* line = hits + blockIdx.x * chunks;
    u64 carry = 0;
    for (u32 start = 0; start < chunks; start += SORT_THREADS) {
        const u32 at = start + threadIdx.x, value = at < chunks ? line[at] : 0;
        u32 total;
        const u32 upto = block_scan(value, sums, total);
        if (at < chunks) line[at] = (u32)(carry + upto - value);
        carry += total;
    }
    if (threadIdx.x == 0) totals[blockIdx.x] = carry;
}

// Rows first, first + 1, ... of the views; their hits one view after the other.
template <class Key>
__global__ void __launch_bounds__(SORT_THREADS) list_hits(
    u32 n, u32 first, const u32* __restrict__ lengths, u32 from, u32 to, const u32* __restrict__ order,
    const Splat* __restrict__ splats, const unsigned char* __restrict__ finished, const u32* __restrict__ tiles, const u32* __restrict__ hits, u32 chunks, const u64* __restrict__ totals, int tiles_x,
    int tiles_y, Key* __restrict__ keys, u32* __restrict__ values) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = first + blockIdx.y, start = slab_bound(lengths[row], from), length = slab_bound(lengths[row], to);
    if (start + blockIdx.x * CHUNK >= length) return;
    if (finished) finished += (u64)row * tiles_x * tiles_y;
    u64 base = hits[row * chunks + blockIdx.x];
    for (u32 r = first; r < row; r++) base += totals[r];
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = start + blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        const u32 id = at < length ? order[(u64)row * n + at] : 0, count = at < length ? tiles[id] : 0;
        u32 total;
        u64 place = base + block_scan(count, sums, total) - count;
        if (count) {
            const Splat splat = splats[id];
            int top, bottom, left, right;
            tile_rows(splat, tiles_y, top, bottom);
            for (int y = top; y < bottom; y++) {
                tile_columns(splat, y, tiles_x, left, right);
                for (int x = left; x < right; x++) {
                    if (finished && finished[y * tiles_x + x]) continue;
                    keys[place] = (Key)((blockIdx.y * tiles_y + y) * tiles_x + x);
                    values[place++] = id;
                }
            }
        }
        base += total;
    }
}

// Where each tile's list begins and ends; both start as zeros.
template <class Key>
__global__ void find_lists(u32 n, const Key* __restrict__ keys, u32* __restrict__ begins, u32* __restrict__ ends) {
    const u32 i = blockIdx.x * blockDim.x + threadIdx.x;
    if (i >= n) return;
    const Key key = keys[i];
    if (i == 0 || keys[i - 1] != key) begins[key] = i;
    if (i == n - 1 || keys[i + 1] != key) ends[key] = i + 1;
}
