/* operands.h: what the types of a call's tensors must be, and frozen weights as plain arrays. */
#pragma once

#include "backend/backend.h"

/* A prepare: every input and output has one type, fp32 or bf16; nothing is frozen. */
soda_status operands_prepare_plain(soda_call *call, soda_weights *weights);

/* Asks for each frozen input as fp32, and checks types, one letter for each input and output: x for
 * fp32 or bf16, the same for all; f for fp32, i for int32, - for any. Frozen inputs count as fp32.
 */
soda_status operands_prepare(soda_call *call, soda_weights *weights, const char *inputs,
                             const char *outputs);

/* Asks for frozen input `i` as an array of `to`, fp32 or bf16, each element rounded once. */
soda_status operands_form(const soda_call *call, soda_weights *weights, int i, soda_dtype to);

/* The address of input `i`: its form if it is frozen. */
static inline const void *operand(const soda_call *call, int i)
{
    return call->weight[i] ? call->form[i] : call->in[i].data;
}

/* Whether the call's activations are bf16, by output 0. */
static inline bool operands_bf16(const soda_call *call) { return call->out[0].dtype == SODA_BF16; }
