#include "backend/cpu/tiles_cut.h"
#include "core/round.h"

#include <stdlib.h>
#include <string.h>

enum { ROWS = 16, DEPTH = 32, PIXEL_BYTES = 64 };

static cut_kind kind_of(const conv2d_form *f)
{
    const bool plain = f->kh == 1 && f->kw == 1 && !(f->top | f->left | f->bottom | f->right);
    if (f->stride != 1) return CUT_GATHERED;
    if (plain && f->in % DEPTH == 0) return CUT_ROWS;
    return f->ow % ROWS == 0 ? CUT_PADDED : CUT_SHIFTED;
}

/* Adds the tiles and strips of rows [first,end) of picture n, whose packed rows begin at pixel
 * `base` of a plane; returns where they end. Only counts while the tables are NULL. */
static int64_t add_band(const conv2d_form *f, tiles_cut *c, int64_t n, int64_t first, int64_t end,
                        int64_t base)
{
    const bool rows = c->kind == CUT_ROWS, padded = c->kind == CUT_PADDED;
    const int64_t packed = c->kind == CUT_GATHERED ? end - first : end - first + f->kh - 1;
    for (int64_t k = 0; !rows && k < c->copies; k++) {
        const int64_t down = c->kind == CUT_GATHERED ? k / f->kw : 0;
        const int64_t right = padded ? 0 : k % f->kw;
        for (int64_t r = 0; r < packed; r++, c->strips++)
            if (c->strip)
                c->strip[c->strips] = (cut_strip){.to = k * c->copy + base + r * c->width,
                                                  .n = n,
                                                  .row = (first + r) * f->stride + down - f->top,
                                                  .column = right - f->left};
    }
    const int64_t y = (n * f->oh + first) * f->ow, pixels = (end - first) * f->ow;
    for (int64_t p = 0; p < pixels; p += ROWS, c->tiles++) {
        const int64_t at = padded ? p / f->ow * c->width + p % f->ow : p;
        if (c->tile)
            c->tile[c->tiles] = (cut_tile){.x = (rows ? y + p : base + at) * c->x_row,
                                           .y = y + p,
                                           .rows = (int)min64(ROWS, pixels - p)};
    }
    return base + packed * c->width;
}

/* All bands, `rows` rows of the result to a round. */
static void add_rounds(const conv2d_form *f, tiles_cut *c, int64_t rows)
{
    int64_t base = 0, left = 0, most = 0;
    c->tiles = c->strips = c->rounds = 0;
    for (int64_t n = 0; n < f->n; n++) {
        for (int64_t h = 0; h < f->oh;) {
            if (left == 0) {
                if (c->round)
                    c->round[c->rounds] =
                        (cut_round){.first_tile = c->tiles, .first_strip = c->strips};
                c->rounds++;
                base = 0;
                left = rows;
            }
            const int64_t end = h + min64(left, f->oh - h);
            base = add_band(f, c, n, h, end, base);
            if (base > most) most = base;
            left -= end - h;
            h = end;
            if (c->round) {
                cut_round *r = &c->round[c->rounds - 1];
                r->tiles = c->tiles - r->first_tile;
                r->strips = c->strips - r->first_strip;
            }
        }
    }
    c->copy = most;
}

static void set_taps(const conv2d_form *f, tiles_cut *c)
{
    for (int64_t t = 0; t < c->taps; t++) {
        const int64_t i = t / f->kw, j = t % f->kw;
        switch (c->kind) {
        case CUT_ROWS: c->tap[t] = 0; break;
        case CUT_PADDED: c->tap[t] = (i * c->width + j) * PIXEL_BYTES; break;
        case CUT_SHIFTED: c->tap[t] = (j * c->copy + i * c->width) * PIXEL_BYTES; break;
        case CUT_GATHERED: c->tap[t] = t * c->copy * PIXEL_BYTES; break;
        }
    }
}

soda_status tiles_cut_create(const conv2d_form *f, tiles_cut *c)
{
    const int64_t packed_limit = 12 << 20; /* bytes; more rounds cost only a barrier each */
    memset(c, 0, sizeof *c);
    c->kind = kind_of(f);
    c->taps = f->kh * f->kw;
    c->width = f->ow + (c->kind == CUT_PADDED ? f->kw - 1 : 0);
    c->copies = c->kind == CUT_GATHERED ? c->taps : c->kind == CUT_SHIFTED ? f->kw : 1;
    c->x_row = c->kind == CUT_ROWS ? f->in * 2 : PIXEL_BYTES;
    const int64_t planes = (f->in + DEPTH - 1) / DEPTH;
    const int64_t fit = packed_limit / (c->copies * c->width * planes * PIXEL_BYTES);
    const int64_t rows = c->kind == CUT_ROWS ? f->n * f->oh : fit > 1 ? fit : 1;
    add_rounds(f, c, rows); /* counts, as there are no tables yet */
    c->tap = malloc((size_t)c->taps * sizeof *c->tap);
    c->tile = malloc((size_t)c->tiles * sizeof *c->tile);
    c->strip = malloc((size_t)(c->strips + 1) * sizeof *c->strip);
    c->round = malloc((size_t)c->rounds * sizeof *c->round);
    if (!c->tap || !c->tile || !c->strip || !c->round)
        return FAIL(SODA_ERR_MEMORY, "out of memory: cutting a convolution into tiles");
    add_rounds(f, c, rows);
    c->x_block = c->kind == CUT_ROWS ? PIXEL_BYTES : c->copies * c->copy * PIXEL_BYTES;
    set_taps(f, c);
    return SODA_OK;
}

void tiles_cut_destroy(tiles_cut *c)
{
    free(c->tap);
    free(c->tile);
    free(c->strip);
    free(c->round);
    memset(c, 0, sizeof *c);
}

size_t tiles_cut_bytes(const conv2d_form *f, const tiles_cut *c)
{
    return c->kind == CUT_ROWS ? 0 : (size_t)((f->in + DEPTH - 1) / DEPTH * c->x_block);
}
