#include "backend/cpu/winograd.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/winograd_steps.h"
#include "core/isa.h"
#include "core/round.h"

enum { EDGE = 4 }; /* a tile is EDGE x EDGE results */

typedef struct {
    conv2d_form f;
    const struct elementwise_loops *bf16;
    const void *w;   /* [chunks of 64 O][I][9][64]: O and I as in the file, padded with zeros */
    int64_t w_depth; /* I of the file */
    int threads;
    const winograd_steps *steps;
} wino;

/* How the work is cut. A round transforms `round` tiles of the input into V (for all channels),
 * then its items, groups of tiles times chunks of output channels, are independent. */
typedef struct {
    int64_t tiles_h, tiles_w, tiles, round;
    int64_t depths;              /* blocks of input channels */
    int64_t v_stride, v_block;   /* floats from point to point, and from depth block to the next */
    int64_t v_bytes, own_bytes;  /* V; and U and M of each thread, in bf16 also what follows */
    int64_t x_bytes, bias_bytes; /* fp32 copies of bf16 */
} cut;

/* Of a thread, in bf16: kernels as floats, and one tile of the result. */
enum { KERNELS = WINO_DEPTH * 9 * WINO_WIDTH, TILE = EDGE * EDGE * WINO_WIDTH };

static cut cut_of(const conv2d_form *f)
{
    const int64_t v_limit = 12 << 20; /* bytes of V: a few rounds cost nothing, memory does */
    cut k = {.tiles_h = ceil_div(f->oh, EDGE), .tiles_w = ceil_div(f->ow, EDGE)};
    k.tiles = f->n * k.tiles_h * k.tiles_w;
    k.depths = ceil_div(f->in, WINO_DEPTH);
    const int64_t tile_bytes = k.depths * WINO_DEPTH * WINO_POINTS * (int64_t)sizeof(float);
    const int64_t groups = v_limit / tile_bytes / WINO_TILES;
    k.round = min64(k.tiles, (groups > 1 ? groups : 1) * WINO_TILES);
    k.v_stride = k.round * WINO_DEPTH + WINO_PAD;
    k.v_block = WINO_POINTS * k.v_stride;
    k.v_bytes = k.depths * k.v_block * (int64_t)sizeof(float);
    k.own_bytes = WINO_POINTS * (WINO_U_STRIDE + WINO_M_STRIDE) * (int64_t)sizeof(float);
    if (f->dtype == SODA_F32) return k;
    k.own_bytes += (KERNELS + TILE) * (int64_t)sizeof(float);
    k.x_bytes = (int64_t)whole_lines((size_t)(f->n * f->h * f->w * f->in) * sizeof(float));
    k.bias_bytes = (int64_t)whole_lines((size_t)f->out * sizeof(float));
    return k;
}

bool winograd_wins(const conv2d_form *f)
{
    if (f->kh != 3 || f->kw != 3 || f->stride != 1) return false;
    /* Products of bf16 pairs would do twice as many channels at a time. */
    if (f->dtype == SODA_BF16 && isa_allows(ISA_AVX512BF16)) return false;
    if (f->in < 16 || f->out < 16) return false;
    /* Cycles per input channel and 16 output channels: products at two per cycle, the transformed
     * weights (measured: about 100), against a direct convolution at four fifths of the peak. */
    const cut k = cut_of(f);
    return 18.0 * (double)k.tiles + 100 < 4.5 / 0.8 * (double)(f->n * f->oh * f->ow);
}

static const winograd_steps *steps_now(void)
{
#if defined(__x86_64__)
    if (isa_allows(ISA_AVX512)) return &winograd_avx512;
    if (isa_allows(ISA_AVX2)) return &winograd_avx2;
#endif
    return &winograd_portable;
}

soda_status winograd_prepare(soda_call *call, soda_weights *weights, const conv2d_form *f)
{
    const cut k = cut_of(f);
    wino *state = calloc(1, sizeof *state);
    if (!state) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = state; /* from here on release frees it */
    state->f = *f;
    state->bf16 = elementwise(SODA_BF16);
    state->threads = omp_get_max_threads();
    state->steps = steps_now();
    state->w_depth = pack_panels_depth(&call->weight[1]->source.shape);
    TRY(pack_panels(call, weights, 1, WINO_WIDTH, f->dtype));
    if (call->inputs > 2 && call->weight[2]) TRY(pack_vector(call, weights, 2));
    call->scratch_bytes =
        (size_t)(k.v_bytes + state->threads * k.own_bytes + k.x_bytes + k.bias_bytes);
    return SODA_OK;
}

