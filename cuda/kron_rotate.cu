/* kron_rotate.cu: rows of x [rows,n] times R1 x R2 x R3, one factor at a time, in shared memory.
 *
 * A row is an array [n1,n2,n3]; t1 = x R3, t2 = t1 R2, z = t2 R1. Backward, with g = dz:
 *
 *     dR1 = t2' g, g <- g R1';  dR2 = t1' g, g <- g R2';  dR3 = x' g, dx = g R3'
 *
 * attr.transposed puts R_k' for R_k, and then the gradients of the factors are the transposes.
 *
 * A block takes a few rows at a time, as fp32, the last axis padded to an odd length so that no two
 * lanes that walk along it meet in one bank. A thread makes four neighbours of a line of the
 * result: it reads a line of x once for them, and a row of the factor as one word that its whole
 * warp reads.
 *
 * Factor gradients: for each axis the block has tiles of 4 x 4 elements, and an equal number of
 * threads, a power of two, for each tile. They keep the sums in registers while the block walks
 * through its rows; then lanes and warps are added, and a second kernel adds the blocks in fp64, in
 * order. How many rows a block has depends on the shape alone. */
#include "cuda/columns.cuh"
#include "cuda/divide.cuh"

static constexpr int THREADS = 256, WARPS = THREADS / WARP, TILE = 4;

/* Sizes, the same in every block. */
struct kron_shape {
    int n[3], padded[3]; /* padded: floats of a factor's row in shared memory */
    int line, row;       /* floats of a padded line n3, of a row */
    int block_rows;      /* in the buffers at a time */
    int64_t chunk_rows;  /* of a block in all */
    divider by_n2, by_n3;
};

static __host__ __device__ __forceinline__ int tile_side(int n) { return (n + TILE - 1) / TILE; }

static int64_t factor_floats(const kron_shape &s)
{
    int64_t floats = 0;
    for (int k = 0; k < 3; k++) floats += s.n[k] * s.padded[k];
    return floats;
}

/* Shared memory: factors (backward: and their transposes), buffers. */
static size_t shared_bytes(const kron_shape &s, int orientations, int buffers)
{
    return sizeof(float) *
           (size_t)(orientations * factor_floats(s) + (int64_t)buffers * s.row * s.block_rows);
}

enum { PLENTY_BYTES = 48 << 10, BLOCKS = 264, FORWARD_BUFFERS = 2, BACKWARD_BUFFERS = 3 };

/* As many rows at a time as fit in PLENTY_BYTES, but not so many that there are fewer than BLOCKS.
 */
static kron_shape measure(const kron_tensors *u, bool grad)
{
    kron_shape s;
    for (int k = 0; k < 3; k++) {
        s.n[k] = u->n[k];
        s.padded[k] = (tile_side(u->n[k]) | 1) * TILE; /* odd in tiles: see load_factor */
    }
    s.line = s.n[2] | 1;
    s.row = s.n[0] * s.n[1] * s.line;
    s.by_n2 = divide_by(s.n[1]);
    s.by_n3 = divide_by(s.n[2]);
    const int64_t even = ceil_div(u->rows, BLOCKS);
    const int orientations = grad ? 2 : 1, buffers = grad ? BACKWARD_BUFFERS : FORWARD_BUFFERS;
    for (s.block_rows = 1; s.block_rows < even && s.block_rows < 32; s.block_rows++) {
        kron_shape more = s;
        more.block_rows++;
        if (shared_bytes(more, orientations, buffers) > PLENTY_BYTES) break;
    }
    s.chunk_rows = grad ? ceil_div(even, s.block_rows) * s.block_rows : s.block_rows;
    return s;
}

/* R [n,n] to shared memory, its rows `padded` floats apart: as it is to `plain`, transposed to
 * `turned`, either may be NULL; zeros behind column n, up to a whole tile.
 *
 * Each 8 lanes read 8 neighbours, so whole sectors. The four such octets of a warp are about a row
 * apart, octet k in row r + k: transposed, lane e of it writes word (c + e) padded + r + k, and
 * since `padded` is an odd number of tiles of 4, these are 32 banks. */
static __device__ __forceinline__ void load_factor(const float *R, int n, int padded, float *plain,
                                                   float *turned)
{
    constexpr int OCTET = 8, OCTETS = WARP / OCTET;
    const int count = n * n, apart = (n + OCTET - 1) / OCTET;
    const int octets = (int)ceil_div(count, OCTET * OCTETS * apart) * apart;
    const int lane = threadIdx.x % WARP;
#pragma unroll 1
    for (int j = (int)threadIdx.x / WARP; j < octets; j += WARPS) {
        const int group = j / apart, octet = group * OCTETS * apart + j - group * apart;
        const int i = (octet + lane / OCTET * apart) * OCTET + lane % OCTET;
        if (i >= count) continue;
        const int row = i / n, column = i - row * n;
        const float value = R[i];
        if (plain) plain[row * padded + column] = value;
        if (turned) turned[column * padded + row] = value;
    }
    const int behind = tile_side(n) * TILE - n;
#pragma unroll 1
    for (int i = threadIdx.x; i < n * behind; i += THREADS) {
        const int row = i / behind, place = row * padded + n + i - row * behind;
        if (plain) plain[place] = 0;
        if (turned) turned[place] = 0;
    }
}

