// Launches the geodesic kernel, whose file is KERNEL, on the host.

#include "cuda_on_host.h"

#define __shared__ static  // one for all fibers of a block; blocks run one after another and find what the last one left

#include KERNEL

namespace {

struct Arguments {
    const unsigned char* hands;
    const int* joint_cells;
    float* closeness;
    int joints;
} arguments;

void enter()
{
    geodesic_closeness(arguments.hands, arguments.joint_cells, arguments.closeness, arguments.joints);
    leave(State::DONE);
}

}  // namespace

extern "C" int launch(const unsigned char* hands, const int* joint_cells, float* closeness, int joints, int blocks, unsigned int seed)
{
    dice.seed(seed);
    arguments = {hands, joint_cells, closeness, joints};
    blockDim.x = CELLS;
    std::vector<Fiber> fibers = make_fibers(CELLS);
    for (blockIdx.x = 0; blockIdx.x < blocks; ++blockIdx.x)
        if (!run_block(fibers, enter)) return 1;
    return 0;
}
