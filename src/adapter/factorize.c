#include "adapter/factorize.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/lapack.h"
#include "core/round.h"

static soda_status failed(int info)
{
    return info ? FAIL(info == LAPACK_NO_MEMORY ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                       "LAPACK failed: its info is %d", info)
                : SODA_OK;
}

/* dgesdd */
static soda_status lapack_svd(int64_t m, int64_t n, double *a, double *u, double *s, double *vt)
{
    const lapack_routines *lapack;
    TRY(lapack_enter(&lapack));
    const int info = lapack->svd('S', (int)m, (int)n, a, s, u, vt);
    lapack_leave();
    return failed(info);
}

/* dgeqrf, dorgqr */
static soda_status lapack_qr(int64_t m, int64_t n, double *a, double *diagonal)
{
    const int64_t k = min64(m, n);
    const lapack_routines *lapack;
    double *tau = malloc((size_t)k * sizeof *tau);
    if (!tau) return FAIL(SODA_ERR_MEMORY, "out of memory");
    const soda_status s = lapack_enter(&lapack);
    int info = 0;
    if (s == SODA_OK) {
        info = lapack->qr((int)m, (int)n, a, tau);
        for (int64_t i = 0; i < k && !info; i++) diagonal[i] = a[i * m + i];
        if (!info) info = lapack->qr_q((int)m, (int)k, (int)k, a, tau);
        lapack_leave();
    }
    free(tau);
    return s == SODA_OK ? failed(info) : s;
}

static const factorize_library by_lapack = {.name = "", .svd = lapack_svd, .qr = lapack_qr};
static const factorize_library *library = &by_lapack;

void factorize_by(const factorize_library *chosen) { library = chosen ? chosen : &by_lapack; }

void factorize_prepare(void)
{
    if (library == &by_lapack) lapack_prepare();
}

void factorize_name(const factorize_kind *kind, char *name, size_t size)
{
    snprintf(name, size, "%s%s%s", kind->name, *library->name ? "." : "", library->name);
}

/* A copy of w in fp64. Row-major [m,n] is column-major [n,m]: LAPACK sees w'. */
static soda_status widen(const float *w, int64_t m, int64_t n, double *wide)
{
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
    const int64_t k = min64(m, n);
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
    status = status_prefix(library->svd(n, m, wide, vh, sigma, u),
                           "the SVD of a %lld x %lld weight", (long long)m, (long long)n);
    if (status != SODA_OK) goto done;
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
    const int64_t k = min64(m, n);
    double *wide = malloc((size_t)(m * n) * sizeof *wide);
    double *shift = malloc((size_t)k * sizeof *shift); /* diag(L) */
    if (!wide || !shift) {
        status = FAIL(SODA_ERR_MEMORY, "out of memory for the LQ of a %lld x %lld weight",
                      (long long)m, (long long)n);
        goto done;
    }
    status = widen(w, m, n, wide);
    if (status != SODA_OK) goto done;
    status = status_prefix(library->qr(n, m, wide, shift), "the LQ of a %lld x %lld weight",
                           (long long)m, (long long)n);
    if (status != SODA_OK) goto done;
    for (int64_t i = 0; i < k; i++) {
        const double sign = (float)shift[i] < 0 ? -1 : 1;
        diagonal[i] = fabsf((float)shift[i]);
        for (int64_t c = 0; c < n; c++) Q[i * n + c] = (float)(sign * wide[i * n + c]);
    }
done:
    free(wide);
    free(shift);
    return status;
}

static soda_shape svd_shape(int64_t m, int64_t n, int i)
{
    const int64_t k = min64(m, n);
    return i == 0 ? SHAPE(m, k) : i == 1 ? SHAPE(k) : SHAPE(k, n);
}

static soda_status svd_compute(const float *w, int64_t m, int64_t n, float *const array[3])
{
    return factorize_svd(w, m, n, array[0], array[1], array[2]);
}

static soda_shape lq_shape(int64_t m, int64_t n, int i)
{
    const int64_t k = min64(m, n);
    return i == 0 ? SHAPE(k, n) : SHAPE(k);
}

static soda_status lq_compute(const float *w, int64_t m, int64_t n, float *const array[3])
{
    return factorize_lq(w, m, n, array[0], array[1]);
}

const factorize_kind factorize_kind_svd = {.name = "svd",
                                           .count = 3,
                                           .leaf = {"U", "s", "Vh"},
                                           .shape = svd_shape,
                                           .compute = svd_compute};
const factorize_kind factorize_kind_lq = {
    .name = "lq", .count = 2, .leaf = {"Q", "diagonal"}, .shape = lq_shape, .compute = lq_compute};
