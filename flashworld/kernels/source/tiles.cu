// Lists of splats by tile, nearest first: written in order of depth, then sorted by tile, stably.

// hits: tiles met by the splats of each chunk of a view's order. [row][chunk]
__global__ void __launch_bounds__(SORT_THREADS) count_hits(
    u32 n, const u32* __restrict__ lengths, const u32* __restrict__ order, const u32* __restrict__ tiles, u32* __restrict__ hits,
    u32 chunks) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = blockIdx.y, length = lengths[row];
    u32 mine = 0, total;
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        if (at < length) mine += tiles[order[(u64)row * n + at]];
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
    u32 n, u32 first, const u32* __restrict__ lengths, const u32* __restrict__ order, const Splat* __restrict__ splats,
    const u32* __restrict__ tiles, const u32* __restrict__ hits, u32 chunks, const u64* __restrict__ totals, int tiles_x,
    int tiles_y, Key* __restrict__ keys, u32* __restrict__ values) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = first + blockIdx.y, length = lengths[row];
    if (blockIdx.x * CHUNK >= length) return;
    u64 base = hits[row * chunks + blockIdx.x];
    for (u32 r = first; r < row; r++) base += totals[r];
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        const u32 id = at < length ? order[(u64)row * n + at] : 0, count = at < length ? tiles[id] : 0;
        u32 total;
        u64 to = base + block_scan(count, sums, total) - count;
        if (count) {
            const Splat splat = splats[id];
            int top, bottom, left, right;
            tile_rows(splat, tiles_y, top, bottom);
            for (int y = top; y < bottom; y++) {
                tile_columns(splat, y, tiles_x, left, right);
                for (int x = left; x < right; x++, to++) {
                    keys[to] = (Key)((blockIdx.y * tiles_y + y) * tiles_x + x);
                    values[to] = id;
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
