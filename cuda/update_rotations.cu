/* update_rotations: one step of the Stiefel optimizers, the formulas of optim/stiefel.h and
 * optim/stiefel_real.h in fp32 with cross products in fp64. A block owns a matrix, a thread every
 * THREADS-th element of each result; scratch lies in global memory, where any size has room. Every
 * function here is called by all threads of a block and ends with a barrier. */
#include <math.h>

#include "cuda/launch.h"

static constexpr int THREADS = 256, WARP = 32;

/* stiefel_rule, each number rounded once. */
struct rotation_rule {
    bool adam;
    int retraction;
    float c, keep, take, rate, beta2, rest2, eps, correction2, lr, turn;
};

static __device__ rotation_rule rounded(const stiefel_rule *r)
{
    return {r->adam,        r->retraction,         (float)r->c,     (float)r->keep,
            (float)r->take, (float)r->rate,        (float)r->beta2, (float)r->rest2,
            (float)r->eps,  (float)r->correction2, (float)r->lr,    (float)r->turn};
}

/* Calls `f` for this thread's part of 0 .. count-1. */
template <typename F> static __device__ void each(int count, F f)
{
    for (int i = (int)threadIdx.x; i < count; i += THREADS) f(i);
    __syncthreads();
}

/* C [rows,columns] = A [rows,depth] B [depth,columns] */
static __device__ void product(float *C, const float *A, const float *B, int rows, int depth,
                               int columns)
{
    each(rows * columns, [=](int e) {
        const float *a = A + e / columns * depth, *b = B + e % columns;
        float sum = 0;
        for (int k = 0; k < depth; k++) sum += a[k] * b[k * columns];
        C[e] = sum;
    });
}

static __device__ double cross_element(const float *A, const float *B, int n, int m, int e)
{
    const float *a = A + e / m, *b = B + e % m;
    double sum = 0;
    for (int k = 0; k < n; k++) sum += (double)a[k * m] * (double)b[k * m];
    return sum;
}

/* C [m,m] = A' B of A, B [n,m] */
static __device__ void cross(float *C, const float *A, const float *B, int n, int m)
{
    each(m * m, [=](int e) { C[e] = (float)cross_element(A, B, n, m, e); });
}

/* y += a x */
static __device__ void add_scaled(float *y, float a, const float *x, int count)
{
    each(count, [=](int i) { y[i] += a * x[i]; });
}

/* y = a x + b I of [m,m] */
static __device__ void scale_shift(float *y, float a, const float *x, float b, int m)
{
    each(m * m, [=](int e) { y[e] = a * x[e] + (e / m == e % m ? b : 0.0f); });
}

static __device__ void copy(float *y, const float *x, int count)
{
    each(count, [=](int i) { y[i] = x[i]; });
}

/* The sum of f(i) over 0 .. count-1, the same for all threads. */
template <typename F> static __device__ double total(int count, F f)
{
    __shared__ double room[THREADS];
    double sum = 0;
    for (int i = (int)threadIdx.x; i < count; i += THREADS) sum += f(i);
    room[threadIdx.x] = sum;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half) room[threadIdx.x] += room[threadIdx.x + half];
        __syncthreads();
    }
    sum = room[0];
    __syncthreads(); /* the room is used again */
    return sum;
}

static __device__ double square_of(const float *x, int count)
{
    return total(count, [=](int i) { return (double)x[i] * (double)x[i]; });
}

/* The row from k on whose element in column k is largest; the first of equal ones. */
static __device__ int find_pivot(const float *A, int k, int m)
{
    __shared__ int found;
    if (threadIdx.x < WARP) {
        int row = k;
        float size = -1;
        for (int i = k + (int)threadIdx.x; i < m; i += WARP)
            if (fabsf(A[i * m + k]) > size) {
                size = fabsf(A[i * m + k]);
                row = i;
            }
        for (int distance = WARP / 2; distance > 0; distance /= 2) {
            const float other = __shfl_xor_sync(0xffffffffu, size, distance);
            const int its_row = __shfl_xor_sync(0xffffffffu, row, distance);
            if (other > size || (other == size && its_row < row)) {
                size = other;
                row = its_row;
            }
        }
        if (threadIdx.x == 0) found = row;
    }
    __syncthreads();
    const int pivot = found;
    __syncthreads();
    return pivot;
}

