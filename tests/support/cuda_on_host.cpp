// Runs a CUDA kernel, unchanged, on the host. Each thread of a block is a fiber: between two barriers the fibers run in
// random order and change places at random after atomic operations; shared memory starts as garbage, as on a GPU.
// Compile with -DKERNEL='"path/of/crop.cu"' and without contraction of floating-point expressions.

#include <ucontext.h>

#include <memory>
#include <random>
#include <vector>

struct Index {
    int x;
};
static Index threadIdx, blockIdx, blockDim;  // of the fiber that runs now

#define __device__ static
#define __global__
#define __shared__
#define __launch_bounds__(threads)

static inline float __fadd_rn(float a, float b) { return a + b; }
static inline float __fsub_rn(float a, float b) { return a - b; }
static inline float __fmul_rn(float a, float b) { return a * b; }
static inline float __fdiv_rn(float a, float b) { return a / b; }

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

void leave(State state)
{
    running->state = state;
    swapcontext(&running->context, &scheduler);
}

}  // namespace

[[maybe_unused]] static void __syncthreads() { leave(State::AT_BARRIER); }

[[maybe_unused]] static unsigned int atomicMin(unsigned int* address, unsigned int value)
{
    const unsigned int before = *address;
    if (value < before) *address = value;
    if (dice() % YIELD_ONE_IN == 0) leave(State::READY);
    return before;
}

static int atomicAdd(int* address, int value)
{
    const int before = *address;
    *address = before + value;
    if (dice() % YIELD_ONE_IN == 0) leave(State::READY);
    return before;
}

unsigned int zbuffer[128 * 128];  // the kernel's dynamic shared memory

#include KERNEL

static_assert(sizeof(zbuffer) == CELLS * sizeof(zbuffer[0]));

namespace {

struct Arguments {
    const Hand* hands;
    float* out;
    int* filled;
} arguments;

void enter()
{
    crop_hands(arguments.hands, arguments.out, arguments.filled);
    leave(State::DONE);
}

// False where some threads of the block wait at a barrier that others never reach.
bool run_block(std::vector<Fiber>& fibers)
{
    for (unsigned int& word : zbuffer) word = dice();
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
    }
    return true;
}

}  // namespace

extern "C" int hand_bytes() { return sizeof(Hand); }

extern "C" int launch(const Hand* hands, int batch, int threads, unsigned int seed, float* out, int* filled)
{
    dice.seed(seed);
    arguments = {hands, out, filled};
    blockDim.x = threads;
    std::vector<Fiber> fibers(threads);
    for (Fiber& fiber : fibers) fiber.stack.reset(new char[STACK_BYTES]);
    for (blockIdx.x = 0; blockIdx.x < batch; ++blockIdx.x)
        if (!run_block(fibers)) return 1;
    return 0;
}
