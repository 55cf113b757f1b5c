/* mse_loss of the CPU backend: fp64 sums of fixed blocks, added in order. Formulas: ref/loss.c. */
#include <math.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "core/round.h"

enum { BLOCK = 4096 };

static int64_t per_image(const soda_call *call)
{
    return shape_count(&call->in[0].shape) / call->in[0].shape.dim[0];
}

static int64_t block_count(const soda_call *call) { return ceil_div(per_image(call), BLOCK); }

static soda_status prepare(soda_call *call, soda_weights *weights)
{
    TRY(elementwise_prepare(call, weights));
    for (int i = 1; i < call->inputs; i++)
        if (call->in[i].shape.rank && call->in[i].dtype != SODA_F32)
            return FAIL(SODA_ERR_UNSUPPORTED, "cpu backend: mse_loss with input %d of type %s", i,
                        dtype_name(call->in[i].dtype));
    return SODA_OK;
}

static soda_status prepare_mse_loss(soda_call *call, soda_weights *weights)
{
    TRY(prepare(call, weights));
    call->scratch_bytes = (size_t)(call->in[0].shape.dim[0] * block_count(call)) * sizeof(double);
    return SODA_OK;
}

static void loss_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *p = &call->in[0], *target = &call->in[1];
    const int64_t n = per_image(call), blocks = block_count(call);
    const struct elementwise_loops *loops = call->path;
    double *sum = call->scratch;
    for (int64_t block = first; block < last; block++) {
        const int64_t i = block % blocks * BLOCK, at = block / blocks * n + i;
        sum[block] = loops->squared_error(inputs_at(p, at), inputs_at(target, at),
                                          n - i < BLOCK ? n - i : BLOCK);
    }
}

/* log(1 + exp x) without overflow */
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static soda_status run_mse_loss(const soda_call *call)
{
    const float *weight = call->in[2].data, *reference = call->in[3].data;
    float *image = call->out[1].data;
    const double *sum = call->scratch, beta = (double)call->attr->mse_loss.beta;
    const int64_t B = call->in[0].shape.dim[0], n = per_image(call), blocks = block_count(call);
    parallel_for(B * blocks, 1, 2 * tensor_bytes(&call->in[0]), PARALLEL_ALL, loss_blocks, call);
    double loss = 0;
    for (int64_t b = 0; b < B; b++) {
        double mean = 0;
        for (int64_t block = 0; block < blocks; block++) mean += sum[b * blocks + block];
        mean /= (double)n;
        image[b] = (float)mean;
        loss += reference ? softplus(beta * (double)weight[b] * (mean - (double)reference[b]))
                          : (double)weight[b] * mean;
    }
    *(float *)call->out[0].data = (float)(loss / (double)B);
    return SODA_OK;
}

const soda_kernel cpu_mse_loss = {.prepare = prepare_mse_loss, .run = run_mse_loss};

static void grad_blocks(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *p = &call->in[0], *target = &call->in[1];
    const float *weight = call->in[2].data, *image = call->in[3].data,
                *reference = call->in[4].data;
    const struct elementwise_loops *loops = call->path;
    const double beta = (double)call->attr->mse_loss.beta;
    const int64_t B = p->shape.dim[0], n = per_image(call), blocks = block_count(call);
    for (int64_t block = first; block < last; block++) {
        const int64_t b = block / blocks, i = block % blocks * BLOCK, at = b * n + i;
        double factor = 2.0 * (double)weight[b] / ((double)n * (double)B);
        if (reference)
            factor *=
                beta /
                (1 + exp(-beta * (double)weight[b] * ((double)image[b] - (double)reference[b])));
        loops->scaled_error(inputs_at(p, at), inputs_at(target, at), (float)factor,
                            inputs_at(&call->out[0], at), n - i < BLOCK ? n - i : BLOCK);
    }
}

static soda_status run_mse_loss_grad(const soda_call *call)
{
    parallel_for(call->in[0].shape.dim[0] * block_count(call), 1, 3 * tensor_bytes(&call->in[0]),
                 PARALLEL_ALL, grad_blocks, call);
    return SODA_OK;
}

const soda_kernel cpu_mse_loss_grad = {.prepare = prepare, .run = run_mse_loss_grad};
