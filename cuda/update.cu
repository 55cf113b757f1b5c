/* update: sums of gradients, their norm, and AdamW; the rules are those of comm/exact.h and
 * optim/adamw.h. A thread owns a number; sums over an array have UPDATE_BLOCKS parts, whatever its
 * length, so one order. */
#include <limits.h>

#include "comm/exact.h"
#include "cuda/launch.h"

#define MIX64_QUALIFIERS static __device__ __forceinline__
#include "core/mix64.h"

static constexpr int THREADS = 256;

static unsigned blocks_for(int64_t n) { return (unsigned)((n + THREADS - 1) / THREADS); }

struct least {
    static __device__ int64_t join(int64_t a, int64_t b) { return a < b ? a : b; }
};
struct sum {
    template <typename T> static __device__ T join(T a, T b) { return a + b; }
};
struct largest {
    static __device__ double join(double a, double b) { return a > b || isnan(a) ? a : b; }
};

/* The join of one value per thread, in one order, the same for all threads. */
template <typename JOIN, typename T> static __device__ T join_block(T value)
{
    __shared__ T room[THREADS];
    room[threadIdx.x] = value;
    __syncthreads();
    for (unsigned half = THREADS / 2; half > 0; half /= 2) {
        if (threadIdx.x < half)
            room[threadIdx.x] = JOIN::join(room[threadIdx.x], room[threadIdx.x + half]);
        __syncthreads();
    }
    return room[0];
}

static __global__ void __launch_bounds__(THREADS)
    find_part(const float *x, int64_t n, float bound, int64_t *parts)
{
    int64_t found = INT64_MAX;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (int64_t)UPDATE_BLOCKS * THREADS)
        if (!(fabsf(x[i]) < bound) && i < found) found = i;
    found = join_block<least>(found);
    if (threadIdx.x == 0) parts[blockIdx.x] = found;
}

static __global__ void __launch_bounds__(THREADS)
    find(const float *x, int64_t n, const int64_t *parts, update_notes notes, int64_t *refused)
{
    const int64_t i =
        join_block<least>(threadIdx.x < UPDATE_BLOCKS ? parts[threadIdx.x] : INT64_MAX);
    if (threadIdx.x > 0) return;
    const bool any = i < n;
    notes.list[(*notes.count)++] = {any ? i : -1, any ? x[i] : 0.0f, x[n - 1]};
    if (any && refused) ++*refused;
}

static __global__ void __launch_bounds__(THREADS)
    norm_part(const float *x, int64_t n, double *parts)
{
    double square = 0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (int64_t)UPDATE_BLOCKS * THREADS)
        square += (double)x[i] * (double)x[i];
    square = join_block<sum>(square);
    if (threadIdx.x == 0) parts[blockIdx.x] = square;
}

static __global__ void __launch_bounds__(THREADS) norm_of(const double *parts, double *norm)
{
    const double square = join_block<sum>(threadIdx.x < UPDATE_BLOCKS ? parts[threadIdx.x] : 0.0);
    if (threadIdx.x == 0) *norm = sqrt(square);
}

cudaError_t launch_norm(const float *x, int64_t n, double *parts, double *norm, cudaStream_t stream)
{
    norm_part<<<UPDATE_BLOCKS, THREADS, 0, stream>>>(x, n, parts);
    norm_of<<<1, THREADS, 0, stream>>>(parts, norm);
    return cudaGetLastError();
}

/* Its terms are those of core/checksum.h. */
static __global__ void __launch_bounds__(THREADS)
    checksum_part(const float *x, int64_t n, uint64_t *parts)
{
    uint64_t total = 0;
    for (int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x; i < n;
         i += (int64_t)UPDATE_BLOCKS * THREADS)
        total += mix64((uint64_t)i << 32 | __float_as_uint(x[i]));
    total = join_block<sum>(total);
    if (threadIdx.x == 0) parts[blockIdx.x] = total;
}

static __global__ void __launch_bounds__(THREADS)
    checksum_of(const uint64_t *parts, uint64_t *checksum)
{
    const uint64_t total =
        join_block<sum>(threadIdx.x < UPDATE_BLOCKS ? parts[threadIdx.x] : (uint64_t)0);
    if (threadIdx.x == 0) *checksum = total;
}