/* B [m,m] <- A^-1 B by elimination with row pivots; A is destroyed. */
static __device__ void solve(float *A, float *B, int m)
{
    for (int k = 0; k < m; k++) {
        const int pivot = find_pivot(A, k, m);
        if (pivot != k)
            each(2 * m, [=](int e) {
                float *M = e < m ? A : B;
                const float upper = M[k * m + e % m];
                M[k * m + e % m] = M[pivot * m + e % m];
                M[pivot * m + e % m] = upper;
            });
        const int rows = m - k - 1;
        each(2 * rows * m, [=](int e) { /* column k of A stays: the others need it */
                                        const int i = k + 1 + e % (rows * m) / m, j = e % m;
                                        const float factor = -A[i * m + k] / A[k * m + k];
                                        if (e >= rows * m)
                                            B[i * m + j] += factor * B[k * m + j];
                                        else if (j > k)
                                            A[i * m + j] += factor * A[k * m + j];
        });
    }
    each(m, [=](int j) { /* a thread owns a column */
                         for (int k = m - 1; k >= 0; k--) {
                             float b = B[k * m + j];
                             for (int i = k + 1; i < m; i++) b += -A[k * m + i] * B[i * m + j];
                             B[k * m + j] = b / A[k * m + k];
                         }
    });
}

/* E <- exp(xi), as optim/matrix_real.h does it. E, T and S overlap nothing. */
static __device__ void exponential(float *E, const float *xi, float *T, float *S, int m)
{
    const double square = square_of(xi, m * m);
    int squarings = 0;
    if (isfinite(square)) {
        if (frexp(2 * sqrt(square), &squarings) == 0.5) squarings--;
        if (squarings < 0) squarings = 0;
    }
    const float scale = (float)ldexp(1.0, -squarings);
    scale_shift(S, scale, xi, 0, m);
    scale_shift(E, 0, S, 1, m);
    for (int order = 14; order >= 1; order--) {
        product(T, S, E, m, m, m);
        scale_shift(E, 1.0f / (float)order, T, 1, m);
    }
    for (; squarings > 0; squarings--) {
        product(T, E, E, m, m, m);
        copy(E, T, m * m);
    }
}

/* Z <- A^(-1/2), as optim/matrix_real.h does it; A is destroyed. */
static __device__ void inverse_root(float *Z, float *A, float *T, float *S, int m)
{
    const double norm = sqrt(square_of(A, m * m));
    each(m * m, [=](int e) { A[e] = (float)((double)A[e] / norm); });
    each(m * m, [=](int e) { Z[e] = e / m == e % m ? 1.0f : 0.0f; });
    for (int iteration = 0; iteration < 10; iteration++) {
        product(T, Z, A, m, m, m);
        scale_shift(T, -0.5f, T, 1.5f, m);
        product(S, A, T, m, m, m);
        copy(A, S, m * m);
        product(S, T, Z, m, m, m);
        copy(Z, S, m * m);
    }
    each(m * m, [=](int e) { Z[e] = (float)((double)Z[e] / sqrt(norm)); });
}

/* The scratch of a matrix: three [n,m], then six [m,m]. */
struct space {
    float *G, *W, *tall, *M, *xi, *E, *A, *B, *C;
};

static __device__ space cut(const rotation &x)
{
    const int tall = x.n * x.m, square = x.m * x.m;
    float *at = x.room + 3 * tall;
    return {x.room,          x.room + tall,   x.room + 2 * tall, at, at + square, at + 2 * square,
            at + 3 * square, at + 4 * square, at + 5 * square};
}

/* Y, p and the generator xi from M = X'G: a thread owns a pair (i,j), (j,i). */
static __device__ void generator(const rotation_rule &r, const rotation &x, const space &s)
{
    const int m = x.m;
    each(m * m, [&](int e) {
        const int i = e / m, j = e % m, lower = j * m + i;
        if (i == j) s.xi[e] = 0;
        if (i >= j) return;
        const float g = r.c * (s.M[e] - s.M[lower]);
        const float y = r.keep * x.Y[e] - r.take * g;
        float xi = r.rate * y;
        if (r.adam) {
            const float p = r.beta2 * x.p[e] + r.rest2 * (g * g);
            x.p[e] = x.p[lower] = p;
            xi /= sqrtf(p / r.correction2) + r.eps;
        }
        x.Y[e] = y;
        x.Y[lower] = -y;
        s.xi[e] = xi;
        s.xi[lower] = -xi;
    });
}

