/* cuSOLVER's SVD and QR in fp64, by soda's LAPACK (adapter/lapack.h) on the host. Prototypes,
 * limits and info: NVIDIA, cuSOLVER 13.0.
 *
 *     CUSIM_SOLVER_INFO=N    what every factorisation leaves in devInfo */
#include "sim.h"

#include <cusolverDn.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/lapack.h"

/* Of the program that links this or loads it as a plugin. */
soda_status lapack_enter(const lapack_routines **routines) __attribute__((weak));
void lapack_leave(void) __attribute__((weak));

struct cusolverDnContext {
    cudaStream_t stream;
};

typedef enum { SVD, QR, QR_Q } routine;
typedef struct { /* enqueued */
    routine which;
    int m, n, k;
    double *a, *s, *u, *vt, *work; /* s: or tau */
    int lwork;
    int *out; /* devInfo */
} factorisation;

cusolverStatus_t cusolverDnCreate(cusolverDnHandle_t *handle)
{
    if (sim_fails(SIM_SOLVER)) return CUSOLVER_STATUS_ALLOC_FAILED;
    *handle = sim_alloc(sizeof **handle);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnDestroy(cusolverDnHandle_t handle)
{
    free(handle);
    return CUSOLVER_STATUS_SUCCESS;
}
cusolverStatus_t cusolverDnSetStream(cusolverDnHandle_t handle, cudaStream_t stream)
{
    handle->stream = stream;
    return CUSOLVER_STATUS_SUCCESS;
}

static double *array(double *p, int64_t count, bool read, const char *what)
{
    double *at = (double *)sim_memory_range(p, (size_t)count * sizeof *p, what);
    if (read) sim_memory_read(p, (size_t)count * sizeof *p, what);
    return at;
}

static void written(const double *p, int64_t count)
{
    sim_memory_written(p, (size_t)count * sizeof *p);
}

/* dgesdd fills u [m,k] and vt [k,n]; here k = n. */
static int run_svd(const factorisation *f, const lapack_routines *lapack)
{
    const int64_t m = f->m, n = f->n;
    const int info = lapack->svd('S', f->m, f->n, array(f->a, m * n, true, "gesvd"),
                                 array(f->s, n, false, "gesvd"), array(f->u, m * n, false, "gesvd"),
                                 array(f->vt, n * n, false, "gesvd"));
    written(f->s, n);
    written(f->u, m * n);
    written(f->vt, n * n);
    return info;
}

static int run_qr(const factorisation *f, const lapack_routines *lapack)
{
    const int64_t m = f->m, n = f->n, k = f->k;
    if (f->which == QR) {
        const int info = lapack->qr(f->m, f->n, array(f->a, m * n, true, "geqrf"),
                                    array(f->s, k, false, "geqrf"));
        written(f->s, k);
        return info;
    }
    return lapack->qr_q(f->m, f->n, f->k, array(f->a, m * n, true, "orgqr"),
                        array(f->s, k, true, "orgqr"));
}

static void run(void *context)
{
    const factorisation *f = context;
    const lapack_routines *lapack;
    const char *info = getenv("CUSIM_SOLVER_INFO");
    if (!lapack_enter || lapack_enter(&lapack) != SODA_OK) sim_die("cuSOLVER: no LAPACK here");
    array(f->work, f->lwork, false, "cuSOLVER's work space");
    int result = f->which == SVD ? run_svd(f, lapack) : run_qr(f, lapack);
    lapack_leave();
    if (info) result = atoi(info);
    memcpy(sim_memory_range(f->out, sizeof result, "devInfo"), &result, sizeof result);
    sim_memory_written(f->out, sizeof result);
}

static cusolverStatus_t start(cusolverDnHandle_t handle, const factorisation *f, int least)
{
    if (!handle) return CUSOLVER_STATUS_NOT_INITIALIZED;
    if (f->m < 1 || f->n < 1 || f->lwork < least) return CUSOLVER_STATUS_INVALID_VALUE;
    if (sim_lost() || sim_fails(SIM_SOLVER)) return CUSOLVER_STATUS_INTERNAL_ERROR;
    factorisation *own = sim_alloc(sizeof *own);
    *own = *f;
    sim_enqueue(handle->stream, run, own, "cuSOLVER");
    return CUSOLVER_STATUS_SUCCESS;
}

/* ---- SVD: m >= n, "Remark 1: gesvd only supports m>=n" ---- */
cusolverStatus_t cusolverDnDgesvd_bufferSize(cusolverDnHandle_t handle, int m, int n, int *lwork)
{
    if (!handle) return CUSOLVER_STATUS_NOT_INITIALIZED;
    *lwork = 4 * n + m;
    return m < n || n < 1 ? CUSOLVER_STATUS_INVALID_VALUE : CUSOLVER_STATUS_SUCCESS;
}

cusolverStatus_t cusolverDnDgesvd(cusolverDnHandle_t handle, signed char jobu, signed char jobvt,
                                  int m, int n, double *a, int lda, double *s, double *u, int ldu,
                                  double *vt, int ldvt, double *work, int lwork, double *rwork,
                                  int *info)
{
    (void)rwork;
    if (jobu != 'S' || jobvt != 'S' || lda != m || ldu != m || ldvt != n)
        sim_die("cusolverDnDgesvd: only thin factors without padding are simulated");
    if (m < n) return CUSOLVER_STATUS_INVALID_VALUE;
    const factorisation f = {.which = SVD,
                             .m = m,
                             .n = n,
                             .a = a,
                             .s = s,
                             .u = u,
                             .vt = vt,
                             .work = work,
                             .lwork = lwork,
                             .out = info};
    return start(handle, &f, 4 * n + m);
}

/* ---- QR ---- */
cusolverStatus_t cusolverDnDgeqrf_bufferSize(cusolverDnHandle_t handle, int m, int n, double *a,
                                             int lda, int *lwork)
{
    (void)a;
    *lwork = 32 * n;
    return handle && lda >= m ? CUSOLVER_STATUS_SUCCESS : CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t cusolverDnDgeqrf(cusolverDnHandle_t handle, int m, int n, double *a, int lda,
                                  double *tau, double *work, int lwork, int *info)
{
    if (lda != m) sim_die("cusolverDnDgeqrf: only matrices without padding are simulated");
    const factorisation f = {.which = QR,
                             .m = m,
                             .n = n,
                             .k = m < n ? m : n,
                             .a = a,
                             .s = tau,
                             .work = work,
                             .lwork = lwork,
                             .out = info};
    return start(handle, &f, 32 * n);
}

cusolverStatus_t cusolverDnDorgqr_bufferSize(cusolverDnHandle_t handle, int m, int n, int k,
                                             const double *a, int lda, const double *tau,
                                             int *lwork)
{
    (void)a, (void)tau;
    *lwork = 48 * n;
    return handle && lda >= m && m >= n && n >= k ? CUSOLVER_STATUS_SUCCESS
                                                  : CUSOLVER_STATUS_INVALID_VALUE;
}

cusolverStatus_t cusolverDnDorgqr(cusolverDnHandle_t handle, int m, int n, int k, double *a,
                                  int lda, const double *tau, double *work, int lwork, int *info)
{
    if (lda != m) sim_die("cusolverDnDorgqr: only matrices without padding are simulated");
    if (m < n || n < k) return CUSOLVER_STATUS_INVALID_VALUE;
    const factorisation f = {.which = QR_Q,
                             .m = m,
                             .n = n,
                             .k = k,
                             .a = a,
                             .s = (double *)tau,
                             .work = work,
                             .lwork = lwork,
                             .out = info};
    return start(handle, &f, 48 * n);
}
