/* embedding, its gradient and timestep_embedding of the CUDA backend. An id outside the table
 * cannot be refused here, as the host does not see it: its row becomes NaN. */
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"

/* A frozen table has its form in the type of the result, so that rows are copied. */
static soda_status prepare_embedding(soda_call *call, soda_weights *weights)
{
    if (!call->weight[1]) return operands_prepare(call, weights, "ix", "x");
    TRY(operands_prepare(call, weights, "i-", "x"));
    return operands_form(call, weights, 1, call->out[0].dtype);
}

static soda_status run_embedding(const soda_call *call)
{
    const soda_tensor *ids = &call->in[0], *table = &call->in[1];
    const embedding_rows u = {.ids = ids->data,
                              .from = operand(call, 1),
                              .to = call->out[0].data,
                              .count = shape_count(&ids->shape),
                              .V = table->shape.dim[0],
                              .C = (int)table->shape.dim[1]};
    GPU_TRY(launch_embedding(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_embedding = {.prepare = prepare_embedding, .run = run_embedding};

/* The table itself is not read. */
static soda_status prepare_embedding_grad(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "xi-", "x");
}

static soda_status run_embedding_grad(const soda_call *call)
{
    const soda_tensor *ids = &call->in[1], *dtable = &call->out[0];
    const embedding_rows u = {.ids = ids->data,
                              .from = call->in[0].data,
                              .to = dtable->data,
                              .count = shape_count(&ids->shape),
                              .V = dtable->shape.dim[0],
                              .C = (int)dtable->shape.dim[1]};
    GPU_TRY(launch_embedding_grad(operands_bf16(call), &u, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_embedding_grad = {.prepare = prepare_embedding_grad,
                                         .run = run_embedding_grad};

static soda_status prepare_timestep_embedding(soda_call *call, soda_weights *weights)
{
    return operands_prepare(call, weights, "f", "f");
}

static soda_status run_timestep_embedding(const soda_call *call)
{
    const timestep_embedding_attr *a = &call->attr->timestep_embedding;
    const soda_tensor *t = &call->in[0];
    GPU_TRY(launch_timestep_embedding(t->data, call->out[0].data, shape_count(&t->shape),
                                      (int)a->width, a->cos_first, a->shift, gpu_stream()));
    return SODA_OK;
}

const soda_kernel cuda_timestep_embedding = {.prepare = prepare_timestep_embedding,
                                             .run = run_timestep_embedding};
