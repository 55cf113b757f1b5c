/* solver.c: bases of weights by cuSOLVER in fp64 (adapter/factorize.h). A matrix lies in the host's
 * memory, goes to the GPU and comes back: this runs before training, once per weight. cuSOLVER,
 * "cusolverDn<t>gesvd" (which takes m >= n alone), "<t>geqrf", "<t>orgqr". */
#include "cuda/solver.h"

#include <cusolverDn.h>
#include <pthread.h>
#include <stdlib.h>

#include "cuda/gpu.h"

/* One thread's matrix at a time is on the GPU. */
static pthread_mutex_t turn = PTHREAD_MUTEX_INITIALIZER;

typedef struct {
    cusolverDnHandle_t handle;
    double *a, *u, *s, *vt, *work; /* on the GPU */
    int *info;
    int lwork;
} solver;

static soda_status solver_check(cusolverStatus_t code, const char *what)
{
    if (code == CUSOLVER_STATUS_SUCCESS) return SODA_OK;
    return FAIL(code == CUSOLVER_STATUS_ALLOC_FAILED ? SODA_ERR_MEMORY : SODA_ERR_IO,
                "cuSOLVER: %s: status %d", what, (int)code);
}
#define SOLVER_TRY(call) TRY(solver_check(call, #call))

static soda_status alloc(double **memory, int64_t count)
{
    GPU_TRY(cudaMalloc((void **)memory, (size_t)count * sizeof **memory));
    return SODA_OK;
}

static soda_status copy(void *to, const void *from, int64_t count, enum cudaMemcpyKind kind)
{
    GPU_TRY(cudaMemcpyAsync(to, from, (size_t)count * sizeof(double), kind, gpu_stream()));
    return SODA_OK;
}

/* Waits; LAPACK's info of the routine that came last. */
static soda_status read_info(const solver *g)
{
    int info = 0;
    GPU_TRY(cudaMemcpyAsync(&info, g->info, sizeof info, cudaMemcpyDeviceToHost, gpu_stream()));
    TRY(gpu_wait(NULL));
    if (info == 0) return SODA_OK;
    return FAIL(SODA_ERR_NUMERIC, "cuSOLVER did not converge: its info is %d", info);
}

static soda_status open_solver(solver *g, int64_t elements)
{
    GPU_TRY(cudaMalloc((void **)&g->info, sizeof *g->info));
    TRY(alloc(&g->a, elements));
    SOLVER_TRY(cusolverDnCreate(&g->handle));
    SOLVER_TRY(cusolverDnSetStream(g->handle, gpu_stream()));
    return SODA_OK;
}

static void close_solver(solver *g)
{
    double *const memory[] = {g->a, g->u, g->s, g->vt, g->work};
    if (g->handle) (void)cusolverDnDestroy(g->handle);
    for (int i = 0; i < 5; i++)
        if (memory[i]) (void)cudaFree(memory[i]);
    if (g->info) (void)cudaFree(g->info);
    (void)cudaGetLastError();
}

/* m >= n */
static soda_status run_svd(solver *g, int m, int n, const double *a, double *const out[3])
{
    const int64_t rows = m;
    TRY(open_solver(g, rows * n));
    TRY(alloc(&g->u, rows * n));
    TRY(alloc(&g->s, n));
    TRY(alloc(&g->vt, (int64_t)n * n));
    SOLVER_TRY(cusolverDnDgesvd_bufferSize(g->handle, m, n, &g->lwork));
    TRY(alloc(&g->work, g->lwork));
    TRY(copy(g->a, a, rows * n, cudaMemcpyHostToDevice));
    SOLVER_TRY(cusolverDnDgesvd(g->handle, 'S', 'S', m, n, g->a, m, g->s, g->u, m, g->vt, n,
                                g->work, g->lwork, NULL, g->info));
    TRY(read_info(g));
    TRY(copy(out[0], g->u, rows * n, cudaMemcpyDeviceToHost));
    TRY(copy(out[1], g->s, n, cudaMemcpyDeviceToHost));
    TRY(copy(out[2], g->vt, (int64_t)n * n, cudaMemcpyDeviceToHost));
    return gpu_wait(NULL);
}

/* to [n,m] = from [m,n]', column-major */
static void transpose(int64_t m, int64_t n, const double *from, double *to)
{
    for (int64_t j = 0; j < n; j++)
        for (int64_t i = 0; i < m; i++) to[i * n + j] = from[j * m + i];
}

/* a' = v diag(s) u' where a has more columns than rows. */
static soda_status svd_wide(solver *g, int64_t m, int64_t n, double *a, double *const out[3])
{
    soda_status s = SODA_OK;
    double *turned = malloc((size_t)(m * n) * sizeof *turned);
    double *v = malloc((size_t)(n * m) * sizeof *v), *ut = malloc((size_t)(m * m) * sizeof *ut);
    if (!turned || !v || !ut)
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
    else
        transpose(m, n, a, turned);
    if (s == SODA_OK) s = run_svd(g, (int)n, (int)m, turned, (double *const[]){v, out[1], ut});
    if (s == SODA_OK) {
        transpose(m, m, ut, out[0]);
        transpose(n, m, v, out[2]);
    }
    free(turned);
    free(v);
    free(ut);
    return s;
}

static soda_status svd(int64_t m, int64_t n, double *a, double *u, double *s, double *vt)
{
    solver g = {0};
    double *const out[3] = {u, s, vt};
    GPU_TRY(cudaSetDevice(gpu_index())); /* any thread may call */
    pthread_mutex_lock(&turn);
    const soda_status status =
        m >= n ? run_svd(&g, (int)m, (int)n, a, out) : svd_wide(&g, m, n, a, out);
    close_solver(&g);
    pthread_mutex_unlock(&turn);
    return status;
}

static soda_status run_qr(solver *g, int m, int n, double *a, double *diagonal)
{
    const int k = m < n ? m : n;
    const int64_t rows = m;
    int more = 0;
    TRY(open_solver(g, rows * n));
    TRY(alloc(&g->s, k));
    SOLVER_TRY(cusolverDnDgeqrf_bufferSize(g->handle, m, n, g->a, m, &g->lwork));
    SOLVER_TRY(cusolverDnDorgqr_bufferSize(g->handle, m, k, k, g->a, m, g->s, &more));
    if (more > g->lwork) g->lwork = more;
    TRY(alloc(&g->work, g->lwork));
    TRY(copy(g->a, a, rows * n, cudaMemcpyHostToDevice));
    SOLVER_TRY(cusolverDnDgeqrf(g->handle, m, n, g->a, m, g->s, g->work, g->lwork, g->info));
    TRY(read_info(g));
    TRY(copy(a, g->a, rows * k, cudaMemcpyDeviceToHost));
    TRY(gpu_wait(NULL));
    for (int64_t i = 0; i < k; i++) diagonal[i] = a[i * rows + i];
    SOLVER_TRY(cusolverDnDorgqr(g->handle, m, k, k, g->a, m, g->s, g->work, g->lwork, g->info));
    TRY(read_info(g));
    TRY(copy(a, g->a, rows * k, cudaMemcpyDeviceToHost));
    return gpu_wait(NULL);
}

static soda_status qr(int64_t m, int64_t n, double *a, double *diagonal)
{
    solver g = {0};
    GPU_TRY(cudaSetDevice(gpu_index()));
    pthread_mutex_lock(&turn);
    const soda_status status = run_qr(&g, (int)m, (int)n, a, diagonal);
    close_solver(&g);
    pthread_mutex_unlock(&turn);
    return status;
}

const factorize_library solver_cusolver = {.name = "cusolver", .svd = svd, .qr = qr};
