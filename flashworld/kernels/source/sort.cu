// Stable radix sort, eight bits a pass: count digits chunk by chunk, sum up, move. Rows (views) are sorted side by side.
//
// The first pass over depth keys takes positions as values and leaves HIDDEN ones out; `lengths` then says how many
// each row has left. Later passes, and sorts of other keys, are given values.
constexpr int DIGITS = 256, SORT_THREADS = 256, SORT_WARPS = SORT_THREADS / 32, SORT_ITEMS = 16;
constexpr u32 CHUNK = SORT_THREADS * SORT_ITEMS;

template <class Key>
__device__ __forceinline__ u32 digit_of(Key key, int shift) {
    return ((u32)key >> shift) & (DIGITS - 1);
}

// counts: [row][digit][chunk]
template <class Key, bool FIRST>
__global__ void __launch_bounds__(SORT_THREADS) count_digits(
    u32 n, const u32* __restrict__ lengths, int shift, const Key* __restrict__ keys, u32* __restrict__ counts, u32 chunks) {
    __shared__ u32 histogram[DIGITS];
    const u32 row = blockIdx.y, length = FIRST || !lengths ? n : lengths[row], start = blockIdx.x * CHUNK;
    if (start >= length) return;
    histogram[threadIdx.x] = 0;
    __syncthreads();
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = start + i * SORT_THREADS + threadIdx.x;
        if (at < length) {
            const Key key = keys[(u64)row * n + at];
            if (!FIRST || key != HIDDEN) atomicAdd(&histogram[digit_of(key, shift)], 1u);
        }
    }
    __syncthreads();
    counts[((u64)row * DIGITS + threadIdx.x) * chunks + blockIdx.x] = histogram[threadIdx.x];
}

// One block a row and digit: counts become what chunks before hold; totals: [row][digit]
__global__ void __launch_bounds__(SORT_THREADS) sum_digits(
    u32 n, const u32* __restrict__ lengths, u32* __restrict__ counts, u32 chunks, u32* __restrict__ totals) {
    __shared__ u32 sums[SORT_WARPS];
    const u32 row = blockIdx.y, length = lengths ? lengths[row] : n, used = (length + CHUNK - 1) / CHUNK;
    u32* line = counts + ((u64)row * DIGITS + blockIdx.x) * chunks;
    u32 carry = 0;
    for (u32 start = 0; start < used; start += SORT_THREADS) {
        const u32 at = start + threadIdx.x, value = at < used ? line[at] : 0;
        u32 total;
        const u32 upto = block_scan(value, sums, total);
        if (at < used) line[at] = carry + upto - value;
        carry += total;
    }
    if (threadIdx.x == 0) totals[row * DIGITS + blockIdx.x] = carry;
}

// keys_out may be null after the last pass, lengths_out is written by the first.
template <class Key, bool FIRST>
__global__ void __launch_bounds__(SORT_THREADS) move_by_digit(
    u32 n, const u32* __restrict__ lengths, int shift, const Key* __restrict__ keys, const u32* __restrict__ values,
    const u32* __restrict__ counts, u32 chunks, const u32* __restrict__ totals, Key* __restrict__ keys_out,
    u32* __restrict__ values_out, u32* __restrict__ lengths_out) {
    __shared__ u32 seen[SORT_WARPS][DIGITS];  // keys of a digit in each warp, then in the warps before
    __shared__ u32 local_start[DIGITS], global_start[DIGITS], sums[SORT_WARPS];
    __shared__ Key staged_keys[CHUNK];
    __shared__ u32 staged_values[CHUNK];
    const u32 t = threadIdx.x, lane = t & 31, warp = t >> 5;
    const u32 row = blockIdx.y, length = FIRST || !lengths ? n : lengths[row], start = blockIdx.x * CHUNK;
    if (start >= length && !(FIRST && blockIdx.x == 0)) return;
    keys += (u64)row * n;
    u32 held;
    const u32 total = totals[row * DIGITS + t];
    global_start[t] = block_scan(total, sums, held) - total + counts[((u64)row * DIGITS + t) * chunks + blockIdx.x];
    if (FIRST && blockIdx.x == 0 && t == 0) lengths_out[row] = held;
    for (int w = 0; w < SORT_WARPS; w++) seen[w][t] = 0;
    __syncthreads();

    // Rank of every key among those of its digit in its warp; a warp has SORT_ITEMS x 32 keys in a row.
    Key key[SORT_ITEMS];
    u32 rank[SORT_ITEMS];
    for (int i = 0; i < SORT_ITEMS; i++) {
        const u32 at = start + warp * (32 * SORT_ITEMS) + i * 32 + lane;
        const bool there = at < length && (!FIRST || keys[at] != HIDDEN);
        key[i] = there ? keys[at] : (Key)0;
        const u32 digit = digit_of(key[i], shift);
        u32 same = __ballot_sync(0xffffffffu, there);
        for (int bit = 0; bit < 8; bit++) {
            const u32 with_bit = __ballot_sync(0xffffffffu, (digit >> bit) & 1);
            same &= (digit >> bit) & 1 ? with_bit : ~with_bit;
        }
        rank[i] = there ? seen[warp][digit] + __popc(same & ((1u << lane) - 1)) : HIDDEN;
        __syncwarp();
        if (there && (same >> lane) == 1u) seen[warp][digit] += __popc(same);  // the last of them
        __syncwarp();
    }
    __syncthreads();
    u32 in_block = 0;
    for (int w = 0; w < SORT_WARPS; w++) {
        const u32 count = seen[w][t];
        seen[w][t] = in_block;
        in_block += count;
    }
    u32 all;
    local_start[t] = block_scan(in_block, sums, all) - in_block;
    __syncthreads();

    for (int i = 0; i < SORT_ITEMS; i++) {
        if (rank[i] == HIDDEN) continue;
        const u32 digit = digit_of(key[i], shift), to = local_start[digit] + seen[warp][digit] + rank[i];
        const u32 at = start + warp * (32 * SORT_ITEMS) + i * 32 + lane;
        staged_keys[to] = key[i];
        staged_values[to] = FIRST ? (u32)((u64)row * n + at) : values[(u64)row * n + at];
    }
    __syncthreads();
    for (u32 i = t; i < all; i += SORT_THREADS) {
        const Key moved = staged_keys[i];
        const u32 digit = digit_of(moved, shift);
        const u64 to = (u64)row * n + global_start[digit] + i - local_start[digit];
        if (keys_out) keys_out[to] = moved;
        values_out[to] = staged_values[i];
    }
}
