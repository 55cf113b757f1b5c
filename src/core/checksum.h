/* checksum.h: one number per array, by which ranks learn whether their arrays have the same bits.
 *
 *     the sum over i of mix64(2^32 i + the bits of x[i]), modulo 2^64
 *
 * mix64 (core/mix64.h) is a permutation of the words of 64 bits. So one value that differs always
 * gives another sum; several, or two that changed places, do so but for one case in 2^64. Sums of
 * integers have no order: threads may share the work as they like. Whoever wants two arrays with
 * one sum can make them: it is no signature. */
#pragma once

#include <stdint.h>

/* Of x [n], n < 2^32. */
uint64_t checksum_f32(const float *x, int64_t n);
