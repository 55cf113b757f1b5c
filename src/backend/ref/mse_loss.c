/* mse_loss, reference backend. B images of M elements:
 *
 *     image[b] = (1/M) sum over its elements of (p - target)^2
 *     loss = (1/B) sum over b of x[b]                      x = weight image
 *     with a reference: -log sigmoid(-beta x[b])           x = weight (image - reference)
 *     dp = scale[b] weight[b] 2 (p - target) / (B M)       scale = 1, or beta sigmoid(beta x)
 *
 * The second form is DCO (Lee et al., arXiv:2402.12004), image by image. */
#include <math.h>

#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static double excess(const soda_call *call, const soda_tensor *image, const soda_tensor *reference,
                     int64_t b)
{
    return get(&call->in[2], b) * (get(image, b) - get(reference, b));
}

/* -log sigmoid(-x) = log(1 + exp x), without overflow */
static double softplus(double x) { return x > 0 ? x + log1p(exp(-x)) : log1p(exp(x)); }

static soda_status mse_loss(const soda_call *call)
{
    const soda_tensor *p = &call->in[0], *target = &call->in[1], *reference = &call->in[3];
    const int64_t B = p->shape.dim[0], M = shape_count(&p->shape) / B;
    const double beta = (double)call->attr->mse_loss.beta;
    double loss = 0;
    for (int64_t b = 0; b < B; b++) {
        double sum = 0;
        for (int64_t i = b * M; i < (b + 1) * M; i++) {
            const double error = get(p, i) - get(target, i);
            sum += error * error;
        }
        set(&call->out[1], b, sum / (double)M);
        loss += reference->data ? softplus(beta * excess(call, &call->out[1], reference, b))
                                : get(&call->in[2], b) * sum / (double)M;
    }
    set(&call->out[0], 0, loss / (double)B);
    return SODA_OK;
}

static soda_status mse_loss_grad(const soda_call *call)
{
    const soda_tensor *p = &call->in[0], *target = &call->in[1], *reference = &call->in[4];
    const int64_t count = shape_count(&p->shape), M = count / p->shape.dim[0];
    const double beta = (double)call->attr->mse_loss.beta;
    for (int64_t i = 0; i < count; i++) {
        const int64_t b = i / M;
        const double scale =
            reference->data ? beta / (1 + exp(-beta * excess(call, &call->in[3], reference, b)))
                            : 1;
        set(&call->out[0], i,
            2 * scale * get(&call->in[2], b) * (get(p, i) - get(target, i)) / (double)count);
    }
    return SODA_OK;
}

const soda_kernel ref_mse_loss = {.run = mse_loss};
const soda_kernel ref_mse_loss_grad = {.run = mse_loss_grad};
