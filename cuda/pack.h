/* pack.h: forms of frozen convolution kernels on a GPU; operands.h has those of plain arrays. */
#pragma once

#include "backend/backend.h"

typedef struct {
    soda_dtype to;        /* fp32 or bf16, rounded once */
    bool flipped, turned; /* see pack_taps */
} pack_recipe;

/* Asks for a convolution kernel [O,I,kh,kw] as rows that a gathered row of pixels is multiplied
 * with: [O, pack_taps_pitch], column (r kw + s) I + i, zeros behind. `flipped`, for the gradient in
 * x: [I, pitch], column (r kw + s) O + o, of tap (kh - 1 - r, kw - 1 - s). `turned`: the transpose
 * of that, without the zeros, but with zeros behind its own rows up to conv2d_f32_pitch. */
soda_status pack_taps(const soda_call *call, soda_weights *weights, int input,
                      const pack_recipe *recipe);

/* Elements of a row that is not turned: `columns` up to the next multiple of 8, 16 bytes of bf16.
 */
static inline int64_t pack_taps_pitch(int64_t columns) { return (columns + 7) / 8 * 8; }