/* X <- X step(xi) */
static __device__ void retract(int retraction, const rotation &x, const space &s)
{
    const int n = x.n, m = x.m;
    if (retraction == STIEFEL_EULER) {
        product(s.tall, x.X, s.xi, n, m, m);
        add_scaled(x.X, 1, s.tall, n * m);
        return;
    }
    if (retraction == STIEFEL_CAYLEY) {
        scale_shift(s.A, -0.5f, s.xi, 1, m);
        scale_shift(s.E, 0.5f, s.xi, 1, m);
        solve(s.A, s.E, m);
    } else {
        exponential(s.E, s.xi, s.A, s.B, m);
    }
    product(s.tall, x.X, s.E, n, m, m);
    copy(x.X, s.tall, n * m);
}

/* X <- X (X'X)^(-1/2) */
static __device__ void polar(const rotation &x, const space &s)
{
    cross(s.A, x.X, x.X, x.n, x.m);
    inverse_root(s.E, s.A, s.B, s.C, x.m);
    product(s.tall, x.X, s.E, x.n, x.m, x.m);
    copy(x.X, s.tall, x.n * x.m);
}

/* V <- keep V - turn (V Y) - take gV, gV in s.G */
static __device__ void push_leaving(const rotation_rule &r, const rotation &x, const space &s)
{
    product(s.tall, x.V, x.Y, x.n, x.m, x.m);
    each(x.n * x.m,
         [&](int i) { x.V[i] = r.keep * x.V[i] - r.turn * s.tall[i] - r.take * s.G[i]; });
}

/* X <- X + lr W(X'X), V <- V - lr X(W'V) */
static __device__ void leave(const rotation_rule &r, const rotation &x, const space &s,
                             const float *W)
{
    const int n = x.n, m = x.m;
    cross(s.A, W, x.V, n, m);
    cross(s.B, x.X, x.X, n, m);
    product(s.tall, W, s.B, n, m, m);
    product(s.G, x.X, s.A, n, m, m); /* gV is used up */
    add_scaled(x.X, r.lr, s.tall, n * m);
    add_scaled(x.V, -r.lr, s.G, n * m);
}

/* W <- V / (sqrt(pV / correction2) + eps), then without its part in the columns of X. */
static __device__ void scale_leaving(const rotation_rule &r, const rotation &x, const space &s)
{
    const int n = x.n, m = x.m;
    each(n * m, [&](int i) { s.W[i] = x.V[i] / (sqrtf(x.pV[i] / r.correction2) + r.eps); });
    cross(s.A, x.X, x.X, n, m);
    cross(s.B, x.X, s.W, n, m);
    solve(s.A, s.B, m);
    product(s.tall, x.X, s.B, n, m, m);
    add_scaled(s.W, -1, s.tall, n * m);
}

static __device__ void one_step(const rotation_rule &r, const rotation &x, const space &s)
{
    const int n = x.n, m = x.m;
    const bool tall = n > m;
    cross(s.M, x.X, x.G, n, m);
    if (tall) {
        product(s.tall, x.X, s.M, n, m, m);
        each(n * m, [&](int i) {
            s.G[i] = x.G[i] - s.tall[i];
            if (r.adam) x.pV[i] = r.beta2 * x.pV[i] + r.rest2 * (s.G[i] * s.G[i]);
        });
        if (!r.adam) push_leaving(r, x, s);
    }
    generator(r, x, s);
    retract(r.retraction, x, s);
    if (tall && r.adam) {
        push_leaving(r, x, s);
        scale_leaving(r, x, s);
        leave(r, x, s, s.W);
    } else if (tall) {
        leave(r, x, s, x.V);
    }
    polar(x, s);
}

static __global__ void __launch_bounds__(THREADS)
    step(const stiefel_rule *rule, const rotation *rotations, const double *norm, double *drift)
{
    if (threadIdx.x == 0) drift[blockIdx.x] = 0;
    if (isfinite(*norm)) { /* the same for all threads */
        const rotation x = rotations[blockIdx.x];
        one_step(rounded(rule), x, cut(x));
        const double square = total(x.m * x.m, [&](int e) {
            const double d = cross_element(x.X, x.X, x.n, x.m, e) - (e / x.m == e % x.m);
            return d * d;
        });
        if (threadIdx.x == 0) drift[blockIdx.x] = sqrt(square);
    }
}

cudaError_t launch_rotations_step(const stiefel_rule *rule, const rotation *rotations,
                                  unsigned count, const double *norm, double *drift,
                                  cudaStream_t stream)
{
    step<<<count, THREADS, 0, stream>>>(rule, rotations, norm, drift);
    return cudaGetLastError();
}
