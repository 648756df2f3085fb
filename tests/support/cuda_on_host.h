// Runs a CUDA kernel, unchanged, on the host. Each thread of a block is a fiber: between two barriers the fibers run in
// random order and change places at random after atomic operations; shared memory starts as garbage, as on a GPU.
// Each *_on_host.cpp includes this, then its kernel; compile without contraction of floating-point expressions.

#pragma once

#include <ucontext.h>

#include <cmath>
#include <cstring>
#include <memory>
#include <random>
#include <vector>

struct Index {
    int x;
};
static Index threadIdx, blockIdx, blockDim;  // of the fiber that runs now

#define __device__ static
#define __global__
#define __launch_bounds__(threads)

[[maybe_unused]] static inline float __fadd_rn(float a, float b) { return a + b; }
[[maybe_unused]] static inline float __fsub_rn(float a, float b) { return a - b; }
[[maybe_unused]] static inline float __fmul_rn(float a, float b) { return a * b; }
[[maybe_unused]] static inline float __fdiv_rn(float a, float b) { return a / b; }

[[maybe_unused]] static inline int __float_as_int(float value)
{
    int bits;
    std::memcpy(&bits, &value, sizeof(bits));
    return bits;
}

[[maybe_unused]] static inline float __int_as_float(int bits)
{
    float value;
    std::memcpy(&value, &bits, sizeof(value));
    return value;
}

namespace {

enum class State { READY, AT_BARRIER, DONE };

struct Fiber {
    ucontext_t context;
    std::unique_ptr<char[]> stack;
    State state;
};

constexpr size_t STACK_BYTES = 32 * 1024;
constexpr int YIELD_ONE_IN = 64;

std::mt19937 dice;
ucontext_t scheduler;
Fiber* running;
int votes, verdict;  // of __syncthreads_or

void leave(State state)
{
    running->state = state;
    swapcontext(&running->context, &scheduler);
}

}  // namespace

[[maybe_unused]] static void __syncthreads() { leave(State::AT_BARRIER); }

[[maybe_unused]] static int __syncthreads_or(int vote)
{
    votes |= vote != 0;
    leave(State::AT_BARRIER);
    return verdict;
}

// What the address holds becomes `value`; gives what it held.
template <typename T>
static T exchange(T* address, T value)
{
    const T before = *address;
    *address = value;
    if (dice() % YIELD_ONE_IN == 0) leave(State::READY);
    return before;
}

template <typename T>
[[maybe_unused]] static T atomicMin(T* address, T value)
{
    return exchange(address, value < *address ? value : *address);
}

template <typename T>
[[maybe_unused]] static T atomicMax(T* address, T value)
{
    return exchange(address, value > *address ? value : *address);
}

template <typename T>
[[maybe_unused]] static T atomicAdd(T* address, T value)
{
    return exchange(address, *address + value);
}

namespace {

// False where some threads of the block wait at a barrier that others never reach.
bool run_block(std::vector<Fiber>& fibers, void (*enter)())
{
    votes = verdict = 0;
    std::vector<int> ready;
    for (size_t i = 0; i < fibers.size(); ++i) {
        Fiber& fiber = fibers[i];
        getcontext(&fiber.context);
        fiber.context.uc_stack.ss_sp = fiber.stack.get();
        fiber.context.uc_stack.ss_size = STACK_BYTES;
        makecontext(&fiber.context, enter, 0);
        ready.push_back(static_cast<int>(i));
    }
    while (!ready.empty()) {
        std::vector<int> waiting;
        while (!ready.empty()) {
            const size_t chosen = dice() % ready.size();
            threadIdx.x = ready[chosen];
            running = &fibers[ready[chosen]];
            swapcontext(&scheduler, &running->context);
            if (running->state == State::READY) continue;
            if (running->state == State::AT_BARRIER) waiting.push_back(ready[chosen]);
            ready[chosen] = ready.back();
            ready.pop_back();
        }
        if (!waiting.empty() && waiting.size() != fibers.size()) return false;
        ready = waiting;
        verdict = votes;
        votes = 0;
    }
    return true;
}

// A fiber for each thread of a block.
std::vector<Fiber> make_fibers(int threads)
{
    std::vector<Fiber> fibers(threads);
    for (Fiber& fiber : fibers) fiber.stack.reset(new char[STACK_BYTES]);
    return fibers;
}

}  // namespace
