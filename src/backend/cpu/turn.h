/* turn.h: the transpose of a matrix in oneDNN's panels of 64 columns: fp32 [columns / 64][rows][64]
 * (BA16a64b), bf16 [columns / 64][rows / 2][64][2] (BA16a64b2a).
 *
 * A gradient multiplies by the transpose of what the forward pass multiplies by. Turned at each use
 * it costs about a hundredth of a training step; kept, it would be a second copy of all weights. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/tensor.h"

/* Whether this CPU can: AVX-512. */
bool turn_can(void);

/* `to` = the transpose of `from` [rows,columns], both in panels of `dtype`, F32 or BF16. Both
 * numbers are multiples of 64, and `to` lies on a multiple of 64 bytes. Uses all OpenMP threads. */
void turn_panels(const void *from, int64_t rows, int64_t columns, soda_dtype dtype, void *to);