cudaError_t launch_checksum(const float *x, int64_t n, uint64_t *parts, uint64_t *checksum,
                            cudaStream_t stream)
{
    checksum_part<<<UPDATE_BLOCKS, THREADS, 0, stream>>>(x, n, parts);
    checksum_of<<<1, THREADS, 0, stream>>>(parts, checksum);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(THREADS)
    largest_of(const double *x, int64_t count, double *result)
{
    double most = 0;
    for (int64_t i = threadIdx.x; i < count; i += THREADS) most = largest::join(most, x[i]);
    most = join_block<largest>(most);
    if (threadIdx.x == 0) *result = most;
}

cudaError_t launch_largest(const double *x, int64_t count, double *result, cudaStream_t stream)
{
    largest_of<<<1, THREADS, 0, stream>>>(x, count, result);
    return cudaGetLastError();
}

/* The factor of optim/grad_clip.h. */
static __global__ void __launch_bounds__(THREADS)
    clip(const double *norm, const double *limit, float *x, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    const double factor = *limit / (*norm + 1e-6);
    if (i < n && isfinite(*norm) && *limit > 0 && factor < 1) x[i] *= (float)factor;
}

cudaError_t launch_clip(const double *norm, const double *limit, float *x, int64_t n,
                        cudaStream_t stream)
{
    clip<<<blocks_for(n), THREADS, 0, stream>>>(norm, limit, x, n);
    return cudaGetLastError();
}

static __device__ const update_found &last_of(const update_notes &notes)
{
    return notes.list[*notes.count - 1];
}

/* add_one of comm/exact.c; limb j of number i is limbs[j n + i]: a warp moves whole sectors. */
static __global__ void __launch_bounds__(THREADS)
    exact_add(int64_t *limbs, const float *x, int64_t n, update_notes notes)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n || last_of(notes).where >= 0) return;
    const unsigned bits = __float_as_uint(x[i]);
    const int exponent = (int)(bits >> 23 & 255);
    int64_t mantissa = bits & 0x7fffff;
    if (exponent) mantissa |= 0x800000;
    int place = (exponent ? exponent : 1) - 150 - EXACT_LOWEST;
    if (place < 0) {
        mantissa = place > -24 ? mantissa >> -place : 0;
        place = 0;
    }
    int64_t *limb = limbs + place / EXACT_LIMB_BITS * n + i;
    const int64_t shifted = mantissa << (place % EXACT_LIMB_BITS);
    const int64_t low = shifted & EXACT_LIMB_MASK, high = shifted >> EXACT_LIMB_BITS;
    const int64_t sign = bits >> 31 ? -1 : 1;
    limb[0] += sign * low;
    if (high) limb[n] += sign * high;
}

static __global__ void __launch_bounds__(THREADS)
    plain_add(float *total, const float *x, int64_t n, update_notes notes)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i < n) total[i] = last_of(notes).where < 0 ? total[i] + x[i] : NAN;
}

cudaError_t launch_add_to_sum(int64_t *limbs, float *total, const float *x, int64_t n,
                              int64_t *parts, update_notes notes, cudaStream_t stream)
{
    find_part<<<UPDATE_BLOCKS, THREADS, 0, stream>>>(x, n, limbs ? 0x1p49f : INFINITY, parts);
    find<<<1, THREADS, 0, stream>>>(x, n, parts, notes, limbs ? limbs + EXACT_LIMBS * n : nullptr);
    if (limbs)
        exact_add<<<blocks_for(n), THREADS, 0, stream>>>(limbs, x, n, notes);
    else
        plain_add<<<blocks_for(n), THREADS, 0, stream>>>(total, x, n, notes);
    return cudaGetLastError();
}

static __device__ void normalise(int64_t (&limb)[EXACT_LIMBS])
{
#pragma unroll
    for (int j = 0; j + 1 < EXACT_LIMBS; j++) {
        const int64_t carry = limb[j] >> EXACT_LIMB_BITS;
        limb[j] -= carry * (EXACT_LIMB_MASK + 1);
        limb[j + 1] += carry;
    }
}

