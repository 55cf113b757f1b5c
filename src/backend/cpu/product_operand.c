/* The operands of product.h: rows of words from x, panels of words from weights. */
#include <string.h>

#include "backend/cpu/product_state.h"

enum { LINE_PIXELS = 64, SQUARE = 64 };

/* `count` elements that follow each other, as words; a half pair is filled up with zero. */
static void copy_line(const product_state *s, const void *x, int64_t count, float *to)
{
    if (!s->kernel->pairs) {
        s->loops->to_f32(x, to, count);
        return;
    }
    memcpy(to, x, (size_t)count * sizeof(uint16_t));
    if (count % 2) ((uint16_t *)to)[count] = 0;
}

static void convert_pixels(const product_state *s, const void *x, float *words, int64_t first,
                           int64_t end)
{
    const conv2d_form *f = &s->f;
    if (s->words == f->in) { /* no gaps */
        copy_line(s, product_at(x, f->dtype, first * f->in), (end - first) * f->in,
                  words + first * s->words);
        return;
    }
    for (int64_t pixel = first; pixel < end; pixel++)
        copy_line(s, product_at(x, f->dtype, pixel * f->in), f->in, words + pixel * s->words);
}

static bool inside(const conv2d_form *f, const product_corner *corner, int64_t i, int64_t j)
{
    return corner->row + i >= 0 && corner->row + i < f->h && corner->column + j >= 0 &&
           corner->column + j < f->w;
}

static void gather_row(const product_state *s, const void *x, float *words, int64_t row)
{
    const conv2d_form *f = &s->f;
    const int64_t each = product_words(s, f->in);
    product_corner corner;
    product_corners(s, row, 1, &corner);
    float *to = words + row * s->words;
    for (int64_t i = 0; i < f->kh; i++)
        for (int64_t j = 0; j < f->kw; j++, to += each) {
            if (inside(f, &corner, i, j))
                copy_line(s, product_at(x, f->dtype, (corner.pixel + i * f->w + j) * f->in), f->in,
                          to);
            else
                memset(to, 0, (size_t)each * sizeof *to);
        }
}

/* Rows [first,end) of the transpose of x [in][rows]. */
static void turn_rows(const product_state *s, const void *x, float *words, int64_t first,
                      int64_t end)
{
    const int64_t in = s->f.in;
    const void *from = product_at(x, s->f.dtype, first);
    float *to = words + first * s->x_row;
    if (s->kernel->pairs)
        product_turn_halves(&s->copier, from, s->rows, end - first, in, (uint16_t *)to,
                            2 * s->x_row, 2 * s->words);
    else
        product_turn(&s->copier, from, s->rows, end - first, in, to, s->x_row);
}

void product_make_x(const product_state *s, const void *x, void *words)
{
    const int64_t pixels = s->f.n * s->f.h * s->f.w;
    switch (s->x_way) {
    case X_DIRECT: return;
    case X_CONVERT: {
#pragma omp for schedule(static)
        for (int64_t p = 0; p < pixels; p += LINE_PIXELS)
            convert_pixels(s, x, words, p, min64(pixels, p + LINE_PIXELS));
        return;
    }
    case X_GATHER: {
#pragma omp for schedule(static)
        for (int64_t row = 0; row < s->rows; row++) gather_row(s, x, words, row);
        return;
    }
    case X_TURN: {
#pragma omp for schedule(static)
        for (int64_t row = 0; row < s->rows; row += SQUARE)
            turn_rows(s, x, words, row, min64(s->rows, row + SQUARE));
        return;
    }
    }
}

void product_corners(const product_state *s, int64_t first, int64_t count, product_corner *corner)
{
    const conv2d_form *f = &s->f;
    for (int64_t r = 0; r < count; r++) {
        const int64_t row = first + r, n = row / (f->oh * f->ow), at = row % (f->oh * f->ow);
        const int64_t h = at / f->ow * f->stride - f->top, w = at % f->ow * f->stride - f->left;
        corner[r] = (product_corner){(n * f->h + h) * f->w + w, (int32_t)h, (int32_t)w};
    }
}

void product_rows(const product_state *s, const float *words, int64_t first, int64_t count,
                  const product_corner *corner, int64_t tap, int64_t k, const float **a)
{
    static const float zeros[PRODUCT_DEPTH];
    if (s->matrix) {
        for (int64_t r = 0; r < count; r++) a[r] = words + (first + r) * s->x_row + k;
        return;
    }
    const int64_t i = tap / s->f.kw, j = tap % s->f.kw, offset = i * s->f.w + j;
    for (int64_t r = 0; r < count; r++)
        a[r] = inside(&s->f, &corner[r], i, j) ? words + (corner[r].pixel + offset) * s->words + k
                                               : zeros;
}

/* Elements [k, k + count) of one tap of a panel of frozen weights. */
static void copy_frozen(const product_state *s, int64_t panel, int64_t tap, int64_t k,
                        int64_t count, float *to)
{
    const conv2d_form *f = &s->f;
    const int64_t taps = f->kh * f->kw, chunk = s->chunk, width = s->kernel->width;
    const int64_t n = panel * width, row = taps * chunk;
    if (!f->turned) {
        const int64_t at = ((n / chunk * s->deep + k) * taps + tap) * chunk + n % chunk;
        product_copy_rows(&s->copier, product_at(s->w, f->dtype, at), row, count, width, to, width);
        return;
    }
    for (int64_t end = k + count, next; k < end; k = next) {
        next = min64(end, (k / chunk + 1) * chunk);
        const int64_t at = ((k / chunk * s->deep + n) * taps + taps - 1 - tap) * chunk + k % chunk;
        product_copy_turned(&s->copier, product_at(s->w, f->dtype, at), row, next - k,
                            min64(width, f->out - n), to, width);
        to += product_words(s, next - k) * width;
    }
}

static void copy_computed(const product_state *s, const void *w, int64_t panel, int64_t k,
                          int64_t count, float *to)
{
    const conv2d_form *f = &s->f;
    const int64_t width = s->kernel->width, n = panel * width, columns = min64(width, f->out - n);
    if (f->turned)
        product_copy_rows(&s->copier, product_at(w, f->dtype, k * f->out + n), f->out, count,
                          columns, to, width);
    else
        product_copy_turned(&s->copier, product_at(w, f->dtype, n * f->in + k), f->in, count,
                            columns, to, width);
}

const float *product_panel(const product_state *s, const void *w, int64_t panel, int64_t tap,
                           int64_t k, int64_t count, float *own)
{
    const int64_t width = s->kernel->width;
    if (s->panels_lie) return (const float *)s->w + (panel * s->deep + k) * width;
    if (s->x_lies) return (const float *)w + k * width;
    if (s->x_way == X_GATHER) {
        const int64_t words = product_words(s, s->f.in);
        for (int64_t t = 0; t < s->f.kh * s->f.kw; t++)
            copy_frozen(s, panel, t, 0, s->f.in, own + t * words * width);
        return own;
    }
    const int64_t first = s->kernel->pairs ? 2 * k : k;
    const int64_t elements = min64(s->f.in - first, s->kernel->pairs ? 2 * count : count);
    if (s->frozen)
        copy_frozen(s, panel, tap, first, elements, own);
    else
        copy_computed(s, w, panel, first, elements, own);
    return own;
}
