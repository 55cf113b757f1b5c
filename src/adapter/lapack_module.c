/* The module that lapack.c loads: Fortran's LAPACK and BLAS behind C functions. Work space has the
 * size that LAPACK asks for. */
#include <stdlib.h>
#include <sys/mman.h>

#include "adapter/lapack.h"

/* The lengths of character arguments come last; compilers other than gfortran leave them unread. */
void dgesdd_(const char *job, const int *m, const int *n, double *a, const int *lda, double *s,
             double *u, const int *ldu, double *vt, const int *ldvt, double *work, const int *lwork,
             int *iwork, int *info, size_t job_length);
void dgeqrf_(const int *m, const int *n, double *a, const int *lda, double *tau, double *work,
             const int *lwork, int *info);
void dorgqr_(const int *m, const int *n, const int *k, double *a, const int *lda, const double *tau,
             double *work, const int *lwork, int *info);
void dgeev_(const char *left, const char *right, const int *n, double *a, const int *lda,
            double *real, double *imaginary, double *vl, const int *ldvl, double *vr,
            const int *ldvr, double *work, const int *lwork, int *info, size_t left_length,
            size_t right_length);
void dgemm_(const char *a_form, const char *b_form, const int *m, const int *n, const int *k,
            const double *alpha, const double *a, const int *lda, const double *b, const int *ldb,
            const double *beta, double *c, const int *ldc, size_t a_length, size_t b_length);

/* In some libraries only. OpenBLAS waits for ever where it finds no memory for the buffer of a
 * caller (blas_memory_alloc in 0.3.21 and 0.3.29), so all buffers are made before the first call.
 */
void openblas_set_num_threads(int threads) __attribute__((weak));
void *blas_memory_alloc(int position) __attribute__((weak));
void blas_memory_free(void *buffer) __attribute__((weak));
void MKL_Set_Num_Threads(int threads) __attribute__((weak));

/* The largest buffer of OpenBLAS on any CPU but POWER, and room for its bookkeeping. */
enum { BUFFER_BYTES = 132 << 20, MOST_CALLERS = 64 };

static int least(int a, int b) { return a < b ? a : b; }

static int svd(char job, int m, int n, double *a, double *s, double *u, double *vt)
{
    const int k = least(m, n), query = -1;
    const int ldu = m, ldvt = job == 'S' ? k : 1;
    int info = 0;
    double wanted = 0;
    int *iwork = malloc((size_t)k * 8 * sizeof *iwork);
    if (!iwork) return LAPACK_NO_MEMORY;
    dgesdd_(&job, &m, &n, a, &m, s, u, &ldu, vt, &ldvt, &wanted, &query, iwork, &info, 1);
    const int lwork = (int)wanted;
    double *work = info ? NULL : malloc((size_t)lwork * sizeof *work);
    if (!info && !work) info = LAPACK_NO_MEMORY;
    if (!info) dgesdd_(&job, &m, &n, a, &m, s, u, &ldu, vt, &ldvt, work, &lwork, iwork, &info, 1);
    free(work);
    free(iwork);
    return info;
}

static int qr(int m, int n, double *a, double *tau)
{
    const int query = -1;
    int info = 0;
    double wanted = 0;
    dgeqrf_(&m, &n, a, &m, tau, &wanted, &query, &info);
    const int lwork = (int)wanted;
    double *work = info ? NULL : malloc((size_t)lwork * sizeof *work);
    if (!info && !work) info = LAPACK_NO_MEMORY;
    if (!info) dgeqrf_(&m, &n, a, &m, tau, work, &lwork, &info);
    free(work);
    return info;
}

static int qr_q(int m, int n, int k, double *a, const double *tau)
{
    const int query = -1;
    int info = 0;
    double wanted = 0;
    dorgqr_(&m, &n, &k, a, &m, tau, &wanted, &query, &info);
    const int lwork = (int)wanted;
    double *work = info ? NULL : malloc((size_t)lwork * sizeof *work);
    if (!info && !work) info = LAPACK_NO_MEMORY;
    if (!info) dorgqr_(&m, &n, &k, a, &m, tau, work, &lwork, &info);
    free(work);
    return info;
}

static int eigenvalues(int n, double *a, double *real, double *imaginary)
{
    const int query = -1, one = 1;
    int info = 0;
    double wanted = 0;
    dgeev_("N", "N", &n, a, &n, real, imaginary, NULL, &one, NULL, &one, &wanted, &query, &info, 1,
           1);
    const int lwork = (int)wanted;
    double *work = info ? NULL : malloc((size_t)lwork * sizeof *work);
    if (!info && !work) info = LAPACK_NO_MEMORY;
    if (!info)
        dgeev_("N", "N", &n, a, &n, real, imaginary, NULL, &one, NULL, &one, work, &lwork, &info, 1,
               1);
    free(work);
    return info;
}

static void product(const int size[3], double alpha, const double *a, const double *b, double beta,
                    double *c)
{
    const int m = size[0], n = size[1], k = size[2];
    dgemm_("N", "N", &m, &n, &k, &alpha, a, &m, b, &k, &beta, c, &m, 1, 1);
}

static int address_space_holds(size_t bytes)
{
    void *test = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (test != MAP_FAILED) munmap(test, bytes);
    return test != MAP_FAILED;
}

static int start(int wanted)
{
    void *buffer[MOST_CALLERS];
    int count = 0;
    if (openblas_set_num_threads) openblas_set_num_threads(1);
    if (MKL_Set_Num_Threads) MKL_Set_Num_Threads(1);
    if (!blas_memory_alloc || !blas_memory_free) return wanted;
    while (count < least(wanted, MOST_CALLERS) && address_space_holds(BUFFER_BYTES) &&
           (buffer[count] = blas_memory_alloc(0)) != NULL)
        count++;
    for (int i = 0; i < count; i++) blas_memory_free(buffer[i]);
    return count;
}

extern const lapack_routines soda_lapack_routines;
const lapack_routines soda_lapack_routines = {.svd = svd,
                                              .qr = qr,
                                              .qr_q = qr_q,
                                              .eigenvalues = eigenvalues,
                                              .product = product,
                                              .start = start};
