/* What product.h decides before the first run: the form of the weights, and how the work is cut. No
 * cut changes a bit of the result. */
#include <stdlib.h>

#include "backend/cpu/pack.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product_state.h"

/* An item is a group of rows times a group of panels. */
enum {
    GROUP = 192,      /* rows, where panels are used as they lie */
    TALL_GROUP = 768, /* rows, where each item makes its own panels */
    COLUMNS = 256,    /* columns, or 64 */
    LEAST_ROWS = 24,
    ITEMS = 8, /* for each thread, where there are rows enough */
    TALL_ITEMS = 4,
    TURN_ITEMS = 1, /* gradients of weights: each item reads all rows of x */
    /* words of a cache line: one more between turned rows, often a power of two apart, which would
     * all lie in the same few sets of both caches */
    LINE = 16,
};

static int64_t items(const product_state *s)
{
    return ceil_div(s->rows, s->group) * ceil_div(product_panels(s), s->columns);
}

/* Large enough to use operands often, small enough for all threads to have several items. */
static void size_items(product_state *s)
{
    const int64_t each = s->panels_lie ? ITEMS : s->x_way == X_TURN ? TURN_ITEMS : TALL_ITEMS;
    const int64_t wanted = s->threads == 1 ? 1 : each * s->threads;
    s->group = s->panels_lie ? GROUP : TALL_GROUP;
    s->columns = ceil_div(s->panels_lie ? COLUMNS : 64, s->kernel->width);
    while (s->columns > 1 && items(s) < wanted) s->columns--;
    while (s->group > LEAST_ROWS && items(s) < wanted) s->group /= 2;
    s->group = min64(s->group, s->rows);
    s->columns = min64(s->columns, product_panels(s));
}

static size_t take(size_t *used, size_t bytes)
{
    const size_t at = *used;
    *used += whole_lines(bytes);
    return at;
}

static void size_scratch(product_state *s)
{
    const size_t rows = (size_t)s->group, width = (size_t)s->kernel->width * sizeof(float);
    const bool sums = s->y_dtype != SODA_F32 || s->f.out % s->kernel->lanes;
    const int64_t x_rows = s->x_way == X_CONVERT ? s->f.n * s->f.h * s->f.w : s->rows;
    s->x_bytes =
        s->x_way == X_DIRECT ? 0 : whole_lines((size_t)(x_rows * s->x_row) * sizeof(float));
    s->own_bytes = 0;
    s->b = take(&s->own_bytes, s->panels_lie ? 0 : (size_t)s->depth * width);
    s->start = take(&s->own_bytes, width);
    s->sums = take(&s->own_bytes, sums ? rows * width * (size_t)s->columns : 0);
    s->a = take(&s->own_bytes, rows * sizeof(const float *));
    s->corner = take(&s->own_bytes, s->matrix ? 0 : rows * sizeof(product_corner));
}

/* Few channels: all taps fit into one block. */
static bool gathers(const product_state *s)
{
    const int64_t taps = s->f.kh * s->f.kw;
    return taps > 1 && taps * product_words(s, s->f.in) <= PRODUCT_DEPTH;
}

/* Sets everything that follows from f, kernel, x_way and frozen, and the bytes of scratch. */
static void cut(product_state *s)
{
    const conv2d_form *f = &s->f;
    const bool usable = s->kernel->pairs ? f->in % 2 == 0 : f->dtype == SODA_F32;
    s->taps = f->kh * f->kw;
    s->words = product_words(s, f->in);
    if (s->x_way != X_TURN) s->x_way = gathers(s) ? X_GATHER : usable ? X_DIRECT : X_CONVERT;
    if (s->x_way == X_GATHER) {
        s->words *= s->taps;
        s->taps = 1;
    }
    s->x_row = s->x_way == X_TURN ? round_up64(s->words, LINE) + LINE : s->words;
    s->rows = f->n * f->oh * f->ow;
    s->matrix = s->x_way == X_GATHER || (f->kh == 1 && f->kw == 1 && f->stride == 1 &&
                                         !(f->top | f->left | f->bottom | f->right));
    s->blocks = ceil_div(s->words, PRODUCT_DEPTH);
    s->depth = min64(s->words, ceil_div(ceil_div(s->words, s->blocks), 16) * 16);
    s->blocks = ceil_div(s->words, s->depth);
    s->panels_lie = s->frozen && !f->turned && f->dtype == SODA_F32 &&
                    s->chunk == s->kernel->width && f->kh * f->kw == 1;
    s->x_lies =
        s->x_way == X_TURN && f->turned && f->dtype == SODA_F32 && f->out == s->kernel->width;
    size_items(s);
    size_scratch(s);
}

static soda_status create(soda_call *call, const conv2d_form *form, product_state **state)
{
    if (form->dtype != SODA_F32 && form->dtype != SODA_BF16)
        return FAIL(SODA_ERR_UNSUPPORTED, "the CPU backend computes in f32 or bf16, not in %s",
                    dtype_name(form->dtype));
    product_state *s = calloc(1, sizeof *s);
    if (!s) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = s; /* from here on release frees it */
    s->f = *form;
    s->kernel = product_kernel_best(form->dtype);
    s->y_dtype = call->out[0].dtype;
    s->loops = elementwise(form->dtype);
    s->y_loops = elementwise(s->y_dtype);
    s->copier = product_copier_for(form->dtype, s->kernel->pairs);
    s->threads = parallel_threads();
    *state = s;
    return SODA_OK;
}

static soda_status finish(soda_call *call)
{
    product_state *s = call->state;
    cut(s);
    call->scratch_bytes = s->x_bytes + (size_t)s->threads * s->own_bytes;
    return SODA_OK;
}

soda_status product_prepare(soda_call *call, soda_weights *weights, const conv2d_form *f)
{
    product_state *s;
    TRY(create(call, f, &s));
    s->chunk = f->kh * f->kw == 1 ? s->kernel->width : PACK_CHUNK;
    s->frozen = call->weight[1] != NULL;
    s->deep = pack_panels_depth(&call->in[1].shape);
    if (s->frozen) TRY(pack_panels(call, weights, 1, s->chunk, f->dtype));
    if (call->inputs > 2 && call->weight[2]) TRY(pack_vector(call, weights, 2));
    return finish(call);
}

soda_status product_prepare_grad_weight(soda_call *call, const conv2d_form *f)
{
    product_state *s;
    TRY(create(call, f, &s));
    s->x_way = X_TURN;
    return finish(call);
}

void product_release(soda_call *call)
{
    free(call->state);
    call->state = NULL;
}
