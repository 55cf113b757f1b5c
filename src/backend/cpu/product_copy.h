/* product_copy.h: the operands of product_kernels.h from rows of elements: on one core.
 *
 * Elements are of type `dtype`, F32 or BF16, and become floats, or, where `pairs` is set and dtype
 * is BF16, pairs; an odd last element of k gets a zero beside it. Strides of the source count
 * elements, those of the result words. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/tensor.h"

/* to[k][n] = from[k][n] for k < depth and n < columns; 0 from there to `width`. */
void product_copy_rows(const void *from, soda_dtype dtype, bool pairs, int64_t from_row,
                       int64_t depth, int64_t columns, float *to, int64_t width);

/* to[k][n] = from[n][k] for k < depth and n < columns, as floats. */
void product_turn(const void *from, soda_dtype dtype, int64_t from_row, int64_t depth,
                  int64_t columns, float *to, int64_t to_row);

/* to[k][n] = from[n][k], all bf16, with zeros from `columns` to `width`, at most the stride. */
void product_turn_halves(const uint16_t *from, int64_t from_row, int64_t depth, int64_t columns,
                         uint16_t *to, int64_t to_row, int64_t width);

/* to[k][n] = from[n][k] as words, with zeros from `columns` to `width`. */
void product_copy_turned(const void *from, soda_dtype dtype, bool pairs, int64_t from_row,
                         int64_t depth, int64_t columns, float *to, int64_t width);
