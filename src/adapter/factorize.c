#include "adapter/factorize.h"

#include <math.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "adapter/lapack.h"

static const factorize_library *library;                 /* NULL: LAPACK */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER; /* of the library */

void factorize_by(const factorize_library *chosen) { library = chosen; }

void factorize_name(const factorize_kind *kind, char *name, size_t size)
{
    snprintf(name, size, "%s%s%s", kind->name, library ? "." : "", library ? library->name : "");
}

static soda_status failed(const char *what, int64_t m, int64_t n, int info)
{
    return FAIL(info == LAPACK_NO_MEMORY ? SODA_ERR_MEMORY : SODA_ERR_NUMERIC,
                "the %s of a %lld x %lld weight failed: LAPACK's info is %d", what, (long long)m,
                (long long)n, info);
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

/* wide [n,m] column-major = vh diag(sigma) u */
static soda_status decompose(double *wide, int64_t m, int64_t n, double *vh, double *sigma,
                             double *u)
{
    const lapack_routines *lapack;
    if (library) {
        pthread_mutex_lock(&turn);
        const soda_status s = library->svd(n, m, wide, vh, sigma, u);
        pthread_mutex_unlock(&turn);
        return status_prefix(s, "the SVD of a %lld x %lld weight", (long long)m, (long long)n);
    }
    TRY(lapack_enter(&lapack));
    const int info = lapack->svd('S', (int)n, (int)m, wide, sigma, vh, u);
    lapack_leave();
    return info ? failed("SVD", m, n, info) : SODA_OK;
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
    if (status == SODA_OK) status = decompose(wide, m, n, vh, sigma, u);
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

/* wide [n,m] column-major = QR: diagonal [k] is that of R, the first k columns of wide become Q. */
static soda_status orthogonalize(double *wide, int64_t m, int64_t n, double *tau, double *diagonal)
{
    const int64_t k = m < n ? m : n;
    const lapack_routines *lapack;
    if (library) {
        pthread_mutex_lock(&turn);
        const soda_status s = library->qr(n, m, wide, diagonal);
        pthread_mutex_unlock(&turn);
        return status_prefix(s, "the LQ of a %lld x %lld weight", (long long)m, (long long)n);
    }
    TRY(lapack_enter(&lapack));
    int info = lapack->qr((int)n, (int)m, wide, tau);
    for (int64_t i = 0; i < k && !info; i++) diagonal[i] = wide[i * n + i];
    if (!info) info = lapack->qr_q((int)n, (int)k, (int)k, wide, tau);
    lapack_leave();
    return info ? failed("LQ", m, n, info) : SODA_OK;
}

/* w' = Q R column-major, so w = R' Q': the columns of Q are our rows, and diag(L) = diag(R). */
soda_status factorize_lq(const float *w, int64_t m, int64_t n, float *Q, float *diagonal)
{
    soda_status status = SODA_OK;
    const int64_t k = m < n ? m : n;
    double *wide = malloc((size_t)(m * n) * sizeof *wide);
    double *tau = malloc((size_t)k * sizeof *tau), *shift = malloc((size_t)k * sizeof *shift);
    if (!wide || !tau || !shift) {
        status = FAIL(SODA_ERR_MEMORY, "out of memory for the LQ of a %lld x %lld weight",
                      (long long)m, (long long)n);
        goto done;
    }
    status = widen(w, m, n, wide);
    if (status == SODA_OK) status = orthogonalize(wide, m, n, tau, shift);
    if (status != SODA_OK) goto done;
    for (int64_t i = 0; i < k; i++) {
        const double sign = (float)shift[i] < 0 ? -1 : 1;
        diagonal[i] = fabsf((float)shift[i]);
        for (int64_t c = 0; c < n; c++) Q[i * n + c] = (float)(sign * wide[i * n + c]);
    }
done:
    free(wide);
    free(tau);
    free(shift);
    return status;
}

static soda_shape svd_shape(int64_t m, int64_t n, int i)
{
    const int64_t k = m < n ? m : n;
    return i == 0 ? SHAPE(m, k) : i == 1 ? SHAPE(k) : SHAPE(k, n);
}

static soda_status svd_compute(const float *w, int64_t m, int64_t n, float *const array[3])
{
    return factorize_svd(w, m, n, array[0], array[1], array[2]);
}

static soda_shape lq_shape(int64_t m, int64_t n, int i)
{
    const int64_t k = m < n ? m : n;
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
