#include "backend/cpu/tiles.h"

#if defined(__x86_64__)

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/attention_amx.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/product_copy.h"
#include "backend/cpu/tiles_cut.h"
#include "backend/cpu/tiles_kernels.h"
#include "core/isa.h"
#include "core/round.h"

/* An item is a group of tiles times a few blocks of 32 channels out, for which the left operands of
 * one chunk of cells and all sums fit into the second-level cache. */
enum {
    GROUP_TILES = 32,
    ITEM_BLOCKS = 4,
    /* Cells of one block of out that are used at once, 3x3 kernels and others: they must stay in
     * the first-level cache beside the left operands. Measured in cycles per cell, of at least 64:
     * 82 with 18 cells and 100 with 45 for 3x3; 105 with 12 and 140 with 40 for a matrix. */
    CHUNK_CELLS = 18,
    CHUNK_MATRIX_CELLS = 12,
    CACHED_CELLS = 256, /* 512 KiB: a quarter of the second-level cache */
};

typedef struct {
    conv2d_form f;
    tiles_cut cut;
    bool grad_weight;      /* the left operand is x transposed, in scratch; y is fp32 */
    int64_t in, out;       /* blocks of 32 channels of this convolution */
    int64_t chunk;         /* blocks of in that are summed at once */
    int64_t group, blocks; /* tiles and blocks of out in an item */
    const uint16_t *cells; /* [O / 32][I / 32][taps] cells, O and I as in the file, or NULL */
    product_copier copier; /* of x, in gradients of weights */
    int threads;
    size_t x_bytes, own_bytes; /* packed planes; sums and cells of each thread */
} tiles;

static int64_t max64(int64_t a, int64_t b) { return a > b ? a : b; }

bool tiles_can(const conv2d_form *f) { return f->dtype == SODA_BF16 && isa_allows(ISA_AMX); }

static size_t cells_bytes(const soda_shape *shape, int64_t taps)
{
    const int64_t O = ceil_div(shape->dim[0], TILES_CHANNELS);
    return (size_t)(O * ceil_div(shape->dim[1], TILES_CHANNELS) * taps) * CELL_BYTES;
}

/* Where w[o][i][t] goes: cell (o / 32, i / 32, t), there half, pair and place as a right tile. */
static soda_status fill_cells(const soda_weight *weight, const void *recipe, void *form)
{
    const int64_t O = weight->source.shape.dim[0], I = weight->source.shape.dim[1];
    const int64_t blocks = ceil_div(I, TILES_CHANNELS), taps = *(const int64_t *)recipe;
    int64_t *row = malloc((size_t)(O + I * taps) * sizeof *row), *column = row + O;
    if (!row) return FAIL(SODA_ERR_MEMORY, "out of memory: packing %s", weight->name);
    for (int64_t o = 0; o < O; o++)
        row[o] = o / 32 * blocks * taps * CELL + o % 32 / 16 * TILE_BF16 + o % 16 * 2;
    for (int64_t i = 0; i < I; i++)
        for (int64_t t = 0; t < taps; t++)
            column[i * taps + t] = (i / 32 * taps + t) * CELL + i % 32 / 2 * 32 + i % 2;
    pack_by_table(weight, cells_bytes(&weight->source.shape, taps), row, column, SODA_BF16, form);
    free(row);
    return SODA_OK;
}

static soda_status want_cells(const soda_call *call, soda_weights *weights, int64_t taps)
{
    return call_form(call, weights, 1,
                     &(weights_form){.form = PACK_CELLS,
                                     .bytes = cells_bytes(&call->weight[1]->source.shape, taps),
                                     .fill = fill_cells,
                                     .recipe = &taps,
                                     .recipe_bytes = sizeof taps});
}

static int64_t items(const tiles *s)
{
    return ceil_div(s->cut.round[0].tiles, s->group) * ceil_div(s->out, s->blocks);
}

/* Groups and blocks of an item: large enough to use operands often, small enough for all threads
 * to have several items. */
