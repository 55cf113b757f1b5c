/* linear and linear_grad_weight of the CUDA backend: one product each.
 *
 *     y = x w' + b        x [rows,I], w [O,I] (or [I,O] if transposed), b [O] or absent
 *     dw = dy' x          dy [rows,O], x [rows,I], dw [O,I] fp32 */
#include "cuda/gemm.h"
#include "cuda/kernels.h"
#include "cuda/operands.h"

static soda_status create(soda_call *call, const gemm_sizes *sizes)
{
    gemm *product;
    TRY(gemm_create(sizes, &product));
    call->state = product;
    call->scratch_bytes = gemm_workspace(product);
    return SODA_OK;
}

static soda_status prepare_linear(soda_call *call, soda_weights *weights)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const bool transposed = call->attr->linear.transposed;
    const bool bias = call->inputs > 2 && call->in[2].shape.rank;
    const int64_t I = shape_columns(&x->shape), O = shape_columns(&y->shape);
    for (int i = 1; i < call->inputs; i++)
        if (call->weight[i]) TRY(operands_form(call, weights, i, x->dtype));
    return create(call, &(gemm_sizes){.m = shape_rows(&x->shape),
                                      .n = O,
                                      .k = I,
                                      .pitch_a = I,
                                      .pitch_b = transposed ? O : I,
                                      .pitch_d = O,
                                      .turned_b = !transposed,
                                      .bias = bias,
                                      .from = x->dtype,
                                      .to = y->dtype});
}

static soda_status run_linear(const soda_call *call)
{
    return gemm_run(call->state, &(gemm_operands){.a = call->in[0].data,
                                                  .b = operand(call, 1),
                                                  .bias = operand(call, 2),
                                                  .d = call->out[0].data,
                                                  .alpha = 1,
                                                  .workspace = call->scratch});
}

static soda_status prepare_grad(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const soda_tensor *dy = &call->in[0], *x = &call->in[1];
    const int64_t I = shape_columns(&x->shape), O = shape_columns(&dy->shape);
    return create(call, &(gemm_sizes){.m = O,
                                      .n = I,
                                      .k = shape_rows(&x->shape),
                                      .pitch_a = O,
                                      .pitch_b = I,
                                      .pitch_d = I,
                                      .turned_a = true,
                                      .from = x->dtype,
                                      .to = SODA_F32});
}

static soda_status run_grad(const soda_call *call)
{
    return gemm_run(call->state, &(gemm_operands){.a = call->in[0].data,
                                                  .b = call->in[1].data,
                                                  .d = call->out[0].data,
                                                  .alpha = 1,
                                                  .workspace = call->scratch});
}

static void release(soda_call *call)
{
    gemm_destroy(call->state);
    call->state = NULL;
}

const soda_kernel cuda_linear = {prepare_linear, run_linear, release};
const soda_kernel cuda_linear_grad_weight = {prepare_grad, run_grad, release};
