#include "verify/libraries.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "core/philox.h"

/* fp64, column-major without padding, as factorize_library wants it. */
typedef struct {
    int64_t m, n, k;
    double *w, *a, *u, *s, *vt, *again;
} matrices;

static soda_status matrices_open(matrices *x, int64_t m, int64_t n)
{
    *x = (matrices){.m = m, .n = n, .k = m < n ? m : n};
    const size_t all = (size_t)(m * n), left = (size_t)(m * x->k), right = (size_t)(x->k * n);
    float *normal = malloc(all * sizeof *normal);
    x->w = malloc(2 * (2 * all + left + right + (size_t)x->k) * sizeof *x->w);
    if (normal && x->w) {
        x->a = x->w + all;
        x->u = x->a + all;
        x->s = x->u + left;
        x->vt = x->s + x->k;
        x->again = x->vt + right; /* of all that a call leaves */
        philox_normal((philox_key){{(uint32_t)m, (uint32_t)n}}, (philox_counter){{0}}, normal,
                      (int64_t)all);
        for (size_t i = 0; i < all; i++) x->w[i] = (double)normal[i];
    }
    free(normal);
    return normal && x->w ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

/* Keeps the larger of *worst and error / allowed; fails where it is above 1 or not a number. */
static soda_status within(const matrices *x, const char *what, double error, double allowed,
                          double *worst)
{
    const double part = error / allowed;
    if (part > *worst) *worst = part;
    if (part <= 1) return SODA_OK;
    return FAIL(SODA_ERR_NUMERIC, "%lld x %lld: %s: error %.3g, allowed %.3g", (long long)x->m,
                (long long)x->n, what, error, allowed);
}

/* Largest |C'C - 1| of the columns of c [rows,k], or of the rows of c [k,rows]. */
static double orthonormal(const double *c, int64_t rows, int64_t k, bool by_row)
{
    double worst = 0;
    for (int64_t i = 0; i < k; i++)
        for (int64_t j = 0; j <= i; j++) {
            double sum = i == j ? -1 : 0;
            for (int64_t r = 0; r < rows; r++)
                sum += by_row ? c[r * k + i] * c[r * k + j] : c[i * rows + r] * c[j * rows + r];
            worst = fmax(worst, fabs(sum));
        }
    return worst;
}

/* 64 roundings of fp64 in numbers of the size of the largest singular value, about
 * sqrt(m) + sqrt(n): dgesdd and dgeqrf promise a modest multiple (Golub & Van Loan, 8.6). */
static double allowed(const matrices *x)
{
    return 64 * 0x1p-52 * (sqrt((double)x->m) + sqrt((double)x->n) + 4);
}

static soda_status check_svd(const matrices *x, double *worst)
{
    double error = 0;
    for (int64_t i = 0; i < x->k; i++)
        if (!(x->s[i] >= 0) || (i && x->s[i] > x->s[i - 1]))
            return FAIL(SODA_ERR_NUMERIC, "%lld x %lld: singular value %lld is %g, after %g",
                        (long long)x->m, (long long)x->n, (long long)i, x->s[i],
                        i ? x->s[i - 1] : 0.0);
    for (int64_t r = 0; r < x->m; r++)
        for (int64_t c = 0; c < x->n; c++) {
            double sum = -x->w[c * x->m + r];
            for (int64_t i = 0; i < x->k; i++)
                sum += x->u[i * x->m + r] * x->s[i] * x->vt[c * x->k + i];
            error = fmax(error, fabs(sum));
        }
    TRY(within(x, "u s vt", error, allowed(x), worst));
    TRY(within(x, "columns of u", orthonormal(x->u, x->m, x->k, false), allowed(x), worst));
    return within(x, "rows of vt", orthonormal(x->vt, x->n, x->k, true), allowed(x), worst);
}

/* The first k columns of w are Q R with R = Q'w: what Q leaves of them. */
static soda_status check_qr(const matrices *x, double *worst)
{
    double error = 0;
    TRY(within(x, "columns of Q", orthonormal(x->a, x->m, x->k, false), allowed(x), worst));
    for (int64_t c = 0; c < x->k; c++) {
        const double *w = x->w + c * x->m;
        for (int64_t r = 0; r < x->m; r++) {
            double sum = w[r];
            for (int64_t i = 0; i <= c; i++) {
                double along = 0;
                for (int64_t j = 0; j < x->m; j++) along += x->a[i * x->m + j] * w[j];
                sum -= along * x->a[i * x->m + r];
                if (i == c && r == 0) error = fmax(error, fabs(along - x->s[c]));
            }
            error = fmax(error, fabs(sum));
        }
    }
    return within(x, "Q R", error, allowed(x), worst);
}

/* Once more into the same place: the bits of what a call leaves, of `count` numbers at `from`. */
static soda_status same_bits(const matrices *x, const char *what, const double *from, int64_t count)
{
    if (memcmp(x->again, from, (size_t)count * sizeof *from) == 0) return SODA_OK;
    return FAIL(SODA_ERR_NUMERIC, "%lld x %lld: %s has other bits the second time", (long long)x->m,
                (long long)x->n, what);
}

static soda_status check_matrix(const factorize_library *library, matrices *x, double *worst)
{
    const size_t all = (size_t)(x->m * x->n) * sizeof *x->w;
    const int64_t left = x->m * x->k, out = left + x->k + x->k * x->n; /* u, s and vt */
    for (int again = 0; again < 2; again++) {
        memcpy(x->a, x->w, all);
        TRY(library->svd(x->m, x->n, x->a, x->u, x->s, x->vt));
        if (!again) memcpy(x->again, x->u, (size_t)out * sizeof *x->u);
    }
    TRY(same_bits(x, "SVD", x->u, out));
    TRY(check_svd(x, worst));
    for (int again = 0; again < 2; again++) {
        memcpy(x->a, x->w, all);
        TRY(library->qr(x->m, x->n, x->a, x->s));
        if (!again) memcpy(x->again, x->a, (size_t)left * sizeof *x->a);
    }
    TRY(same_bits(x, "QR", x->a, left));
    return check_qr(x, worst);
}

soda_status libraries_factorize(const factorize_library *library, double *worst)
{
    static const int64_t sizes[][2] = {{1, 1}, {7, 5}, {5, 7}, {1, 9}, {9, 1}, {64, 64}, {130, 71}};
    *worst = 0;
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        matrices x;
        soda_status s = matrices_open(&x, sizes[i][0], sizes[i][1]);
        if (s == SODA_OK) s = check_matrix(library, &x, worst);
        free(x.w);
        TRY(s);
    }
    return SODA_OK;
}

