// Lists of splats by tile, nearest first: written in order of depth, then sorted by tile, stably.

constexpr int MAX_TILE_ROWS = 512;  // of a picture of 8192 pixels, the most that is rendered
constexpr u32 PARTS = 256;  // a view's order is drawn in slabs, given in parts of PARTS

__device__ __forceinline__ u32 slab_bound(u32 length, u32 part) { return (u32)((u64)length * part / PARTS); }

// What is left to draw of a view after a slab: the tiles that are not finished.
struct OpenTiles {
    const unsigned char* finished;  // a byte a tile
    int tiles_x, tiles_y;
    u16 (*ends)[2];  // of each row of tiles: the first that is not finished, the last + 1; equal where all are
};

// By all threads of a block; whether any tile is left.
__device__ __forceinline__ bool find_open_tiles(const OpenTiles& open) {
    bool any = false;
    for (int y = threadIdx.x; y < open.tiles_y; y += blockDim.x) {
        const unsigned char* line = open.finished + y * open.tiles_x;
        int first = 0, last = open.tiles_x;
        while (first < last && line[first]) first++;
        while (last > first && line[last - 1]) last--;
        open.ends[y][0] = (u16)first, open.ends[y][1] = (u16)last;
        any = any || first < last;
    }
    return __syncthreads_count(any) > 0;
}

__device__ __forceinline__ u32 count_open_tiles(const Splat& splat, const OpenTiles& open) {
    int top, bottom, left, right;
    u32 count = 0;
    tile_rows(splat, open.tiles_y, top, bottom);
    for (int y = top; y < bottom; y++) {
        const int first = open.ends[y][0], last = open.ends[y][1];
        if (first == last) continue;
        tile_columns(splat, y, open.tiles_x, left, right);
        for (int x = max(left, first); x < min(right, last); x++) count += !open.finished[y * open.tiles_x + x];
    }
    return count;
}

// tiles: of each splat, all that it meets; counts: those among them that are open, of each splat of the slab, nearest first, so
// that they are written and read in the order of the threads. [row][chunk][entry] hits: their sum. [row][chunk]
// finished: a byte a tile of each view, null before the first slab. Without open tiles `counts` is not written.
__global__ void __launch_bounds__(SORT_THREADS) count_hits(
    u32 n, const u32* __restrict__ lengths, u32 from, u32 to, const u32* __restrict__ order, const Splat* __restrict__ splats,
    const unsigned char* __restrict__ finished, int tiles_x, int tiles_y, const u32* __restrict__ tiles,
    u32* __restrict__ counts, u32* __restrict__ hits, u32 chunks) {
    __shared__ u32 sums[SORT_WARPS];
    __shared__ u16 ends[MAX_TILE_ROWS][2];
    const u32 row = blockIdx.y, start = slab_bound(lengths[row], from), length = slab_bound(lengths[row], to);
    const OpenTiles open = {finished ? finished + (u64)row * tiles_x * tiles_y : finished, tiles_x, tiles_y, ends};
    if (start + blockIdx.x * CHUNK >= length || (finished && !find_open_tiles(open))) {
        if (threadIdx.x == 0) hits[row * chunks + blockIdx.x] = 0;
        return;
    }
    u32 mine = 0, total;
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 entry = blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        if (start + entry >= length) continue;
        const u32 id = order[(u64)row * n + start + entry];
        const u32 count = finished ? count_open_tiles(splats[id], open) : tiles[id];
        counts[(u64)row * chunks * CHUNK + entry] = count;
        mine += count;
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
    const Splat* __restrict__ splats, const unsigned char* __restrict__ finished, const u32* __restrict__ counts,
    const u32* __restrict__ hits, u32 chunks, const u64* __restrict__ totals, int tiles_x, int tiles_y, Key* __restrict__ keys,
    u32* __restrict__ values) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = first + blockIdx.y, start = slab_bound(lengths[row], from), length = slab_bound(lengths[row], to);
    if (start + blockIdx.x * CHUNK >= length || totals[row] == 0) return;
    if (finished) finished += (u64)row * tiles_x * tiles_y;
    u64 base = hits[row * chunks + blockIdx.x];
    for (u32 r = first; r < row; r++) base += totals[r];
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 entry = blockIdx.x * CHUNK + i * SORT_THREADS + threadIdx.x;
        const u32 count = start + entry < length ? counts[(u64)row * chunks * CHUNK + entry] : 0;
        u32 total;
        u64 place = base + block_scan(count, sums, total) - count;
        if (count) {
            const u32 id = order[(u64)row * n + start + entry];
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
