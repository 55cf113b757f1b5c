/* pack.h: copies of frozen weights in the type and layout a kernel wants, made once per store.
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

/* The store's copy of `weight` in oneDNN's `layout`, made now if it is not there yet; padding is
 * zero. The pages of a mapped file are dropped after use. */
soda_status pack_frozen(soda_weights *weights, const soda_weight *weight, const pack_axes *axes,
                        const onednn_layout *layout, void **data);

/* The store's fp32 copy of a frozen vector. */
soda_status pack_vector(soda_weights *weights, const soda_weight *weight, float **data);

/* Forms of weights with a layout of our own; oneDNN's forms are hashes that no small number meets.
 */
enum { PACK_VECTOR = 1, PACK_WINOGRAD, PACK_CELLS };

/* The store's copy of `weight` in `form`: its first axis is the row, the others are the column. */
soda_status pack_by_table(soda_weights *weights, const soda_weight *weight, uint64_t form,
                          size_t bytes, const int64_t *row, const int64_t *column, soda_dtype to,
                          void **data);

/* Writes source [rows, columns], of type F32, BF16 or F16, maybe unaligned, to dst of type F32 or
 * BF16 by the tables. */
void pack_table(const void *source, soda_dtype from, int64_t rows, int64_t columns,
                const int64_t *row, const int64_t *column, void *dst, soda_dtype to);
