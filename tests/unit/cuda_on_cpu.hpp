// CUDA kernels as plain C++: a block's threads are fibers that take turns at every barrier. Slow, exact about order.
#pragma once
#include <setjmp.h>
#include <ucontext.h>

#include <algorithm>
#include <cmath>
#include <cstring>
#include <tuple>
#include <vector>
using std::max;
using std::min;

#define __global__
#define __device__
#define __forceinline__ inline
#define __shared__ static
#define __launch_bounds__(...)
#define __restrict__

struct Dim { unsigned x, y, z; };
struct float2 { float x, y; };
struct alignas(16) float4 { float x, y, z, w; };
static float2 make_float2(float x, float y) { return {x, y}; }
static float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
static float rsqrtf(float v) { return 1.0f / std::sqrt(v); }
#define __expf(v) std::exp((float)(v))  // the C library has one of its own, undefined
static unsigned __float_as_uint(float v) { unsigned u; std::memcpy(&u, &v, 4); return u; }
static int __popc(unsigned v) { return __builtin_popcount(v); }
template <class T> T atomicAdd(T* p, T v) { T old = *p; *p += v; return old; }

static Dim threadIdx, blockIdx, blockDim, gridDim;

// A fiber is begun by swapcontext, which calls the system; later turns are jumps, which do not.
struct Fiber { ucontext_t context; jmp_buf here; std::vector<char> stack; bool begun, over; unsigned said; };
static std::vector<Fiber> fibers;
static ucontext_t unused;
static jmp_buf scheduler;
static unsigned running;

static void pass() {  // the others' turn
    const unsigned me = running;
    if (!_setjmp(fibers[me].here)) _longjmp(scheduler, 1);
    threadIdx = {me, 0, 0};
}
// Every thread says a word, then sees what all (of its warp) have said. Two turns, so that nobody speaks again too early.
template <class Read> auto exchange(unsigned word, Read read) {
    fibers[running].said = word;
    pass();
    auto result = read();
    pass();
    return result;
}
static void __syncthreads() { pass(); }
static void __syncwarp() { pass(); }
static int __syncthreads_count(int yes) {
    return exchange(yes != 0, [] { int n = 0; for (auto& f : fibers) n += !f.over && f.said; return n; });
}
static unsigned __ballot_sync(unsigned, int yes) {
    const unsigned first = running & ~31u;
    return exchange(yes != 0, [=] { unsigned m = 0; for (unsigned i = 0; i < 32; i++) m |= fibers[first + i].said << i; return m; });
}
static unsigned __shfl_up_sync(unsigned, unsigned value, int step) {
    const unsigned lane = running & 31u, from = (int)lane >= step ? running - step : running;
    return exchange(value, [=] { return fibers[from].said; });
}

static void (*body)(void*);
static void* body_arguments;
static void fiber_main() {
    body(body_arguments);
    fibers[running].over = true;
    _longjmp(scheduler, 1);
}

static void run_block(unsigned threads) {
    fibers.resize(threads);
    for (auto& f : fibers) {
        f.begun = f.over = false;
        f.said = 0;
        f.stack.resize(1 << 16);
        getcontext(&f.context);
        f.context.uc_stack.ss_sp = f.stack.data();
        f.context.uc_stack.ss_size = f.stack.size();
        f.context.uc_link = nullptr;
        makecontext(&f.context, fiber_main, 0);
    }
    for (bool more = true; more;) {
        more = false;
        for (running = 0; running < threads; running++) {
            if (fibers[running].over) continue;
            threadIdx = {running, 0, 0};
            more = true;
            if (_setjmp(scheduler)) continue;
            if (fibers[running].begun) _longjmp(fibers[running].here, 1);
            fibers[running].begun = true;
            swapcontext(&unused, &fibers[running].context);
        }
    }
}

template <class... A> struct Call {
    void (*kernel)(A...);
    std::tuple<A...> arguments;
    static void go(void* self) { auto* call = (Call*)self; std::apply(call->kernel, call->arguments); }
};
template <class A> A unpacked(void* p) { A value; std::memcpy(&value, p, sizeof(A)); return value; }
template <class... A, size_t... I>
void launch_with(void (*kernel)(A...), const unsigned* grid, unsigned threads, void** arguments, std::index_sequence<I...>) {
    Call<A...> call{kernel, std::tuple<A...>{unpacked<A>(arguments[I])...}};
    body = &Call<A...>::go;
    body_arguments = &call;
    blockDim = {threads, 1, 1};
    gridDim = {grid[0], grid[1], grid[2]};
    for (unsigned z = 0; z < grid[2]; z++)
        for (unsigned y = 0; y < grid[1]; y++)
            for (unsigned x = 0; x < grid[0]; x++) {
                blockIdx = {x, y, z};
                run_block(threads);
            }
}
template <class... A> void launch(void (*kernel)(A...), const unsigned* grid, unsigned threads, void** arguments) {
    launch_with(kernel, grid, threads, arguments, std::index_sequence_for<A...>{});
}
