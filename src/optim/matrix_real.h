/* matrix_real.h: small dense matrices, included once per type (no #pragma once).
 *
 * Expects REAL, LANES (REALs in 64 bytes) and NAME(f). Rows are `ld` long, a multiple of LANES, and
 * start on 64 bytes; the columns past the last are zero and stay zero, so no kernel has a column
 * tail. Sizes are those of rotation factors, 4 to a few hundred: no packing, no cache blocking. */

#ifdef __x86_64__
#define TARGET __attribute__((target("avx512f,fma")))
#define VECTOR_BYTES 64
#define COPY(f) NAME(f##_avx512)
#include "optim/matrix_product.h"

#define TARGET __attribute__((target("avx2,fma")))
#define VECTOR_BYTES 32
#define COPY(f) NAME(f##_avx2)
#include "optim/matrix_product.h"
#endif

#define TARGET
#define VECTOR_BYTES 16
#define COPY(f) NAME(f##_base)
#include "optim/matrix_product.h"

/* C [rows,..] = op(A) [rows,depth] B [depth,..], op given by A's strides. C overlaps neither. */
static void NAME(product)(REAL *C, const REAL *A, int64_t rs, int64_t cs, const REAL *B, int64_t ld,
                          int rows, int depth)
{
#ifdef __x86_64__
    if (isa_allows(ISA_AVX512)) {
        NAME(multiply_avx512)(C, A, rs, cs, B, ld, rows, depth);
        return;
    }
    if (isa_allows(ISA_AVX2)) {
        NAME(multiply_avx2)(C, A, rs, cs, B, ld, rows, depth);
        return;
    }
#endif
    NAME(multiply_base)(C, A, rs, cs, B, ld, rows, depth);
}

/* y += a x, over `count` elements */
static void NAME(add_scaled)(REAL *y, REAL a, const REAL *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) y[i] += a * x[i];
}

static void NAME(set_identity)(REAL *A, int m, int64_t ld)
{
    memset(A, 0, (size_t)(m * ld) * sizeof *A);
    for (int i = 0; i < m; i++) A[i * ld + i] = 1;
}

/* B [m,ld] <- A^-1 B by elimination with row pivots; A [m,ld] is destroyed. A is I - xi/2 with a
 * skew xi, or a Gram matrix of nearly orthonormal columns: never singular. */
static void NAME(solve)(REAL *A, REAL *B, int m, int64_t ld)
{
    for (int k = 0; k < m; k++) {
        int pivot = k;
        for (int i = k + 1; i < m; i++)
            if (fabs((double)A[i * ld + k]) > fabs((double)A[pivot * ld + k])) pivot = i;
        for (int64_t j = 0; pivot != k && j < ld; j++) {
            const REAL a = A[k * ld + j], b = B[k * ld + j];
            A[k * ld + j] = A[pivot * ld + j];
            A[pivot * ld + j] = a;
            B[k * ld + j] = B[pivot * ld + j];
            B[pivot * ld + j] = b;
        }
        for (int i = k + 1; i < m; i++) {
            const REAL factor = -A[i * ld + k] / A[k * ld + k];
            NAME(add_scaled)(A + i * ld, factor, A + k * ld, ld);
            NAME(add_scaled)(B + i * ld, factor, B + k * ld, ld);
        }
    }
    for (int k = m - 1; k >= 0; k--) {
        for (int j = k + 1; j < m; j++)
            NAME(add_scaled)(B + k * ld, -A[k * ld + j], B + j * ld, ld);
        for (int64_t j = 0; j < ld; j++) B[k * ld + j] /= A[k * ld + k];
    }
}

/* E <- exp(xi): Taylor series of order 14 on xi / 2^s with ||xi / 2^s||_F <= 1/2, squared s times.
 * The first term left out is 0.5^15 / 15! = 2e-17. E, T and S [m,ld] overlap nothing. */
static void NAME(exponential)(REAL *E, const REAL *xi, REAL *T, REAL *S, int m, int64_t ld)
{
    double square = 0;
    for (int64_t i = 0; i < m * ld; i++) square += (double)xi[i] * (double)xi[i];
    int squarings = 0; /* frexp and no loop: a sum that overflowed would never fall below */
    if (frexp(2 * sqrt(square), &squarings) == 0.5) squarings--;
    if (squarings < 0) squarings = 0;
    const REAL scale = (REAL)ldexp(1.0, -squarings);
    for (int64_t i = 0; i < m * ld; i++) S[i] = scale * xi[i];

    NAME(set_identity)(E, m, ld);
    for (int order = 14; order >= 1; order--) { /* E <- I + S E / order */
        NAME(product)(T, S, ld, 1, E, ld, m, m);
        NAME(set_identity)(E, m, ld);
        NAME(add_scaled)(E, (REAL)1 / (REAL)order, T, m * ld);
    }
    for (; squarings > 0; squarings--) {
        NAME(product)(T, E, ld, 1, E, ld, m, m);
        memcpy(E, T, (size_t)(m * ld) * sizeof *E);
    }
}

/* Z <- A^(-1/2) by coupled Newton-Schulz (Higham, Functions of Matrices, section 6.7):
 *
 *     f = ||A||_F ; P = A/f ; Z = I ; ten times: T = (3 I - Z P)/2, P <- P T, Z <- T Z ; Z / sqrt f
 *
 * The least eigenvalue of A/f is about 1/sqrt(m): fp32 needs 9 iterations at m = 1024.
 * A becomes P. Z, T and S [m,ld] overlap nothing. */
static void NAME(inverse_root)(REAL *Z, REAL *A, REAL *T, REAL *S, int m, int64_t ld)
{
    const size_t bytes = (size_t)(m * ld) * sizeof *A;
    double norm = 0;
    for (int64_t i = 0; i < m * ld; i++) norm += (double)A[i] * (double)A[i];
    norm = sqrt(norm);
    for (int64_t i = 0; i < m * ld; i++) A[i] = (REAL)((double)A[i] / norm);
    NAME(set_identity)(Z, m, ld);
    for (int iteration = 0; iteration < 10; iteration++) {
        NAME(product)(T, Z, ld, 1, A, ld, m, m);
        for (int64_t i = 0; i < m * ld; i++) T[i] *= (REAL)-0.5;
        for (int i = 0; i < m; i++) T[i * ld + i] += (REAL)1.5;
        NAME(product)(S, A, ld, 1, T, ld, m, m);
        memcpy(A, S, bytes);
        NAME(product)(S, T, ld, 1, Z, ld, m, m);
        memcpy(Z, S, bytes);
    }
    for (int64_t i = 0; i < m * ld; i++) Z[i] = (REAL)((double)Z[i] / sqrt(norm));
}