void winograd_release(soda_call *call)
{
    free(call->state);
    call->state = NULL;
}

typedef struct {
    int64_t n, y, x; /* picture, first row and column of the result */
} place;

static place place_of(const cut *k, int64_t tile)
{
    const int64_t in_picture = tile % (k->tiles_h * k->tiles_w);
    return (place){tile / (k->tiles_h * k->tiles_w), in_picture / k->tiles_w * EDGE,
                   in_picture % k->tiles_w * EDGE};
}

/* Tile number `tile`, the `slot`-th of its round, for all channels. */
static void transform_tile(const conv2d_form *f, const cut *k, const winograd_steps *steps,
                           const float *x, int64_t tile, int64_t slot, float *v)
{
    const place p = place_of(k, tile);
    const float *d[WINO_POINTS];
    uint64_t inside = 0;
    for (int at = 0; at < WINO_POINTS; at++) {
        const int64_t i = p.y - f->top + at / 6, j = p.x - f->left + at % 6;
        const bool in = i >= 0 && i < f->h && j >= 0 && j < f->w;
        d[at] = in ? x + ((p.n * f->h + i) * f->w + j) * f->in : x;
        inside |= (uint64_t)in << at;
    }
    for (int64_t b = 0; b < k->depths; b++) {
        steps->input(d, inside, min64(WINO_DEPTH, f->in - b * WINO_DEPTH),
                     v + b * k->v_block + slot * WINO_DEPTH, k->v_stride);
        for (int at = 0; at < WINO_POINTS; at++) d[at] += inside >> at & 1 ? WINO_DEPTH : 0;
    }
}

/* The operands of a run, in fp32 but for y. */
typedef struct {
    const float *bias;
    void *y;
} operands;

/* Weights of depth block b and chunk c of the output: a contiguous piece of the packed copy. */
static const char *weights_at(const conv2d_form *f, const wino *s, int64_t b, int64_t c)
{
    const int64_t chunk = f->turned ? b : c, first = f->turned ? c * WINO_WIDTH : b * WINO_DEPTH;
    return (const char *)s->w +
           (chunk * s->w_depth + first) * 9 * WINO_WIDTH * (int64_t)dtype_bytes(f->dtype);
}

/* The same as floats: where they lie, or from bf16 in `own`. */
static const float *floats_at(const conv2d_form *f, const wino *s, int64_t b, int64_t c,
                              int64_t rows, float *own)
{
    const char *w = weights_at(f, s, b, c);
    if (f->dtype == SODA_F32) return (const float *)w;
    s->bf16->to_f32(w, own, round_up64(rows, 16) * 9 * WINO_WIDTH);
    return own;
}

/* Y of one tile: rows of y, in bf16 by way of `own`. */
static void finish_tile(const conv2d_form *f, const wino *s, const operands *p, const float *m,
                        place at, int64_t c, float *own)
{
    const int64_t width = min64(WINO_WIDTH, f->out - c * WINO_WIDTH);
    const int64_t rows = min64(EDGE, f->oh - at.y), columns = min64(EDGE, f->ow - at.x);
    const int64_t first = ((at.n * f->oh + at.y) * f->ow + at.x) * f->out + c * WINO_WIDTH;
    const float *bias = p->bias ? p->bias + c * WINO_WIDTH : NULL;
    if (f->dtype == SODA_F32) {
        s->steps->output(m, bias, width, (float *)p->y + first, f->ow * f->out, f->out, rows,
                         columns);
        return;
    }
    s->steps->output(m, bias, width, own, EDGE * WINO_WIDTH, WINO_WIDTH, rows, columns);
    for (int64_t i = 0; i < rows; i++)
        for (int64_t j = 0; j < columns; j++)
            s->bf16->from_f32(own + (i * EDGE + j) * WINO_WIDTH,
                              (uint16_t *)p->y + first + (i * f->ow + j) * f->out, width);
}

