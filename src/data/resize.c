#include "data/resize.h"

#include <math.h>
#include <stdlib.h>

enum { PLACES = 22, LOBES = 3 };

/* The taps of outputs [first, first + count) along one axis. */
typedef struct {
    int64_t longest;  /* taps of one output at most */
    int64_t *from;    /* [count] first input */
    int64_t *taps;    /* [count] how many inputs */
    int32_t *weights; /* [count,longest], times 2^PLACES */
} filter;

static double sinc(double x)
{
    const double pi = 3.14159265358979323846;
    return x == 0 ? 1 : sin(pi * x) / (pi * x);
}

static double lanczos(double x) { return fabs(x) < LOBES ? sinc(x) * sinc(x / LOBES) : 0; }

static void filter_free(filter *f)
{
    free(f->from);
    free(f->taps);
    free(f->weights);
}

/* One output: its inputs are those whose centres round into the support. */
static void fill_taps(filter *f, int64_t i, double centre, double stretch, int64_t n, double *w)
{
    const double support = LOBES * stretch;
    const int64_t from = (int64_t)fmax(centre - support + 0.5, 0);
    const int64_t end = (int64_t)fmin(centre + support + 0.5, (double)n);
    double sum = 0;
    for (int64_t k = 0; k < end - from; k++) {
        w[k] = lanczos(((double)(from + k) + 0.5 - centre) / stretch);
        sum += w[k];
    }
    f->from[i] = from;
    f->taps[i] = end - from;
    for (int64_t k = 0; k < end - from; k++) /* half away from zero */
        f->weights[i * f->longest + k] = (int32_t)lround(w[k] / sum * (1 << PLACES));
}

/* filter_free also after a failure. */
static soda_status filter_create(int64_t n, int64_t scaled, int64_t first, int64_t count, filter *f)
{
    const double scale = (double)n / (double)scaled, stretch = fmax(scale, 1);
    *f = (filter){.longest = 2 * (int64_t)ceil(LOBES * stretch) + 1};
    f->from = calloc((size_t)count, sizeof *f->from);
    f->taps = calloc((size_t)count, sizeof *f->taps);
    f->weights = calloc((size_t)(count * f->longest), sizeof *f->weights);
    double *scratch = malloc((size_t)f->longest * sizeof *scratch);
    if (!f->from || !f->taps || !f->weights || !scratch) {
        free(scratch);
        return FAIL(SODA_ERR_MEMORY, "out of memory for the taps of %lld pixels", (long long)count);
    }
    for (int64_t i = 0; i < count; i++)
        fill_taps(f, i, ((double)(first + i) + 0.5) * scale, stretch, n, scratch);
    free(scratch);
    return SODA_OK;
}

/* Channel by channel: sum of in[k stride] weights[k], to the nearest of 0 .. 255. */
static void one_pixel(const uint8_t *in, int64_t stride, const int32_t *weights, int64_t taps,
                      uint8_t *out)
{
    for (int c = 0; c < 3; c++) {
        int64_t sum = (int64_t)1 << (PLACES - 1);
        for (int64_t k = 0; k < taps; k++) sum += (int64_t)in[k * stride + c] * weights[k];
        sum >>= PLACES;
        out[c] = (uint8_t)(sum < 0 ? 0 : sum > 255 ? 255 : sum);
    }
}

soda_status resize_lanczos(const soda_image *image, const resize_window *window, uint8_t *rgb)
{
    const int64_t w = window->w, h = window->h;
    filter across = {0}, down = {0};
    uint8_t *rows = NULL;
    soda_status s = SODA_OK;
    TRY_TO(done, filter_create(image->width, window->scaled_w, window->left, w, &across));
    TRY_TO(done, filter_create(image->height, window->scaled_h, window->top, h, &down));
    /* the input rows that the window needs: taps never go back */
    const int64_t first = down.from[0], count = down.from[h - 1] + down.taps[h - 1] - first;
    rows = malloc((size_t)(count * w * 3));
    if (!rows) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for %lldx%lld pixels", (long long)w,
                 (long long)count);
        goto done;
    }
#pragma omp parallel for
    for (int64_t y = 0; y < count; y++)
        for (int64_t x = 0; x < w; x++)
            one_pixel(image->rgb + 3 * ((first + y) * image->width + across.from[x]), 3,
                      across.weights + x * across.longest, across.taps[x], rows + 3 * (y * w + x));
#pragma omp parallel for
    for (int64_t y = 0; y < h; y++)
        for (int64_t x = 0; x < w; x++)
            one_pixel(rows + 3 * ((down.from[y] - first) * w + x), 3 * w,
                      down.weights + y * down.longest, down.taps[y], rgb + 3 * (y * w + x));
done:
    free(rows);
    filter_free(&across);
    filter_free(&down);
    return s;
}
