#include "backend/cpu/winograd.h"

#include <omp.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/pack.h"
#include "backend/cpu/winograd_steps.h"
#include "core/isa.h"
#include "core/round.h"

enum { EDGE = 4 }; /* a tile is EDGE x EDGE results */

typedef struct {
    const float *w;  /* [chunks of 64 O][I][9][64]: O and I as in the file, padded with zeros */
    int64_t w_depth; /* I of the file */
    int threads;
    const winograd_steps *steps;
} wino;

/* How the work is cut. A round transforms `round` tiles of the input into V (for all channels),
 * then its items, groups of tiles times chunks of output channels, are independent. */
typedef struct {
    int64_t tiles_h, tiles_w, tiles, round;
    int64_t depths;             /* blocks of input channels */
    int64_t v_stride, v_block;  /* floats from point to point, and from depth block to the next */
    int64_t v_bytes, own_bytes; /* V; and U and M of each thread */
} cut;

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
    return k;
}

bool winograd_wins(const conv2d_form *f)
{
    if (f->dtype != SODA_F32 || f->kh != 3 || f->kw != 3 || f->stride != 1) return false;
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
    state->threads = omp_get_max_threads();
    state->steps = steps_now();
    state->w_depth = pack_panels_depth(&call->weight[1]->source.shape);
    TRY(pack_panels(call, weights, 1, WINO_WIDTH, SODA_F32));
    if (call->inputs > 2 && call->weight[2]) TRY(pack_vector(call, weights, 2));
    call->scratch_bytes = (size_t)(k.v_bytes + state->threads * k.own_bytes);
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

/* Weights of depth block b and chunk c of the output: a contiguous piece of the packed copy. */
static const float *weights_at(const conv2d_form *f, const wino *s, int64_t b, int64_t c)
{
    const int64_t chunk = f->turned ? b : c, first = f->turned ? c * WINO_WIDTH : b * WINO_DEPTH;
    return s->w + (chunk * s->w_depth + first) * 9 * WINO_WIDTH;
}

/* Tiles [first, first + tiles) of the picture, whose V begins at v, times chunk c. */
static void run_item(const conv2d_form *f, const cut *k, const wino *s, const float *bias,
                     const float *v, int64_t first, int64_t tiles, int64_t c, float *own, float *y)
{
    float *u = own, *m = own + WINO_POINTS * WINO_U_STRIDE;
    const int64_t width = min64(WINO_WIDTH, f->out - c * WINO_WIDTH);
    for (int64_t b = 0; b < k->depths; b++) {
        const int64_t depth = min64(WINO_DEPTH, f->in - b * WINO_DEPTH);
        const bool more = b + 1 < k->depths;
        const int64_t next = more ? min64(WINO_DEPTH, f->in - (b + 1) * WINO_DEPTH) : 0;
        s->steps->weights(weights_at(f, s, b, c), depth, width, f->turned, u);
        s->steps->products(v + b * k->v_block, k->v_stride, u, m, tiles, depth, width, b > 0,
                           (const char *)weights_at(f, s, more ? b + 1 : 0, c),
                           (f->turned && more ? width : next) * 9 * WINO_WIDTH * 4);
    }
    for (int64_t t = 0; t < tiles; t++) {
        const place p = place_of(k, first + t);
        float *to = y + ((p.n * f->oh + p.y) * f->ow + p.x) * f->out + c * WINO_WIDTH;
        s->steps->output(m + t * WINO_WIDTH, bias ? bias + c * WINO_WIDTH : NULL, width, to,
                         f->ow * f->out, f->out, min64(EDGE, f->oh - p.y),
                         min64(EDGE, f->ow - p.x));
    }
}

soda_status winograd_run(const soda_call *call, const conv2d_form *f)
{
    wino s = *(const wino *)call->state;
    s.w = call->form[1];
    const cut k = cut_of(f);
    const float *x = call->in[0].data;
    const float *bias = call->inputs < 3  ? NULL
                        : call->weight[2] ? call->form[2]
                                          : call->in[2].data;
    float *v = call->scratch, *y = call->out[0].data;
    const int64_t chunks = ceil_div(f->out, WINO_WIDTH);
#pragma omp parallel num_threads(s.threads)
    for (int64_t start = 0; start < k.tiles; start += k.round) {
        const int64_t tiles = min64(k.round, k.tiles - start);
        const int64_t groups = ceil_div(tiles, WINO_TILES);
        float *own = (float *)((char *)v + k.v_bytes + omp_get_thread_num() * k.own_bytes);
#pragma omp for schedule(static)
        for (int64_t t = 0; t < tiles; t++) transform_tile(f, &k, s.steps, x, start + t, t, v);
#pragma omp for collapse(2) schedule(dynamic)
        for (int64_t g = 0; g < groups; g++) {
            for (int64_t c = 0; c < chunks; c++) {
                const int64_t from = tiles * g / groups, to = tiles * (g + 1) / groups;
                run_item(f, &k, &s, bias, v + from * WINO_DEPTH, start + from, to - from, c, own,
                         y);
            }
        }
    }
    return SODA_OK;
}