/* Where line `index` of an axis begins in the buffer, and the distance of its elements. Lines are
 * counted so that lanes side by side read neighbours (axes 1 and 2) or lines an odd distance apart.
 */
template <int AXIS>
static __device__ __forceinline__ int line_start(const kron_shape &s, unsigned index)
{
    if (AXIS == 2) return (int)index * s.line;
    const unsigned q = divide(index, s.by_n3), i3 = index - q * (unsigned)s.n[2];
    if (AXIS == 1) return (int)(q * (unsigned)(s.n[1] * s.line) + i3);
    const unsigned row = divide(q, s.by_n2), i2 = q - row * (unsigned)s.n[1];
    return (int)(row * (unsigned)s.row + i2 * (unsigned)s.line + i3);
}

template <int AXIS> static __device__ __forceinline__ int line_stride(const kron_shape &s)
{
    return AXIS == 2 ? 1 : AXIS == 1 ? s.line : s.n[1] * s.line;
}

template <int AXIS> static __device__ __forceinline__ int line_count(const kron_shape &s, int rows)
{
    return rows * (AXIS == 2 ? s.n[0] * s.n[1] : AXIS == 1 ? s.n[0] * s.n[2] : s.n[1] * s.n[2]);
}

/* to = from times M along one axis. */
template <int AXIS>
static __device__ __forceinline__ void rotate(const kron_shape &s, int rows, const float *M,
                                              const float *from, float *to)
{
    const int lines = line_count<AXIS>(s, rows), stride = line_stride<AXIS>(s), n = s.n[AXIS];
    int line = threadIdx.x, block = 0;
    for (;;) { /* items (block of four results, line), lines first */
        while (line >= lines && block < n) line -= lines, block += TILE;
        if (block >= n) break;
        const int start = line_start<AXIS>(s, (unsigned)line);
        float sum[TILE] = {};
        const float *x = from + start, *m = M + block;
#pragma unroll 4
        for (int i = 0; i < n; i++) {
            const float4 r = *(const float4 *)m;
            const float value = *x;
            sum[0] += value * r.x;
            sum[1] += value * r.y;
            sum[2] += value * r.z;
            sum[3] += value * r.w;
            m += s.padded[AXIS];
            x += stride;
        }
#pragma unroll
        for (int k = 0; k < TILE; k++)
            if (block + k < n) to[start + (block + k) * stride] = sum[k];
        line += THREADS;
    }
    __syncthreads();
}

/* Rows of t to or from a buffer; f(element of t, place in the buffer). Each warp moves neighbours.
 */
template <typename F>
static __device__ __forceinline__ void each_element(const kron_shape &s, int rows, F f)
{
    const int count = rows * s.n[0] * s.n[1] * s.n[2], pad = s.line - s.n[2];
#pragma unroll 4
    for (int i = threadIdx.x; i < count; i += THREADS)
        f(i, pad ? i + (int)divide((unsigned)i, s.by_n3) : i);
}

template <typename T>
static __device__ __forceinline__ void load_rows(const kron_shape &s, const T *t, int rows,
                                                 float *to)
{
    each_element(s, rows, [&](int i, int place) { to[place] = to_float(t[i]); });
    __syncthreads();
}

template <typename T>
static __device__ __forceinline__ void store_rows(const kron_shape &s, const float *from, int rows,
                                                  T *t)
{
    each_element(s, rows, [&](int i, int place) { t[i] = from_float<T>(from[place]); });
}

extern __shared__ float4 kron_room[];

template <typename T>
__global__ void __launch_bounds__(THREADS) kron_rotate_kernel(kron_tensors u, kron_shape s)
{
    float *M[3], *even = (float *)kron_room;
    for (int k = 0; k < 3; k++) {
        M[k] = even;
        load_factor(u.R[k], s.n[k], s.padded[k], u.transposed ? NULL : M[k],
                    u.transposed ? M[k] : NULL);
        even += s.n[k] * s.padded[k];
    }
    float *odd = even + s.row * s.block_rows;
    const int64_t row = (int64_t)blockIdx.x * s.block_rows;
    const int64_t n = (int64_t)s.n[0] * s.n[1] * s.n[2];
    const int rows = (int)min((int64_t)s.block_rows, u.rows - row);
    load_rows(s, (const T *)u.x + row * n, rows, even);
    rotate<2>(s, rows, M[2], even, odd);
    rotate<1>(s, rows, M[1], odd, even);
    rotate<0>(s, rows, M[0], even, odd);
    store_rows(s, odd, rows, (T *)u.y + row * n);
}