static void size_items(tiles *s)
{
    const int64_t cells = s->cut.taps == 1 ? CHUNK_MATRIX_CELLS : CHUNK_CELLS;
    const int64_t chunks = ceil_div(s->in, max64(1, cells / s->cut.taps));
    const int64_t wanted = 6 * (int64_t)s->threads;
    s->chunk = ceil_div(s->in, chunks);
    s->group = GROUP_TILES;
    s->blocks = ITEM_BLOCKS;
    if (chunks == 1) { /* no sums to keep: all of out, as long as its cells stay in the cache */
        s->blocks = min64(s->out, max64(1, CACHED_CELLS / (s->in * s->cut.taps)));
        while (s->group > 8 && items(s) < wanted) s->group /= 2;
    }
    while (s->blocks > 1 && items(s) < wanted) s->blocks--;
    while (s->group > 4 && items(s) < wanted) s->group /= 2;
    const int64_t kept = chunks == 1 ? 1 : s->blocks * ceil_div(s->group, 2);
    s->own_bytes =
        (size_t)(kept * SUMS) * sizeof(float) + (size_t)(s->chunk * s->cut.taps) * CELL_BYTES;
}

/* A computed bias has the type of x; its fp32 copy is at the end of scratch. */
static bool bias_computed(const soda_call *call)
{
    return call->inputs > 2 && call->in[2].shape.rank > 0 && !call->weight[2];
}

static soda_status create(soda_call *call, const conv2d_form *f, tiles **state)
{
    tiles *s = calloc(1, sizeof *s);
    if (!s) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = s; /* from here on release frees it */
    s->f = *f;
    s->in = ceil_div(f->in, TILES_CHANNELS);
    s->out = ceil_div(f->out, TILES_CHANNELS);
    s->threads = parallel_threads();
    *state = s;
    return SODA_OK;
}

soda_status tiles_prepare(soda_call *call, soda_weights *weights, const conv2d_form *f)
{
    tiles *s;
    TRY(create(call, f, &s));
    TRY(tiles_cut_create(f, &s->cut));
    if (call->weight[1]) TRY(want_cells(call, weights, s->cut.taps));
    if (call->inputs > 2 && call->weight[2]) TRY(pack_vector(call, weights, 2));
    size_items(s);
    s->x_bytes = tiles_cut_bytes(f, &s->cut);
    call->scratch_bytes = s->x_bytes + (size_t)s->threads * s->own_bytes;
    if (bias_computed(call)) call->scratch_bytes += (size_t)f->out * sizeof(float);
    return SODA_OK;
}

soda_status tiles_prepare_grad_weight(soda_call *call, const conv2d_form *f)
{
    tiles *s;
    TRY(create(call, f, &s));
    s->grad_weight = true;
    s->copier = product_copier_for(SODA_BF16, true);
    conv2d_form padded = *f; /* rows of whole blocks, so that they need no packing */
    padded.in = s->in * TILES_CHANNELS;
    TRY(tiles_cut_create(&padded, &s->cut));
    size_items(s);
    s->x_bytes = (size_t)(f->w * padded.in) * sizeof(uint16_t);
    call->scratch_bytes = s->x_bytes + (size_t)s->threads * s->own_bytes;
    return SODA_OK;
}

void tiles_release(soda_call *call)
{
    tiles *s = call->state;
    if (s) tiles_cut_destroy(&s->cut);
    free(s);
    call->state = NULL;
}

static void pack_strip(const tiles *s, const cut_strip *strip, const uint16_t *x, char *planes)
{
    const conv2d_form *f = &s->f;
    const bool inside = strip->row >= 0 && strip->row < f->h;
    tiles_pack_strip(inside ? x + (strip->n * f->h + strip->row) * f->w * f->in : NULL, f->w, f->in,
                     strip->column, f->stride, s->cut.width, (uint16_t *)planes + strip->to * 32,
                     s->cut.x_block / 2);
}