/* Tiles [first, first + tiles) of the picture, whose V begins at v, times chunk c. */
typedef struct {
    const float *v;
    int64_t first, tiles, c;
} item;

static void run_item(const conv2d_form *f, const cut *k, const wino *s, const operands *p,
                     const item *it, float *own)
{
    const int64_t tiles = it->tiles, c = it->c;
    float *u = own, *m = own + WINO_POINTS * WINO_U_STRIDE;
    float *kernels = m + WINO_POINTS * WINO_M_STRIDE, *tile = kernels + KERNELS;
    const int64_t width = min64(WINO_WIDTH, f->out - c * WINO_WIDTH);
    for (int64_t b = 0; b < k->depths; b++) {
        const int64_t depth = min64(WINO_DEPTH, f->in - b * WINO_DEPTH);
        const bool more = b + 1 < k->depths;
        const int64_t next = more ? min64(WINO_DEPTH, f->in - (b + 1) * WINO_DEPTH) : 0;
        s->steps->weights(floats_at(f, s, b, c, f->turned ? width : depth, kernels), depth, width,
                          f->turned, u);
        s->steps->products(it->v + b * k->v_block, k->v_stride, u, m, tiles, depth, width, b > 0,
                           weights_at(f, s, more ? b + 1 : 0, c),
                           (f->turned && more ? width : next) * 9 * WINO_WIDTH *
                               (int64_t)dtype_bytes(f->dtype));
    }
    for (int64_t t = 0; t < tiles; t++)
        finish_tile(f, s, p, m + t * WINO_WIDTH, place_of(k, it->first + t), c, tile);
}

/* x as floats: as it is, or a copy that all threads make together. */
static const float *widen(const wino *s, const void *x, float *copy)
{
    const conv2d_form *f = &s->f;
    const int64_t pixels = f->n * f->h * f->w;
    if (f->dtype == SODA_F32) return x;
#pragma omp for schedule(static)
    for (int64_t i = 0; i < pixels; i++)
        s->bf16->to_f32((const uint16_t *)x + i * f->in, copy + i * f->in, f->in);
    return copy;
}

static const float *bias_of(const wino *s, const soda_call *call, float *copy)
{
    if (call->inputs < 3) return NULL;
    if (call->weight[2]) return call->form[2];
    if (s->f.dtype == SODA_F32 || !call->in[2].data) return call->in[2].data;
    s->bf16->to_f32(call->in[2].data, copy, s->f.out);
    return copy;
}

soda_status winograd_run(const soda_call *call)
{
    wino s = *(const wino *)call->state;
    const conv2d_form *f = &s.f;
    s.w = call->form[1];
    const cut k = cut_of(f);
    float *v = call->scratch;
    char *copies = (char *)v + k.v_bytes + s.threads * k.own_bytes;
    const operands p = {.bias = bias_of(&s, call, (float *)(copies + k.x_bytes)),
                        .y = call->out[0].data};
    const int64_t chunks = ceil_div(f->out, WINO_WIDTH);
#pragma omp parallel num_threads(s.threads)
    {
        const float *x = widen(&s, call->in[0].data, (float *)copies);
        float *own = (float *)((char *)v + k.v_bytes + omp_get_thread_num() * k.own_bytes);
        for (int64_t start = 0; start < k.tiles; start += k.round) {
            const int64_t tiles = min64(k.round, k.tiles - start);
            const int64_t groups = ceil_div(tiles, WINO_TILES);
#pragma omp for schedule(static)
            for (int64_t t = 0; t < tiles; t++) transform_tile(f, &k, s.steps, x, start + t, t, v);
#pragma omp for collapse(2) schedule(dynamic)
            for (int64_t g = 0; g < groups; g++) {
                for (int64_t c = 0; c < chunks; c++) {
                    const int64_t from = tiles * g / groups, to = tiles * (g + 1) / groups;
                    const item it = {v + from * WINO_DEPTH, start + from, to - from, c};
                    run_item(f, &k, &s, &p, &it, own);
                }
            }
        }
    }
    return SODA_OK;
}