/* The tiles of one factor gradient and the threads that have them: `each` threads for each tile. */
struct tile_share {
    int tiles, each, i, j, first; /* of this thread: its tile's element, its first line */
    bool busy;
};

static __device__ __forceinline__ tile_share find_share(const kron_shape &s, int axis)
{
    const int side = tile_side(s.n[axis]);
    tile_share t;
    t.tiles = side * side;
    for (t.each = THREADS; t.each * t.tiles > THREADS; t.each /= 2) continue;
    const int tile = (int)threadIdx.x / t.each;
    t.busy = tile < t.tiles;
    t.first = (int)threadIdx.x % t.each;
    t.i = t.busy ? tile / side * TILE : 0;
    t.j = t.busy ? tile % side * TILE : 0;
    return t;
}

/* sum [i,j] += x[i] g[j] over the lines of this thread. Elements behind the last are copies of it.
 */
template <int AXIS>
static __device__ __forceinline__ void add_factor_grad(const kron_shape &s, int rows,
                                                       const float *x, const float *g,
                                                       float (&sum)[TILE][TILE])
{
    const tile_share t = find_share(s, AXIS);
    const int lines = line_count<AXIS>(s, rows), stride = line_stride<AXIS>(s),
              last = s.n[AXIS] - 1;
    for (int line = t.busy ? t.first : lines; line < lines; line += t.each) {
        const int start = line_start<AXIS>(s, (unsigned)line);
        float a[TILE], b[TILE];
#pragma unroll
        for (int k = 0; k < TILE; k++) {
            a[k] = x[start + min(t.i + k, last) * stride];
            b[k] = g[start + min(t.j + k, last) * stride];
        }
#pragma unroll
        for (int k = 0; k < TILE * TILE; k++) sum[k / TILE][k % TILE] += a[k / TILE] * b[k % TILE];
    }
}

/* to [n,n], in shared memory, = the block's sums: lanes of a tile, then its warps in order. */
static __device__ __forceinline__ void join_factor_grad(const kron_shape &s, int axis,
                                                        float (&sum)[TILE][TILE], float *to)
{
    __shared__ float room[WARPS][TILE * TILE];
    const tile_share t = find_share(s, axis);
    const int lanes = min(t.each, WARP), n = s.n[axis];
    for (int distance = 1; distance < lanes; distance *= 2)
#pragma unroll
        for (int k = 0; k < TILE * TILE; k++)
            sum[k / TILE][k % TILE] +=
                __shfl_xor_sync(0xffffffffu, sum[k / TILE][k % TILE], distance);
    __syncthreads(); /* the axis before may be reading room */
    if (threadIdx.x % WARP == 0)
#pragma unroll
        for (int k = 0; k < TILE * TILE; k++) room[threadIdx.x / WARP][k] = sum[k / TILE][k % TILE];
    __syncthreads();
    if (!t.busy || t.first) return;
#pragma unroll
    for (int k = 0; k < TILE; k++) {
        float total[TILE];
#pragma unroll
        for (int j = 0; j < TILE; j++) {
            total[j] = sum[k][j];
            for (int warp = 1; warp < t.each / WARP; warp++)
                total[j] += room[threadIdx.x / WARP + warp][k * TILE + j];
        }
        if (t.i + k < n) store_raw<TILE>(total, n - t.j, to + (t.i + k) * n + t.j);
    }
}