/* Numbers of 2^60 that cancel between ranks leave small ones: lost in any sum of floats. */
static int64_t integer(int rank, int64_t i)
{
    return (rank % 2 ? -1 : 1) * ((int64_t)1 << 60) + rank * 7 + i;
}
static float whole(int rank, int64_t i) { return (float)(rank + i % 100); }

typedef struct {
    const soda_backend *backend;
    soda_comm *comm;
    soda_exchange *exchange;
    int64_t *integers, *sums; /* on the host; sums: on the device */
    float *floats, *totals;
} summer;

static soda_status compare_sums(const summer *x, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        int64_t want = 0;
        float total = 0;
        for (int r = 0; r < x->comm->size; r++) want += integer(r, i);
        for (int r = 0; r < x->comm->size; r++) total += whole(r, i);
        if (x->integers[i] != want)
            return FAIL(SODA_ERR_NUMERIC,
                        "sum of %lld int64: element %lld: expected %lld, found %lld",
                        (long long)count, (long long)i, (long long)want, (long long)x->integers[i]);
        if (x->floats[i] != total)
            return FAIL(SODA_ERR_NUMERIC, "sum of %lld fp32: element %lld: expected %g, found %g",
                        (long long)count, (long long)i, (double)total, (double)x->floats[i]);
    }
    return SODA_OK;
}

static soda_status sum_once(const summer *x, int64_t count, double *seconds)
{
    soda_device *d = x->backend->device;
    const size_t n = (size_t)count;
    for (int64_t i = 0; i < count; i++) {
        x->integers[i] = integer(x->comm->rank, i);
        x->floats[i] = whole(x->comm->rank, i);
    }
    TRY(d->upload(d, x->sums, x->integers, n * sizeof *x->integers));
    TRY(d->upload(d, x->totals, x->floats, n * sizeof *x->floats));
    TRY(d->mark(d, 0));
    TRY(x->exchange->sum_i64(x->exchange, x->sums, count));
    TRY(d->mark(d, 1));
    TRY(x->exchange->sum_f32(x->exchange, x->totals, count));
    TRY(d->download(d, x->integers, x->sums, n * sizeof *x->integers));
    TRY(d->download(d, x->floats, x->totals, n * sizeof *x->floats));
    return d->elapsed(d, 0, 1, seconds);
}

static soda_status summer_open(summer *x, int64_t most)
{
    soda_device *d = x->backend->device;
    x->integers = malloc((size_t)most * sizeof *x->integers);
    x->floats = malloc((size_t)most * sizeof *x->floats);
    if (!x->integers || !x->floats) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(d->alloc(d, (size_t)most * sizeof *x->sums, (void **)&x->sums));
    return d->alloc(d, (size_t)most * sizeof *x->totals, (void **)&x->totals);
}

soda_status libraries_sums(const soda_backend *backend, soda_comm *comm, bool quick,
                           libraries_sum *largest)
{
    const int64_t counts[] = {1, 901, 2701, quick ? 5000 : (int64_t)1 << 22};
    enum { COUNTS = sizeof counts / sizeof *counts };
    soda_device *d = backend->device;
    summer x = {.backend = backend, .comm = comm};
    soda_status s = SODA_OK;
    TRY_TO(done, comm_agree(comm, summer_open(&x, counts[COUNTS - 1])));
    TRY_TO(done, backend->connect(d, comm, &x.exchange));
    for (int i = 0; i < COUNTS; i++) {
        largest->bytes = counts[i] * (int64_t)sizeof *x.integers;
        TRY_TO(done, comm_agree(comm, sum_once(&x, counts[i], &largest->seconds)));
        TRY_TO(done, comm_agree(comm, compare_sums(&x, counts[i])));
    }
done:
    if (x.exchange) x.exchange->close(x.exchange);
    d->release(d, x.sums);
    d->release(d, x.totals);
    free(x.integers);
    free(x.floats);
    return s;
}