/* The cells of blocks [first,end) of in for block `out`: those of the store, or made in `own`. */
static const uint16_t *cells_of(const tiles *s, const uint16_t *w, int64_t out, int64_t first,
                                int64_t end, uint16_t *own)
{
    const int64_t taps = s->cut.taps;
    if (s->cells && !s->f.turned) return s->cells + (out * s->in + first) * taps * CELL;
    uint16_t *to = own;
    for (int64_t block = first; block < end; block++) {
        for (int64_t t = 0; t < taps; t++, to += CELL) {
            if (s->cells) { /* of a gradient: the file's [in][out], and backwards */
                tiles_transpose_cell(
                    s->cells + ((block * s->out + out) * taps + taps - 1 - t) * CELL, to);
                continue;
            }
            const int64_t row = s->f.turned ? s->f.out : s->f.in;
            const uint16_t *from = s->f.turned ? w + (block * row + out) * TILES_CHANNELS
                                               : w + (out * row + block) * TILES_CHANNELS;
            tiles_make_cell(from, row, s->f.out - out * TILES_CHANNELS,
                            s->f.in - block * TILES_CHANNELS, s->f.turned, to);
        }
    }
    return own;
}

typedef struct {
    const char *x; /* packed planes, or x itself */
    const uint16_t *w;
    const float *bias;
    void *y; /* bf16, or fp32 in the gradient of a weight */
} operands;

/* One block of sums: a pair of tiles, or one, times blocks [first,end) of input channels. */
typedef struct {
    const cut_tile *tile;
    bool two;
    int64_t first, end, out; /* out: the block of output channels */
    const uint16_t *cells;
    float *sums;
    const char *next; /* `ahead` bytes that will be wanted soon */
    int64_t ahead;
} block;

/* Finished after the last chunk. */
static void run_block(const tiles *s, const operands *p, const block *b, int rows[2])
{
    const cut_tile *t = b->tile;
    const tiles_left left = {.x = {p->x + t[0].x, b->two ? p->x + t[1].x : NULL},
                             .rows = {t[0].rows, b->two ? t[1].rows : 0},
                             .x_row = s->cut.x_row,
                             .x_block = s->cut.x_block,
                             .taps = s->cut.taps,
                             .tap = s->cut.tap};
    if (left.rows[0] != rows[0] || (b->two && left.rows[1] != rows[1])) {
        rows[0] = left.rows[0];
        rows[1] = b->two ? left.rows[1] : 16;
        tiles_begin(rows);
    }
    tiles_product(&left, b->first, b->end, b->cells, b->sums, b->first > 0, b->next, b->ahead);
    if (b->end < s->in) return;
    const int64_t channel = b->out * TILES_CHANNELS;
    const int64_t columns = min64(TILES_CHANNELS, s->f.out - channel);
    const int64_t at[2] = {t[0].y * s->f.out + channel, b->two ? t[1].y * s->f.out + channel : 0};
    if (s->grad_weight) {
        float *const y[2] = {(float *)p->y + at[0], (float *)p->y + at[1]};
        tiles_finish_wide(b->sums, left.rows, columns, y, s->f.out);
        return;
    }
    uint16_t *const y[2] = {(uint16_t *)p->y + at[0], (uint16_t *)p->y + at[1]};
    tiles_finish(b->sums, left.rows, p->bias ? p->bias + channel : NULL, columns, y, s->f.out);
}

/* Tiles [0,tiles) at `t` times blocks [first_out, end_out). */
static void run_item(const tiles *s, const operands *p, const cut_tile *t, int64_t count,
                     int64_t first_out, int64_t end_out, char *own, int rows[2])
{
    const int64_t pairs = ceil_div(count, 2), chunks = ceil_div(s->in, s->chunk);
    float *sums = (float *)own;
    uint16_t *made = (uint16_t *)(own + s->own_bytes) - s->chunk * s->cut.taps * CELL;
    for (int64_t c = 0; c < chunks; c++) {
        const int64_t first = c * s->chunk, end = min64(s->in, first + s->chunk);
        for (int64_t out = first_out; out < end_out; out++) {
            const uint16_t *cells = cells_of(s, p->w, out, first, end, made);
            const bool last = out + 1 == end_out;
            const int64_t then = last ? end : first;
            const int64_t bytes = (min64(s->in, then + s->chunk) - then) * s->cut.taps * CELL_BYTES;
            const char *next = NULL;
            if (s->cells && !s->f.turned && then < s->in)
                next = (const char *)cells_of(s, p->w, last ? first_out : out + 1, then, end, made);
            const int64_t share = next ? ceil_div(bytes, pairs * 64) * 64 : 0;
            for (int64_t i = 0; i < pairs; i++) {
                const block b = {
                    .tile = t + 2 * i,
                    .two = 2 * i + 1 < count,
                    .first = first,
                    .end = end,
                    .out = out,
                    .cells = cells,
                    .sums = chunks == 1 ? sums : sums + ((out - first_out) * pairs + i) * SUMS,
                    .next = next ? next + i * share : NULL,
                    .ahead = min64(share, bytes - i * share)};
                run_block(s, p, &b, rows);
            }
        }
    }
}