template <typename T>
__global__ void __launch_bounds__(THREADS) kron_rotate_grad_kernel(kron_tensors u, kron_shape s)
{
    float *M[3], *back[3], *next = (float *)kron_room, *buffer[BACKWARD_BUFFERS];
    float sums[3][TILE][TILE] = {};
    for (int k = 0; k < 3; k++) {
        M[k] = next;
        back[k] = next + s.n[k] * s.padded[k];
        load_factor(u.R[k], s.n[k], s.padded[k], u.transposed ? back[k] : M[k],
                    u.transposed ? M[k] : back[k]);
        next += 2 * s.n[k] * s.padded[k];
    }
    for (int k = 0; k < BACKWARD_BUFFERS; k++) buffer[k] = next + k * s.row * s.block_rows;
    const int64_t n = (int64_t)s.n[0] * s.n[1] * s.n[2], first = blockIdx.x * s.chunk_rows;
    const int64_t end = min(first + s.chunk_rows, u.rows);
    for (int64_t row = first; row < end; row += s.block_rows) {
        const int rows = (int)min((int64_t)s.block_rows, end - row);
        const T *x = (const T *)u.x + row * n;
        float *t2 = buffer[0], *t1 = buffer[1], *g = buffer[2];
        load_rows(s, x, rows, t2);
        rotate<2>(s, rows, M[2], t2, t1);
        rotate<1>(s, rows, M[1], t1, t2);
        load_rows(s, (const T *)u.dz + row * n, rows, g);
        add_factor_grad<0>(s, rows, t2, g, sums[0]);
        __syncthreads();
        rotate<0>(s, rows, back[0], g, t2);
        add_factor_grad<1>(s, rows, t1, t2, sums[1]);
        __syncthreads();
        rotate<1>(s, rows, back[1], t2, g);
        load_rows(s, x, rows,
                  t1); /* again: from the second-level cache, as three buffers fit more rows */
        add_factor_grad<2>(s, rows, t1, g, sums[2]);
        rotate<2>(s, rows, back[2], g, t2);
        store_rows(s, t2, rows, (T *)u.y + row * n);
        __syncthreads();
    }
    /* The factors have been read: in their place the sums become one row for the block. */
    float *joined = (float *)kron_room;
    int total = 0;
#pragma unroll
    for (int k = 0; k < 3; k++) {
        join_factor_grad(s, k, sums[k], joined + total);
        total += s.n[k] * s.n[k];
    }
    __syncthreads();
    float *partial = u.partial + (int64_t)blockIdx.x * total;
    for (int i = threadIdx.x; i < total; i += THREADS) partial[i] = joined[i];
}

/* Block: 32 elements of the three gradients, which lie one behind the other in a partial sum. */
__global__ void __launch_bounds__(JOIN_THREADS)
    kron_join_kernel(kron_tensors u, int64_t blocks, int total)
{
    __shared__ join_room room;
    int i = (int)blockIdx.x * JOIN_COLUMNS + threadIdx.x % JOIN_COLUMNS;
    const double sum = join_chunks(u.partial + i, blocks, total, i < total, room);
    if (threadIdx.x >= JOIN_COLUMNS || i >= total) return;
    int n = u.n[0];
    float *dR = u.dR[0];
#pragma unroll
    for (int k = 1; k < 3; k++)
        if (i >= n * n) i -= n * n, n = u.n[k], dR = u.dR[k];
    dR[u.transposed ? i % n * n + i / n : i] = (float)sum;
}

size_t kron_rotate_shared(const kron_tensors *u, bool grad)
{
    const kron_shape s = measure(u, grad);
    return shared_bytes(s, grad ? 2 : 1, grad ? BACKWARD_BUFFERS : FORWARD_BUFFERS);
}

size_t kron_rotate_scratch(const kron_tensors *u)
{
    int64_t squares = 0;
    for (int k = 0; k < 3; k++) squares += (int64_t)u->n[k] * u->n[k];
    return sizeof(float) * (size_t)(ceil_div(u->rows, measure(u, true).chunk_rows) * squares);
}

/* Blocks may have more than 48 KiB only if they say so beforehand. */
template <typename K>
static cudaError_t launch_wide(K kernel, int64_t blocks, size_t shared, cudaStream_t stream,
                               const kron_tensors *u, const kron_shape &s)
{
    if (shared > PLENTY_BYTES) {
        const cudaError_t e = cudaFuncSetAttribute(
            (const void *)kernel, cudaFuncAttributeMaxDynamicSharedMemorySize, (int)shared);
        if (e != cudaSuccess) return e;
    }
    return launch(kernel, blocks, THREADS, shared, stream, *u, s);
}

cudaError_t launch_kron_rotate(bool is_bf16, const kron_tensors *u, cudaStream_t stream)
{
    const kron_shape s = measure(u, false);
    return by_type(is_bf16, [&](auto zero) {
        return launch_wide(kron_rotate_kernel<decltype(zero)>, ceil_div(u->rows, s.block_rows),
                           kron_rotate_shared(u, false), stream, u, s);
    });
}

cudaError_t launch_kron_rotate_grad(bool is_bf16, const kron_tensors *u, cudaStream_t stream)
{
    const kron_shape s = measure(u, true);
    const int64_t blocks = ceil_div(u->rows, s.chunk_rows);
    const int total = u->n[0] * u->n[0] + u->n[1] * u->n[1] + u->n[2] * u->n[2];
    const cudaError_t e = by_type(is_bf16, [&](auto zero) {
        return launch_wide(kron_rotate_grad_kernel<decltype(zero)>, blocks,
                           kron_rotate_shared(u, true), stream, u, s);
    });
    if (e != cudaSuccess) return e;
    return launch(kron_join_kernel, ceil_div(total, JOIN_COLUMNS), JOIN_THREADS, 0, stream, *u,
                  blocks, total);
}