/* The value of normalised, non-negative limbs, to 24 bits, half to even. The 64 bits from the
 * leading one on are 24 to keep and 40 that decide, with `sticky` for all below them. */
static __device__ float round_magnitude(const int64_t (&limb)[EXACT_LIMBS])
{
    uint64_t top = 0, next = 0;
    bool sticky = false;
    int number = 0;
#pragma unroll
    for (int j = EXACT_LIMBS - 1; j >= 0; j--) {
        if (top == 0) {
            top = (uint64_t)limb[j];
            number = j;
            next = j > 0 ? (uint64_t)limb[j > 0 ? j - 1 : 0] : 0;
        } else if (j < number - 1) {
            sticky |= limb[j] != 0;
        }
    }
    if (top == 0) return 0;
    const int shift = __clzll((long long)top);
    uint64_t word = top << shift;
    if (shift >= EXACT_LIMB_BITS) {
        word |= next << (shift - EXACT_LIMB_BITS);
    } else {
        word |= next >> (EXACT_LIMB_BITS - shift);
        sticky |= (next & (((uint64_t)1 << (EXACT_LIMB_BITS - shift)) - 1)) != 0;
    }
    const uint64_t half = (uint64_t)1 << 39, rest = word & (2 * half - 1);
    uint64_t kept = word >> 40;
    if (rest > half || (rest == half && (sticky || (kept & 1)))) kept++;
    const int64_t exponent = 40 - shift + EXACT_LIMB_BITS * number + EXACT_LOWEST;
    return (float)((double)kept * __longlong_as_double((1023 + exponent) << 52));
}

static __global__ void __launch_bounds__(THREADS)
    exact_round(int64_t *limbs, float factor, float *x, int64_t n)
{
    const int64_t i = (int64_t)blockIdx.x * THREADS + threadIdx.x;
    if (i >= n) return;
    int64_t limb[EXACT_LIMBS];
#pragma unroll
    for (int j = 0; j < EXACT_LIMBS; j++) limb[j] = limbs[j * n + i];
    normalise(limb);
#pragma unroll
    for (int j = 0; j < EXACT_LIMBS; j++) limbs[j * n + i] = limb[j];
    const bool negative = limb[EXACT_LIMBS - 1] < 0;
    if (negative) {
#pragma unroll
        for (int j = 0; j < EXACT_LIMBS; j++) limb[j] = -limb[j];
        normalise(limb);
    }
    const float size = round_magnitude(limb);
    if (limbs[EXACT_LIMBS * n] > 0) factor = NAN; /* arrays were refused */
    x[i] = factor * (negative ? -size : size);
}

cudaError_t launch_exact_round(int64_t *limbs, float factor, float *x, int64_t n,
                               cudaStream_t stream)
{
    exact_round<<<blocks_for(n), THREADS, 0, stream>>>(limbs, factor, x, n);
    return cudaGetLastError();
}

static __global__ void __launch_bounds__(THREADS)
    adamw(const adamw_rule *rule, const adamw_piece *pieces, const double *norm)
{
    static_assert(THREADS == UPDATE_PIECE, "a thread an element");
    const adamw_piece p = pieces[blockIdx.x];
    const int i = (int)threadIdx.x;
    if (i >= p.count || !isfinite(*norm)) return;
    const adamw_rule r = *rule;
    const double gi = (double)p.g[i];
    const float m = (float)(r.beta1 * (double)p.m[i] + (1 - r.beta1) * gi);
    const float v = (float)(r.beta2 * (double)p.v[i] + (1 - r.beta2) * gi * gi);
    const double denominator = sqrt((double)v / r.correction2) + r.eps;
    p.m[i] = m;
    p.v[i] = v;
    p.x[i] = (float)((double)p.x[i] * r.keep - r.rate * (double)m / denominator);
}

cudaError_t launch_adamw(const adamw_rule *rule, const adamw_piece *pieces, unsigned count,
                         const double *norm, cudaStream_t stream)
{
    adamw<<<count, THREADS, 0, stream>>>(rule, pieces, norm);
    return cudaGetLastError();
}
