/* mse_loss, reference backend.
 *
 *     loss = (1/B) sum over images b of weight[b] (1/M) sum over its M elements of (p - target)^2
 *     dp = 2 weight[b] (p - target) / (B M)                p, target [B,..], weight [B], loss [1]
 */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status mse_loss(const soda_call *call)
{
    const soda_tensor *p = &call->in[0], *target = &call->in[1], *weight = &call->in[2];
    const int64_t count = shape_count(&p->shape), M = count / p->shape.dim[0];
    double sum = 0;
    for (int64_t i = 0; i < count; i++) {
        const double error = get(p, i) - get(target, i);
        sum += get(weight, i / M) * error * error;
    }
    set(&call->out[0], 0, sum / (double)count);
    return SODA_OK;
}

static soda_status mse_loss_grad(const soda_call *call)
{
    const soda_tensor *p = &call->in[0], *target = &call->in[1], *weight = &call->in[2];
    const int64_t count = shape_count(&p->shape), M = count / p->shape.dim[0];
    for (int64_t i = 0; i < count; i++)
        set(&call->out[0], i,
            2 * get(weight, i / M) * (get(p, i) - get(target, i)) / (double)count);
    return SODA_OK;
}

const soda_kernel ref_mse_loss = {.run = mse_loss};
const soda_kernel ref_mse_loss_grad = {.run = mse_loss_grad};
