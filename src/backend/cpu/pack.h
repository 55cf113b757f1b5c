/* pack.h: forms of frozen weights: the types and layouts that kernels want.
 *
 * A layout is two tables: element (r, c) of the weight, seen as [rows, columns] row-major, goes to
 * row[r] + column[c] (elements). Every blocked layout of a matrix or of convolution weights can be
 * said like this, so no intermediate copy is needed, whatever the type of the file. */
#pragma once

#include "backend/backend.h"

/* Asks for frozen input `input` as fp32, element after element. */
soda_status pack_vector(const soda_call *call, soda_weights *weights, int input);

enum { PACK_CHUNK = 64 }; /* width of the panels of 3x3 kernels, here and in winograd.h */

/* Asks for a weight [O,I,taps] in panels [O / width][depth][taps][width] of fp32 or bf16 (`to`),
 * padded with zeros; depth is pack_panels_depth, I rounded up. */
soda_status pack_panels(const soda_call *call, soda_weights *weights, int input, int64_t width,
                        soda_dtype to);
int64_t pack_panels_depth(const soda_shape *shape);

/* Forms of weights; those of panels go on from PACK_PANELS. */
enum { PACK_VECTOR = 1, PACK_CELLS, PACK_PANELS = 1024 };

/* What a form of panels is filled by, and the elements of one panel. */
typedef struct {
    int64_t width;
    soda_dtype to;
    size_t bytes;
} pack_panels_recipe;
int64_t pack_panel_elements(const soda_shape *shape, int64_t width);

/* weights_fill of both; the recipe of a vector is not read. */
soda_status pack_fill_vector(const soda_weight *weight, const void *recipe, void *form);
soda_status pack_fill_panels(const soda_weight *weight, const void *recipe, void *form);

/* For the fill of a form: the first axis of `weight` is the row, the others are the column. */
void pack_by_table(const soda_weight *weight, size_t bytes, const int64_t *row,
                   const int64_t *column, soda_dtype to, void *form);

/* Writes source [rows, columns], of type F32, BF16 or F16, maybe unaligned, to dst of type F32 or
 * BF16 by the tables. */
void pack_table(const void *source, soda_dtype from, int64_t rows, int64_t columns,
                const int64_t *row, const int64_t *column, void *dst, soda_dtype to);
