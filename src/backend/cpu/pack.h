/* pack.h: forms of frozen weights: the types and layouts that kernels want.
 *
 * A layout is two tables: element (r, c) of the weight, seen as [rows, columns] row-major, goes to
 * row[r] + column[c] (elements). Every blocked layout of a matrix or of convolution weights can be
 * said like this, so no intermediate copy is needed, whatever the type of the file. */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/onednn.h"

/* How axes of the file's tensor become axes of oneDNN's: axis[i] for axis i of the source; flipped
 * axes run backwards. */
typedef struct {
    int axis[SODA_MAX_RANK];
    bool flip[SODA_MAX_RANK];
} pack_axes;

/* Asks for frozen input `input` in oneDNN's `layout`; padding is zero. */
soda_status pack_frozen(const soda_call *call, soda_weights *weights, int input,
                        const pack_axes *axes, const onednn_layout *layout);

/* Asks for it as fp32, element after element. */
soda_status pack_vector(const soda_call *call, soda_weights *weights, int input);

/* Forms of weights with a layout of our own; oneDNN's forms are hashes that no small number meets.
 */
enum { PACK_VECTOR = 1, PACK_WINOGRAD, PACK_CELLS };

/* For the fill of a form: the first axis of `weight` is the row, the others are the column. */
void pack_by_table(const soda_weight *weight, size_t bytes, const int64_t *row,
                   const int64_t *column, soda_dtype to, void *form);

/* Writes source [rows, columns], of type F32, BF16 or F16, maybe unaligned, to dst of type F32 or
 * BF16 by the tables. */
void pack_table(const void *source, soda_dtype from, int64_t rows, int64_t columns,
                const int64_t *row, const int64_t *column, void *dst, soda_dtype to);
