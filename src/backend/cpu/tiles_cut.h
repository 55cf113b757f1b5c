/* tiles_cut.h: how a convolution is cut into tiles of 16 pixels, and where their operands lie.
 *
 * A left tile is 16 pixels by 32 channels and wants its pixels at equal distances in memory. Rows
 * of a matrix have that; pictures are packed first, as planes of 32 channels (64 bytes per pixel),
 * in copies, such that each tap of the kernel is the same tile at another offset:
 *
 *   CUT_ROWS      no packing: a 1x1 kernel over x itself
 *   CUT_PADDED    one copy with zeros around it; tiles are parts of a row (widths of 16 n)
 *   CUT_SHIFTED   one copy for each column of the kernel, moved by it: rows follow each other
 *                 without gap, so tiles run over their ends
 *   CUT_GATHERED  one copy for each tap: any stride */
#pragma once

#include "backend/cpu/conv2d.h"
#include "core/status.h"

typedef enum { CUT_ROWS, CUT_PADDED, CUT_SHIFTED, CUT_GATHERED } cut_kind;

typedef struct {
    int64_t x; /* bytes from the start of the packed planes, or of x */
    int64_t y; /* number of the first pixel in the result */
    int rows;  /* 1 .. 16 pixels */
} cut_tile;

/* One row of one copy: `width` pixels from (row, column) of picture n, every `stride`-th; what lies
 * outside is zero. */
typedef struct {
    int64_t to; /* pixels from the start of a plane */
    int64_t n, row, column;
} cut_strip;

/* Tiles whose packed pixels are in memory at the same time. */
typedef struct {
    int64_t first_tile, tiles, first_strip, strips;
} cut_round;

typedef struct {
    cut_kind kind;
    int64_t taps, *tap;     /* byte offset of each tap */
    int64_t x_row, x_block; /* bytes from pixel to pixel, and from 32 channels to the next 32 */
    int64_t width;          /* pixels in a strip */
    int64_t copies, copy;   /* number of copies, pixels in each */
    int64_t tiles, strips, rounds;
    cut_tile *tile;
    cut_strip *strip;
    cut_round *round;
} tiles_cut;

soda_status tiles_cut_create(const conv2d_form *form, tiles_cut *cut);
void tiles_cut_destroy(tiles_cut *cut);

/* Bytes of the packed planes: none if the kind is CUT_ROWS. */
size_t tiles_cut_bytes(const conv2d_form *form, const tiles_cut *cut);
