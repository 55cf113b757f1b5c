/* product_copy.h: the operands of product_kernels.h from rows of elements: on one core.
 *
 * Elements are of type `dtype`, F32 or BF16, and become floats, or, where `pairs` is set and dtype
 * is BF16, pairs; an odd last element of k gets a zero beside it. Strides of the source count
 * elements, those of the result words. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tensor.h"

/* How elements of `dtype` become words on this CPU. */
typedef struct {
    soda_dtype dtype;
    bool pairs;
    const struct product_copies *loops;
    const struct product_turns *turns;
} product_copier;

/* A kernel makes it in prepare and keeps it. */
product_copier product_copier_for(soda_dtype dtype, bool pairs);

/* to[k][n] = from[k][n] for k < depth and n < columns; 0 from there to `width`. */
void product_copy_rows(const product_copier *by, const void *from, int64_t from_row, int64_t depth,
                       int64_t columns, float *to, int64_t width);

/* to[k][n] = from[n][k] for k < depth and n < columns, as floats. */
void product_turn(const product_copier *by, const void *from, int64_t from_row, int64_t depth,
                  int64_t columns, float *to, int64_t to_row);

/* to[k][n] = from[n][k], all bf16, with zeros from `columns` to `width`, at most the stride. */
void product_turn_halves(const product_copier *by, const uint16_t *from, int64_t from_row,
                         int64_t depth, int64_t columns, uint16_t *to, int64_t to_row,
                         int64_t width);

/* to[k][n] = from[n][k] as words, with zeros from `columns` to `width`. */
void product_copy_turned(const product_copier *by, const void *from, int64_t from_row,
                         int64_t depth, int64_t columns, float *to, int64_t width);