static void run_round(const tiles *s, const operands *p, const cut_round *r, char *own,
                      const soda_call *call)
{
    const int64_t groups = ceil_div(r->tiles, s->group), columns = ceil_div(s->out, s->blocks);
    int rows[2] = {16, 16};
#pragma omp for schedule(static)
    for (int64_t i = 0; i < r->strips; i++)
        pack_strip(s, &s->cut.strip[r->first_strip + i], call->in[0].data, call->scratch);
    tiles_begin(rows);
#pragma omp for collapse(2) schedule(dynamic)
    for (int64_t g = 0; g < groups; g++)
        for (int64_t c = 0; c < columns; c++)
            run_item(s, p, s->cut.tile + r->first_tile + g * s->group,
                     min64(s->group, r->tiles - g * s->group), c * s->blocks,
                     min64(s->out, (c + 1) * s->blocks), own, rows);
    tiles_end();
}

static const float *bias_of(const tiles *s, const soda_call *call)
{
    if (!bias_computed(call)) return call->inputs > 2 ? call->form[2] : NULL;
    float *copy = (float *)((char *)call->scratch + call->scratch_bytes) - s->f.out;
    for (int64_t i = 0; i < s->f.out; i++)
        copy[i] = bf16_to_float(((const uint16_t *)call->in[2].data)[i]);
    return copy;
}

/* x [in][rows] transposed, 32 rows at a time. */
static void turn_x(const tiles *s, const uint16_t *x, uint16_t *to)
{
    const int64_t rows = s->f.w, padded = s->in * TILES_CHANNELS;
#pragma omp for schedule(static)
    for (int64_t row = 0; row < rows; row += TILES_CHANNELS)
        product_turn_halves(&s->copier, x + row, rows, min64(TILES_CHANNELS, rows - row), s->f.in,
                            to + row * padded, padded, padded);
}

soda_status tiles_run(const soda_call *call)
{
    tiles s = *(const tiles *)call->state;
    char *scratch = call->scratch;
    const bool direct = s.cut.kind == CUT_ROWS && !s.grad_weight;
    s.cells = call->form[1];
    const operands p = {.x = direct ? call->in[0].data : call->scratch,
                        .w = call->in[1].data,
                        .bias = bias_of(&s, call),
                        .y = call->out[0].data};
#pragma omp parallel num_threads(s.threads)
    {
        char *own = scratch + s.x_bytes + (size_t)omp_get_thread_num() * s.own_bytes;
        if (s.grad_weight) turn_x(&s, call->in[0].data, call->scratch);
        for (int64_t r = 0; r < s.cut.rounds; r++) run_round(&s, &p, &s.cut.round[r], own, call);
    }
    return SODA_OK;
}
#else
soda_status tiles_prepare_grad_weight(soda_call *call, const conv2d_form *f)
{
    (void)call, (void)f;
    return FAIL(SODA_ERR_INTERNAL, "no AMX on this kind of CPU");
}

bool tiles_can(const conv2d_form *f)
{
    (void)f;
    return false;
}

/* Never called where tiles_can says no. */
soda_status tiles_prepare(soda_call *call, soda_weights *weights, const conv2d_form *f)
{
    (void)call, (void)weights, (void)f;
    return FAIL(SODA_ERR_INTERNAL, "no AMX on this kind of CPU");
}

soda_status tiles_run(const soda_call *call)
{
    (void)call;
    return FAIL(SODA_ERR_INTERNAL, "no AMX on this kind of CPU");
}

void tiles_release(soda_call *call) { (void)call; }
#endif
