/* dense.h: what linear, conv2d and their gradients have in common: one oneDNN primitive between the
 * inputs of a call and its output.
 *
 * Where oneDNN has no bf16 (CPUs without AVX-512) a bf16 call is computed in fp32 on copies in
 * scratch: same results within rounding, slowly. */
#pragma once

#include "backend/backend.h"
#include "backend/cpu/onednn.h"

typedef struct {
    onednn_op op;
    int in[3];                   /* the argument it becomes; -1: absent or bound for good */
    bool scratch;                /* the primitive wants some */
    size_t in_copy[3], out_copy; /* place of an fp32 copy in scratch; SIZE_MAX: none */
    bool turns;                  /* input 1 is panels that are turned into scratch at each run */
    soda_dtype panels_dtype;
    int64_t rows, columns; /* of panels */
    size_t turned_copy;    /* place in scratch of the weights that they become */
} soda_dense;

/* The type in which oneDNN is to compute a call of activation type `dtype`. */
soda_status dense_dtype(soda_dtype dtype, soda_dtype *compute);

/* call->state, whose primitive the caller creates next. */
soda_status dense_create(soda_call *call, soda_dense **dense);

/* Binds `arg` to input i of each run: to its form if it is frozen. */
soda_status dense_bind_input(soda_dense *dense, int i, onednn_arg arg);

/* Binds input 1 to the transpose of its form, a matrix [rows,columns] in panels, made at each run
 * (turn.h). */
soda_status dense_bind_turned(soda_dense *dense, int64_t rows, int64_t columns, soda_dtype dtype);

/* Binds the output and the scratch, and sizes call->scratch_bytes. Call it last. */
soda_status dense_finish(soda_call *call);

/* Binds the bias, if there is one. */
soda_status dense_bind_bias(soda_call *call, soda_weights *weights);

/* The bias as oneDNN is to see it. */
onednn_bias dense_bias(const soda_call *call, soda_dtype compute);

soda_status dense_run(const soda_call *call);
void dense_release(soda_call *call);
