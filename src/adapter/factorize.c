#include "adapter/factorize.h"

#include <lapacke.h>
#include <math.h>
#include <stdlib.h>

#include "adapter/lapack.h"

/* A copy of w in fp64. Row-major [m,n] is column-major [n,m]: LAPACK sees w'. */
static soda_status widen(const float *w, int64_t m, int64_t n, double *wide)
{
    lapack_use_one_thread();
    for (int64_t i = 0; i < m * n; i++) {
        wide[i] = (double)w[i];
        if (!isfinite(w[i]))
            return FAIL(SODA_ERR_NUMERIC, "element [%lld,%lld] of the weight is not finite",
                        (long long)(i / n), (long long)(i % n));
    }
    return SODA_OK;
}

/* Rounds pair i of column i of U [m,k] and row i of Vh [k,n], signed by U. */
static void round_pair(const double *u, const double *vh, int64_t i, int64_t m, int64_t n,
                       int64_t k, float *U, float *Vh)
{
    int64_t largest = 0;
    for (int64_t r = 1; r < m; r++)
        if (fabs(u[r * k + i]) > fabs(u[largest * k + i])) largest = r;
    const double sign = u[largest * k + i] < 0 ? -1 : 1;
    for (int64_t r = 0; r < m; r++) U[r * k + i] = (float)(sign * u[r * k + i]);
    for (int64_t c = 0; c < n; c++) Vh[i * n + c] = (float)(sign * vh[i * n + c]);
}

/* With w' = A S B column-major, w = B' S A': what LAPACK calls U of w' is our Vh, row-major. */
soda_status factorize_svd(const float *w, int64_t m, int64_t n, float *U, float *s, float *Vh)
{
    soda_status status = SODA_OK;
    const int64_t k = m < n ? m : n;
    double *wide = malloc((size_t)(m * n) * sizeof *wide);
    double *u = malloc((size_t)(m * k) * sizeof *u);
    double *vh = malloc((size_t)(k * n) * sizeof *vh);
    double *sigma = malloc((size_t)k * sizeof *sigma);
    if (!wide || !u || !vh || !sigma) {
        status = FAIL(SODA_ERR_MEMORY, "out of memory for the SVD of a %lld x %lld weight",
                      (long long)m, (long long)n);
        goto done;
    }
    status = widen(w, m, n, wide);
    if (status != SODA_OK) goto done;
    const lapack_int info =
        LAPACKE_dgesdd(LAPACK_COL_MAJOR, 'S', (lapack_int)n, (lapack_int)m, wide, (lapack_int)n,
                       sigma, vh, (lapack_int)n, u, (lapack_int)k);
    if (info) {
        status = FAIL(info == LAPACK_WORK_MEMORY_ERROR ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                      "the SVD of a %lld x %lld weight failed: dgesdd says %d", (long long)m,
                      (long long)n, (int)info);
        goto done;
    }
    for (int64_t i = 0; i < k; i++) {
        s[i] = (float)sigma[i];
        round_pair(u, vh, i, m, n, k, U, Vh);
    }
done:
    free(wide);
    free(u);
    free(vh);
    free(sigma);
    return status;
}

/* w' = Q R column-major, so w = R' Q': the columns of Q are our rows, and diag(L) = diag(R). */
soda_status factorize_lq(const float *w, int64_t m, int64_t n, float *Q, float *diagonal)
{
    soda_status status = SODA_OK;
    const int64_t k = m < n ? m : n;
    double *wide = malloc((size_t)(m * n) * sizeof *wide);
    double *tau = malloc((size_t)k * sizeof *tau);
    if (!wide || !tau) {
        status = FAIL(SODA_ERR_MEMORY, "out of memory for the LQ of a %lld x %lld weight",
                      (long long)m, (long long)n);
        goto done;
    }
    status = widen(w, m, n, wide);
    if (status != SODA_OK) goto done;
    lapack_int info =
        LAPACKE_dgeqrf(LAPACK_COL_MAJOR, (lapack_int)n, (lapack_int)m, wide, (lapack_int)n, tau);
    for (int64_t i = 0; i < k && !info; i++) diagonal[i] = (float)wide[i * n + i];
    if (!info)
        info = LAPACKE_dorgqr(LAPACK_COL_MAJOR, (lapack_int)n, (lapack_int)k, (lapack_int)k, wide,
                              (lapack_int)n, tau);
    if (info) {
        status = FAIL(info == LAPACK_WORK_MEMORY_ERROR ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                      "the LQ of a %lld x %lld weight failed: LAPACK says %d", (long long)m,
                      (long long)n, (int)info);
        goto done;
    }
    for (int64_t i = 0; i < k; i++) {
        const double sign = diagonal[i] < 0 ? -1 : 1;
        diagonal[i] = fabsf(diagonal[i]);
        for (int64_t c = 0; c < n; c++) Q[i * n + c] = (float)(sign * wide[i * n + c]);
    }
done:
    free(wide);
    free(tau);
    return status;
}
