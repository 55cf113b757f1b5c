/* winograd_steps.h: the four inner steps of winograd.h, on one core, written once per instruction
 * set.
 *
 * Blocks: WINO_DEPTH input channels, WINO_WIDTH output channels, up to WINO_TILES tiles. The 36
 * matrices of a block lie one behind the other; a stride that is no power of two keeps their equal
 * places out of the same cache set. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

enum {
    WINO_POINTS = 36,
    WINO_DEPTH = 64,
    WINO_WIDTH = 64,
    WINO_TILES = 64,
    WINO_PAD = 16, /* floats between the matrices of a block */
    /* from one matrix to the next */
    WINO_U_STRIDE = WINO_DEPTH * WINO_WIDTH + WINO_PAD,
    WINO_M_STRIDE = WINO_TILES * WINO_WIDTH + WINO_PAD,
};

typedef struct {
    /* V = B' d B of one tile, channels [0,depth): v[point * stride + channel].
     * d[6 i + j] points at channel 0 of pixel (i,j); pixels whose bit of `inside` is clear are
     * zero. */
    void (*input)(const float *const d[WINO_POINTS], uint64_t inside, int64_t depth, float *v,
                  int64_t stride);

    /* U = G g G' of `depth` x `width` kernels, width rounded up to 16: u[point][depth][WINO_WIDTH].
     * w holds g as [depth][9][WINO_WIDTH]; or, if turned, as [width][9][WINO_DEPTH] to be
     * transposed and turned around. Either way the block is padded to a multiple of 16 both
     * ways. */
    void (*weights)(const float *w, int64_t depth, int64_t width, bool turned, float *u);

    /* M[point] = (add ? M[point] : 0) + V[point] U[point] for all points.
     * v[point * v_stride] is [tiles][WINO_DEPTH], m is [point][tiles][WINO_WIDTH]. The `ahead`
     * bytes at `next` will be wanted soon: they are fetched into the second-level cache
     * meanwhile. */
    void (*products)(const float *v, int64_t v_stride, const float *u, float *m, int64_t tiles,
                     int64_t depth, int64_t width, bool add, const char *next, int64_t ahead);

    /* Y = A' M A + bias of one tile: y[i][j] points at channel 0 of the result's pixel (i,j); only
     * the first `rows` x `columns` of the 4x4 are written, `width` channels each. m is the tile's
     * row of matrix 0. bias has `width` elements or is NULL. */
    void (*output)(const float *m, const float *bias, int64_t width, float *y, int64_t row_stride,
                   int64_t pixel_stride, int64_t rows, int64_t columns);
} winograd_steps;

extern const winograd_steps winograd_avx512, winograd_avx2, winograd_portable;
