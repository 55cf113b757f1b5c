/* upsample, reference backend: nearest, as torch.nn.functional.interpolate.
 *
 *     y[n,p,q,c] = x[n, p h / H, q w / W, c]      x [N,h,w,C], y [N,H,W,C]; division rounds down
 *     dx[n,i,j,c] = sum of dy over the pixels that were copied from (i,j) */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status upsample(const soda_call *call)
{
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t h = x->shape.dim[1], w = x->shape.dim[2];
    const int64_t N = y->shape.dim[0], H = y->shape.dim[1], W = y->shape.dim[2];
    const int64_t C = y->shape.dim[3];
    for (int64_t n = 0; n < N; n++)
        for (int64_t p = 0; p < H; p++)
            for (int64_t q = 0; q < W; q++)
                for (int64_t c = 0; c < C; c++)
                    set(y, ((n * H + p) * W + q) * C + c,
                        get(x, ((n * h + p * h / H) * w + q * w / W) * C + c));
    return SODA_OK;
}

/* Sum of dy[n,p,q,c] over all (p,q) that come from (i,j). */
static double copies(const soda_tensor *dy, const soda_shape *dx, int64_t n, int64_t i, int64_t j,
                     int64_t c)
{
    const int64_t h = dx->dim[1], w = dx->dim[2];
    const int64_t H = dy->shape.dim[1], W = dy->shape.dim[2], C = dy->shape.dim[3];
    double sum = 0;
    for (int64_t p = 0; p < H; p++)
        for (int64_t q = 0; q < W; q++)
            if (p * h / H == i && q * w / W == j) sum += get(dy, ((n * H + p) * W + q) * C + c);
    return sum;
}

static soda_status upsample_grad(const soda_call *call)
{
    const soda_tensor *dx = &call->out[0];
    const int64_t N = dx->shape.dim[0], h = dx->shape.dim[1], w = dx->shape.dim[2];
    const int64_t C = dx->shape.dim[3];
    for (int64_t n = 0; n < N; n++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                for (int64_t c = 0; c < C; c++)
                    set(dx, ((n * h + i) * w + j) * C + c,
                        copies(&call->in[0], &dx->shape, n, i, j, c));
    return SODA_OK;
}

const soda_kernel ref_upsample = {.run = upsample};
const soda_kernel ref_upsample_grad = {.run = upsample_grad};
