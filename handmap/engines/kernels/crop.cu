// The crop of several hands in one launch, one block a hand: the arithmetic of handmap/geometry/crop.py, operation by operation.
//
// Every product and sum is rounded on its own: a fused multiply-add would move points across the edges of cells.
// A test compiles this very file for the host and wants the same pixels as from NumPy.

constexpr int SIZE = 128;
constexpr int CELLS = SIZE * SIZE;
constexpr unsigned int EMPTY = 0xFFFFFFFFu;
constexpr int WARP = 32;
constexpr int AHEAD = 8;  // depth reads in flight per thread: one block cannot hide memory's latency otherwise

// Laid out as HAND in handmap/engines/crop_kernel.py. All zero stands for an unused place in the batch.
struct Hand {
    const unsigned short* window;  // first pixel of the part of the image that the cube can project to
    int pitch;                     // from a row of the image to the next, in pixels
    int rows, columns;             // of the window
    int top, left, height, width;  // where the window lies in the image, and the image's size
    unsigned int near, far;        // smallest and largest raw depth inside the cube; 0, "not measured", never is
    unsigned int speck;            // a pixel nearer than its four neighbors by more than this is left out
    float unit_mm;
    float u_offset, v_offset, inverse_fx, inverse_fy;
    float center_x, center_y, center_z;  // mm
    float cells_per_mm, half_cells, half_cube_mm;
    int is_mirrored;
};

// Whether a neighbor is farther by more than the limit; "not measured" is, but not the one beyond the image's border.
__device__ bool is_far(unsigned int neighbor, unsigned int raw, unsigned int speck)
{
    return static_cast<unsigned short>(neighbor - 1) > raw - 1 + speck;
}

__device__ bool is_speck(const Hand& hand, const unsigned short* pixel, int v, int u, unsigned int raw)
{
    const int row = hand.top + v, column = hand.left + u;
    return column > 0 && is_far(pixel[-1], raw, hand.speck) &&
           column + 1 < hand.width && is_far(pixel[1], raw, hand.speck) &&
           row > 0 && is_far(pixel[-static_cast<long long>(hand.pitch)], raw, hand.speck) &&
           row + 1 < hand.height && is_far(pixel[hand.pitch], raw, hand.speck);
}

// The nearest raw depth of each cell. atomicMin: neither order nor ties matter.
__device__ void print_points(const Hand& hand, unsigned int* zbuffer)
{
    const int lane = threadIdx.x % WARP, warps = blockDim.x / WARP;
    for (int v = threadIdx.x / WARP; v < hand.rows; v += warps) {
        const unsigned short* pixels = hand.window + static_cast<long long>(v) * hand.pitch;
        const float y_per_z = __fmul_rn(__fadd_rn(static_cast<float>(v), hand.v_offset), hand.inverse_fy);
        for (int first = lane; first < hand.columns; first += WARP * AHEAD) {
            unsigned int raws[AHEAD];
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const int u = first + i * WARP;
                raws[i] = u < hand.columns ? pixels[u] : 0;
            }
#pragma unroll
            for (int i = 0; i < AHEAD; ++i) {
                const unsigned int raw = raws[i];
                if (raw < hand.near || raw > hand.far) continue;
                if (is_speck(hand, pixels + first + i * WARP, v, first + i * WARP, raw)) continue;
                const float u = static_cast<float>(first + i * WARP);
                const float z = __fmul_rn(static_cast<float>(raw), hand.unit_mm);
                const float x = __fmul_rn(__fmul_rn(__fadd_rn(u, hand.u_offset), hand.inverse_fx), z);
                const float y = __fmul_rn(y_per_z, z);
                const float column =
                    __fadd_rn(__fmul_rn(__fsub_rn(x, hand.center_x), hand.cells_per_mm), hand.half_cells);
                const float row =
                    __fadd_rn(__fmul_rn(__fsub_rn(y, hand.center_y), hand.cells_per_mm), hand.half_cells);
                if (!(column >= 0.0f && column < SIZE && row >= 0.0f && row < SIZE)) continue;
                atomicMin(&zbuffer[static_cast<int>(row) * SIZE + static_cast<int>(column)], raw);
            }
        }
    }
}

// An empty cell between two filled ones takes the farther. In place, in any order: a cell closes only between cells that
// are filled already, so of two empty neighbors neither ever does, and no thread reads what another one writes.
__device__ void close_hole(unsigned int* zbuffer, int cell, int along, int step)
{
    if (along == 0 || along == SIZE - 1 || zbuffer[cell] != EMPTY) return;
    const unsigned int before = zbuffer[cell - step], after = zbuffer[cell + step];
    if (before != EMPTY && after != EMPTY) zbuffer[cell] = before > after ? before : after;
}

// hands (batch), out (batch, 1, 128, 128) in [-1, 1], filled (batch): how many pixels of each crop are nearer than the
// background. Dynamic shared memory: CELLS words; blockDim.x: a multiple of WARP.
extern "C" __global__ void __launch_bounds__(1024) crop_hands(const Hand* hands, float* out, int* filled)
{
    extern __shared__ unsigned int zbuffer[];
    const Hand hand = hands[blockIdx.x];
    const int thread = threadIdx.x, threads = blockDim.x;

    if (thread == 0) filled[blockIdx.x] = 0;
    for (int cell = thread; cell < CELLS; cell += threads) zbuffer[cell] = EMPTY;
    __syncthreads();
    print_points(hand, zbuffer);
    __syncthreads();
    for (int cell = thread; cell < CELLS; cell += threads) close_hole(zbuffer, cell, cell % SIZE, 1);
    __syncthreads();
    for (int cell = thread; cell < CELLS; cell += threads) close_hole(zbuffer, cell, cell / SIZE, SIZE);
    __syncthreads();

    int nearer = 0;
    for (int cell = thread; cell < CELLS; cell += threads) {
        const unsigned int raw = zbuffer[cell];
        float value = 1.0f;
        if (raw != EMPTY) {
            const float z = __fmul_rn(static_cast<float>(raw), hand.unit_mm);
            value = __fdiv_rn(__fsub_rn(z, hand.center_z), hand.half_cube_mm);
        }
        nearer += value < 1.0f;
        const int column = cell % SIZE;
        const int target = hand.is_mirrored ? cell - column + SIZE - 1 - column : cell;
        out[blockIdx.x * CELLS + target] = value;
    }
    if (nearer) atomicAdd(&filled[blockIdx.x], nearer);
}
