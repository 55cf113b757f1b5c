/* factorize.h: the bases of SODA: thin SVD and thin LQ of a frozen weight in fp64, by LAPACK or
 * what a backend has for it.
 *
 * w [m,n] fp32 row-major, k = min(m,n). Results are rounded to fp32 once. Both functions may run in
 * several threads at a time (LAPACK itself then uses one thread each, so the bits depend on the
 * library and the kind of CPU alone), and need about five times the weight in fp64 as scratch.
 * SODA_ERR_NUMERIC if an element of w is not finite, or the iteration does not converge. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"
#include "core/tensor.h"

/* Counts up when results change for equal weights: caches of older results are then not used. */
enum { FACTORIZE_VERSION = 1 };

/* Who factorises: matrices are LAPACK's, fp64 column-major without padding, in the memory of the
 * host. Several threads call at a time. */
typedef struct factorize_library {
    const char *name; /* in the names of cached results, whose bits differ; LAPACK's is empty */
    /* a [m,n] = u diag(s) vt, k = min(m,n): u [m,k], s [k], falling, vt [k,n]; a is lost.
     * SODA_ERR_NUMERIC if it does not converge. */
    soda_status (*svd)(int64_t m, int64_t n, double *a, double *u, double *s, double *vt);
    /* a [m,n] = QR: its first k = min(m,n) columns become those of Q; diagonal [k] is that of R. */
    soda_status (*qr)(int64_t m, int64_t n, double *a, double *diagonal);
} factorize_library;

/* From now on; NULL: LAPACK. While no other thread factorises. */
void factorize_by(const factorize_library *library);

/* Before there are threads that factorise: lapack_prepare, if it is LAPACK that does. */
void factorize_prepare(void);

/* w = U diag(s) Vh: U [m,k] orthonormal columns, s [k] falling and not negative, Vh [k,n]
 * orthonormal rows. The element of each column of U that is largest in magnitude (the first of
 * equals) is positive. Golub & Van Loan, Matrix Computations, 8.6; LAPACK dgesdd. */
soda_status factorize_svd(const float *w, int64_t m, int64_t n, float *U, float *s, float *Vh);

/* w = L Q: Q [k,n] orthonormal rows, each signed so that diag(L) >= 0; diagonal [k] is diag(L).
 * The rest of L is not needed: W0 + diag(delta) Q shifts the diagonal. LAPACK dgeqrf on w'. */
soda_status factorize_lq(const float *w, int64_t m, int64_t n, float *Q, float *diagonal);

/* A factorisation as a list of arrays: what it is called in the cache, and what it is made of. */
typedef struct {
    const char *name;
    int count;
    const char *leaf[3];
    soda_shape (*shape)(int64_t m, int64_t n, int i);
    soda_status (*compute)(const float *w, int64_t m, int64_t n, float *const array[3]);
} factorize_kind;

/* The name of `kind` in the cache, with that of the library. */
void factorize_name(const factorize_kind *kind, char *name, size_t size);

/* U, s, Vh; Q, diagonal. */
extern const factorize_kind factorize_kind_svd, factorize_kind_lq;
