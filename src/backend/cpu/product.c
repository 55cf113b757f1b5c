#include "backend/cpu/product.h"

#include <omp.h>
#include <string.h>

#include "backend/cpu/product_state.h"

/* The operands of a run. */
typedef struct {
    const float *x; /* rows of words */
    const void *w, *bias;
    const float *frozen_bias;
    void *y;
} operands;

/* Rows [first,end) of panels [panel,last) of the result. */
typedef struct {
    int64_t first, end, panel, last;
} item;

/* The sums of a panel begin with its bias. */
static void fill_start(const product_state *s, const operands *p, int64_t panel, float *start)
{
    const int64_t n = panel * s->kernel->width;
    const int64_t columns = min64(s->kernel->width, s->f.out - n);
    memset(start, 0, (size_t)s->kernel->width * sizeof *start);
    if (p->frozen_bias)
        memcpy(start, p->frozen_bias + n, (size_t)columns * sizeof *start);
    else if (p->bias)
        s->loops->to_f32(product_at(p->bias, s->f.dtype, n), start, columns);
}

/* The sums go to y itself where whole vectors of it are fp32. */
static bool sums_in_y(const product_state *s, int64_t panel)
{
    const int64_t columns = s->f.out - panel * s->kernel->width;
    return s->y_dtype == SODA_F32 &&
           (columns >= s->kernel->width || columns % s->kernel->lanes == 0);
}

static void round_sums(const product_state *s, const operands *p, const item *it, int64_t panel,
                       const float *sums)
{
    const int64_t n = panel * s->kernel->width;
    for (int64_t row = it->first; row < it->end; row++, sums += s->kernel->width)
        s->y_loops->from_f32(sums, (char *)product_at(p->y, s->y_dtype, row * s->f.out + n),
                             min64(s->kernel->width, s->f.out - n));
}

/* What the next block reads of panels that lie in memory: fetched meanwhile. */
static void look_ahead(const product_state *s, const item *it, int64_t panel, int64_t k,
                       product_block *block)
{
    const bool same = panel + 1 < it->last;
    const int64_t from = same ? k : k + s->depth, words = min64(s->depth, s->words - from);
    if (!s->panels_lie || words <= 0) return;
    block->next =
        (const char *)product_panel(s, NULL, same ? panel + 1 : it->panel, 0, from, words, NULL);
    block->ahead = words * s->kernel->width * (int64_t)sizeof(float);
}

/* One block of k of all panels of an item. */
static void run_block(const product_state *s, const operands *p, const item *it, int64_t tap,
                      int64_t k, char *own)
{
    const int64_t width = s->kernel->width, words = min64(s->depth, s->words - k);
    const bool begins = tap == 0 && k == 0, ends = tap + 1 == s->taps && k + words == s->words;
    const float **a = (const float **)(own + s->a);
    float *start = (float *)(own + s->start);
    product_rows(s, p->x, it->first, it->end - it->first, (product_corner *)(own + s->corner), tap,
                 k, a);
    for (int64_t panel = it->panel; panel < it->last; panel++) {
        float *sums = (float *)(own + s->sums) + (panel - it->panel) * s->group * width;
        const bool there = sums_in_y(s, panel);
        if (begins) fill_start(s, p, panel, start);
        product_block block = {
            .rows = it->end - it->first,
            .depth = words,
            .a = a,
            .b = product_panel(s, p->w, panel, tap, k, words, (float *)(own + s->b)),
            .c = there ? (float *)p->y + it->first * s->f.out + panel * width : sums,
            .c_row = there ? s->f.out : width,
            .columns = (int)min64(width, s->f.out - panel * width),
            .start = begins ? start : NULL};
        look_ahead(s, it, panel, k, &block);
        s->kernel->block(&block);
        if (ends && !there) round_sums(s, p, it, panel, sums);
    }
}

static void run_item(const product_state *s, const operands *p, const item *it, char *own)
{
    if (!s->matrix)
        product_corners(s, it->first, it->end - it->first, (product_corner *)(own + s->corner));
    for (int64_t tap = 0; tap < s->taps; tap++)
        for (int64_t k = 0; k < s->words; k += s->depth) run_block(s, p, it, tap, k, own);
}

soda_status product_run(const soda_call *call)
{
    product_state state = *(const product_state *)call->state;
    const product_state *s = &state;
    const bool biased = call->inputs > 2;
    const operands p = {.x = s->x_way == X_DIRECT ? call->in[0].data : call->scratch,
                        .w = call->in[1].data,
                        .bias = biased ? call->in[2].data : NULL,
                        .frozen_bias = biased ? call->form[2] : NULL,
                        .y = call->out[0].data};
    state.w = call->form[1];
    const int64_t groups = ceil_div(s->rows, s->group), panels = product_panels(s);
    const int64_t parts = ceil_div(panels, s->columns);
#pragma omp parallel num_threads(s->threads)
    {
        char *own =
            (char *)call->scratch + s->x_bytes + (size_t)omp_get_thread_num() * s->own_bytes;
        product_make_x(s, call->in[0].data, call->scratch);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t g = 0; g < groups; g++)
            for (int64_t c = 0; c < parts; c++) {
                const item it = {s->rows * g / groups, s->rows * (g + 1) / groups,
                                 panels * c / parts, panels * (c + 1) / parts};
                run_item(s, &p, &it, own);
            }
    }
    return SODA_OK;
}
