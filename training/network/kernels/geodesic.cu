// Geodesic closeness inside silhouettes, as geodesic_closeness in training/network/geodesic.py: one block of SIZE x SIZE threads a
// (sample, joint), one thread a cell. Fast marching has no parallel form, but its answer is the fixed point of the upwind
// solution at every cell: each round takes all cells one step nearer to it, until none changes.
// A test compiles this very file for the host and wants the same maps.

constexpr int SIZE = 32;
constexpr int CELLS = SIZE * SIZE;
constexpr int PADDED = SIZE + 2;  // a border that is never reached
constexpr int NOWHERE = 1 << 20;  // squared cells; more than any distance in the map
constexpr float UNREACHED = 1e9f;

// The solution of |grad d| = 1 at the cell before `here`, from its four neighbours.
__device__ float solve(const float* here)
{
    const float across = fminf(here[-1], here[1]), along = fminf(here[-PADDED], here[PADDED]);
    const float low = fminf(across, along), gap = fmaxf(across, along) - low;
    if (low >= UNREACHED) return UNREACHED;
    if (gap >= 1.0f) return low + 1.0f;
    return low + 0.5f * (gap + sqrtf(2.0f - gap * gap));  // (d - low)^2 + (d - high)^2 = 1
}

// hands (N, 32, 32), joint_cells (N, joints, 2) as (row, column) inside the map, closeness (N, joints, 32, 32).
extern "C" __global__ void __launch_bounds__(CELLS)
    geodesic_closeness(const unsigned char* hands, const int* joint_cells, float* closeness, int joints)
{
    __shared__ float distance[PADDED * PADDED];
    __shared__ int nearest, farthest;  // squared cells from joint to hand; the bits of a float that is not negative

    const int cell = threadIdx.x, row = cell / SIZE, column = cell % SIZE;
    const int down = row - joint_cells[2 * blockIdx.x], right = column - joint_cells[2 * blockIdx.x + 1];
    const int squared = down * down + right * right;
    const bool is_hand = hands[blockIdx.x / joints * CELLS + cell] != 0;
    float* here = distance + (row + 1) * PADDED + column + 1;

    for (int i = cell; i < PADDED * PADDED; i += CELLS) distance[i] = UNREACHED;
    if (cell == 0) {
        nearest = NOWHERE;
        farthest = 0;
    }
    __syncthreads();
    if (is_hand) atomicMin(&nearest, squared);
    if (squared == 0) *here = 0.0f;
    __syncthreads();

    // A joint off the hand starts in a disc about it that just touches the hand; of an empty hand, nothing is asked.
    const bool is_open = nearest != NOWHERE && squared != 0 && (is_hand || squared <= nearest);
    float mine = squared == 0 ? 0.0f : UNREACHED;
    bool is_nearer = true;
    while (__syncthreads_or(is_nearer)) {
        const float found = is_open ? solve(here) : mine;
        is_nearer = found < mine;
        __syncthreads();  // all have read
        if (is_nearer) *here = mine = found;
    }
    if (nearest != NOWHERE && mine < UNREACHED) atomicMax(&farthest, __float_as_int(mine));
    __syncthreads();

    const float most = __int_as_float(farthest);
    const float share = most > 0.0f ? (most - mine) / most : 1.0f;
    closeness[blockIdx.x * CELLS + cell] = is_hand && mine < UNREACHED ? share : 0.0f;
}
