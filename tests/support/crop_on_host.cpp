// Launches the crop kernel, whose file is KERNEL, on the host.

#include "cuda_on_host.h"

#define __shared__  // dynamic: the array below

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

}  // namespace

extern "C" int hand_bytes() { return sizeof(Hand); }

extern "C" int launch(const Hand* hands, int batch, int threads, unsigned int seed, float* out, int* filled)
{
    dice.seed(seed);
    arguments = {hands, out, filled};
    blockDim.x = threads;
    std::vector<Fiber> fibers = make_fibers(threads);
    for (blockIdx.x = 0; blockIdx.x < batch; ++blockIdx.x) {
        for (unsigned int& word : zbuffer) word = dice();
        if (!run_block(fibers, enter)) return 1;
    }
    return 0;
}
