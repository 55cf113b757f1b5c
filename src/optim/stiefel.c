#include "optim/stiefel.h"

#include <math.h>
#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "core/round.h"

enum {
    SPACE_MATRICES = 12, /* of one thread: see NAME(cut) */
    WIDE_MATRICES = 3,   /* in fp64, for the cross products of fp32 */
};

struct stiefel_work {
    int n_max, m_max, threads;
    size_t stride; /* bytes of one thread */
    char *memory;
};

/* Bytes of an [n,m] matrix with padded rows, in the larger of the two types. */
static size_t padded_bytes(int n, int m)
{
    return (size_t)(n * round_up64(m, 16)) * sizeof(double);
}

soda_status stiefel_work_create(int n_max, int m_max, stiefel_work **work)
{
    stiefel_work *w = calloc(1, sizeof *w);
    *work = w;
    if (!w) return FAIL(SODA_ERR_MEMORY, "out of memory");
    w->n_max = n_max;
    w->m_max = m_max;
    w->threads = omp_get_max_threads();
    w->stride = (SPACE_MATRICES + WIDE_MATRICES) * padded_bytes(n_max, m_max);
    w->memory = aligned_alloc(64, (size_t)w->threads * w->stride);
    if (w->memory) return SODA_OK;
    stiefel_work_destroy(w);
    *work = NULL;
    return FAIL(SODA_ERR_MEMORY, "out of memory for %d x %d rotations", n_max, m_max);
}

void stiefel_work_destroy(stiefel_work *work)
{
    if (!work) return;
    free(work->memory);
    free(work);
}

stiefel_rule stiefel_rule_of(const stiefel_options *o, int64_t t)
{
    const bool adam = o->kind == STIEFEL_ADAM;
    const double a = o->metric == STIEFEL_CANONICAL ? 0.5 : 0.0;
    const double keep = adam ? o->beta1 : o->momentum;
    return (stiefel_rule){.adam = adam,
                          .retraction = o->retraction,
                          .c = (1 - a / (a - 1)) / 2,
                          .keep = keep,
                          .take = 1 - (adam ? o->beta1 : o->dampening),
                          .rate = adam ? o->lr / (1 - pow(o->beta1, (double)t)) : o->lr,
                          .beta2 = o->beta2,
                          .rest2 = 1 - o->beta2,
                          .eps = o->eps,
                          .correction2 = 1 - pow(o->beta2, (double)t),
                          .lr = o->lr,
                          .turn = !adam && keep == 0 ? 0 : (3 * a - 2) / 2 * o->lr};
}

double stiefel_largest_drift(const double *drift, int64_t count)
{
    double largest = 0;
    for (int64_t i = 0; i < count; i++)
        if (isnan(drift[i]) || drift[i] > largest) largest = drift[i];
    return largest;
}

#define REAL double
#define SQRT sqrt
#define LANES 8
#define NAME(f) f##_f64
#define MATRIX stiefel_f64
#include "optim/matrix_real.h"

/* C [m,ld] = A' B of A, B [n,ld] */
static void cross_f64(double *C, const double *A, const double *B, int n, int m, int64_t ld,
                      double *wide)
{
    (void)wide;
    product_f64(C, A, 1, ld, B, ld, m, n);
}

/* ||X'X - I||_F of X [n,ld]; wide [m,ld] is scratch. */
static double drift_f64(const double *X, int n, int m, int64_t ld, double *wide)
{
    double sum = 0;
    product_f64(wide, X, 1, ld, X, ld, m, n);
    for (int i = 0; i < m; i++) wide[i * ld + i] -= 1;
    for (int64_t i = 0; i < m * ld; i++) sum += wide[i] * wide[i];
    return sqrt(sum);
}

#include "optim/stiefel_real.h"
#undef REAL
#undef SQRT
#undef LANES
#undef NAME
#undef MATRIX

#define REAL float
#define SQRT sqrtf
#define LANES 16
#define NAME(f) f##_f32
#define MATRIX stiefel_f32
#include "optim/matrix_real.h"

/* The same with the sum in fp64: a Gram matrix summed in fp32 would drift with n. */
static void cross_f32(float *C, const float *A, const float *B, int n, int m, int64_t ld,
                      double *wide)
{
    double *a = wide, *b = a + n * ld, *c = b + n * ld;
    for (int64_t i = 0; i < n * ld; i++) a[i] = (double)A[i];
    for (int64_t i = 0; i < n * ld; i++) b[i] = (double)B[i];
    product_f64(c, a, 1, ld, b, ld, m, n);
    for (int64_t i = 0; i < m * ld; i++) C[i] = (float)c[i];
}

static double drift_f32(const float *X, int n, int m, int64_t ld, double *wide)
{
    double *x = wide + m * ld;
    for (int64_t i = 0; i < n * ld; i++) x[i] = (double)X[i];
    return drift_f64(x, n, m, ld, wide);
}

#include "optim/stiefel_real.h"

soda_status stiefel_apply_f32(const stiefel_rule *rule, const stiefel_f32 *matrices, int64_t count,
                              stiefel_work *work, double *drift)
{
    return apply_f32(rule, matrices, count, work, drift);
}

soda_status stiefel_step_f32(const stiefel_options *options, int64_t t, const stiefel_f32 *matrices,
                             int64_t count, stiefel_work *work, double *drift)
{
    const stiefel_rule rule = stiefel_rule_of(options, t);
    return apply_f32(&rule, matrices, count, work, drift);
}

soda_status stiefel_step_f64(const stiefel_options *options, int64_t t, const stiefel_f64 *matrices,
                             int64_t count, stiefel_work *work, double *drift)
{
    const stiefel_rule rule = stiefel_rule_of(options, t);
    return apply_f64(&rule, matrices, count, work, drift);
}
