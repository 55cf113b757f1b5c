/* tiles_kernels.h: the inner steps of tiles.h, on one core.
 *
 * A cell holds w of 32 channels out and 32 in, one tap, as two right tiles of AMX:
 * [2 halves of out][16 pairs of in][16 out][2 in] bf16. A block of sums is 32 pixels by 32 channels
 * out, four tiles [2 halves of pixels][2 halves of out][16][16] fp32. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum { CELL = 1024, CELL_BYTES = 2048, SUMS = 1024, TILES_CHANNELS = 32 };

/* The left operands of a block: tiles at x[0] and x[1] (absent if rows[1] == 0). */
typedef struct {
    const char *x[2];
    int rows[2];
    int64_t x_row, x_block; /* as in tiles_cut */
    int64_t taps;
    const int64_t *tap;
} tiles_left;

/* Configures this thread's tiles for `rows` rows in either half; tiles_end gives them up. */
void tiles_begin(const int rows[2]);
void tiles_end(void);

/* sums = (add ? sums : 0) + the product of left blocks [first,end) with cells [end - first][taps].
 * The `ahead` bytes at `next` will be wanted soon: they are fetched into the second-level cache. */
void tiles_product(const tiles_left *left, int64_t first, int64_t end, const uint16_t *cells,
                   float *sums, bool add, const char *next, int64_t ahead);

/* y[row][0..columns) = bf16(sums + bias) for both halves: y[half] is row 0, `y_row` elements from
 * row to row. bias may be NULL. */
void tiles_finish(const float *sums, const int rows[2], const float *bias, int64_t columns,
                  uint16_t *const y[2], int64_t y_row);

/* The same in fp32, without bias. */
void tiles_finish_wide(const float *sums, const int rows[2], int64_t columns, float *const y[2],
                       int64_t y_row);

/* The cell with the roles of in and out exchanged. */
void tiles_transpose_cell(const uint16_t *from, uint16_t *to);

/* A cell from row-major w: [out][in], or [in][out] if `turned`, row stride `w_row` elements, of
 * which only out x in channels (at most 32 x 32) exist; the others become zero. */
void tiles_make_cell(const uint16_t *w, int64_t w_row, int64_t out, int64_t in, bool turned,
                     uint16_t *to);

/* Packs one strip: `width` pixels, every `stride`-th from pixel `column` on of a row of `pixels`
 * pixels with `channels` channels, to planes[block * plane + pixel * 32]; pixels outside the row
 * and missing channels are zero. row NULL: all zero. */
void tiles_pack_strip(const uint16_t *row, int64_t pixels, int64_t channels, int64_t column,
                      int64_t stride, int64_t width, uint16_t *planes, int64_t plane);
