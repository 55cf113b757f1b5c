/* price.h: what parts of a graph cost on a backend, to choose between graphs that compute the same.
 *
 * Prices decide speed and memory only, but also the bits of a result: they are constants of a
 * backend, the same for any machine, instruction set and number of threads or ranks. */
#pragma once

/* In the time that one flop of a matrix product takes in the type of the activations: */
typedef struct {
    double rotate;    /* a flop of kron_rotate */
    double byte;      /* a byte of a pass over memory */
    double wide_gemm; /* a flop of a matrix product in fp32 */
} price_row;

typedef struct {
    price_row f32, bf16; /* by the type of the activations */
} price_table;
