/* concat, slice and upsample of the CPU backend: rows of channels on the move. */
#include <string.h>

#include "backend/cpu/elementwise.h"
#include "backend/cpu/inputs.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"

static void concat_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *a = &call->in[0], *b = &call->in[1], *y = &call->out[0];
    const int64_t C = shape_columns(&a->shape), D = shape_columns(&b->shape);
    const size_t bytes = dtype_bytes(a->dtype);
    for (int64_t row = first; row < last; row++) {
        memcpy(inputs_at(y, row * (C + D)), inputs_at(a, row * C), (size_t)C * bytes);
        memcpy(inputs_at(y, row * (C + D) + C), inputs_at(b, row * D), (size_t)D * bytes);
    }
}

static soda_status run_concat(const soda_call *call)
{
    parallel_for(shape_rows(&call->out[0].shape), 1, 2 * tensor_bytes(&call->out[0]), PARALLEL_ALL,
                 concat_range, call);
    return SODA_OK;
}

const soda_kernel cpu_concat = {.prepare = inputs_prepare_plain, .run = run_concat};

static void slice_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t C = shape_columns(&x->shape), D = shape_columns(&y->shape);
    const size_t bytes = (size_t)D * dtype_bytes(x->dtype);
    for (int64_t row = first; row < last; row++)
        memcpy(inputs_at(y, row * D), inputs_at(x, row * C + call->attr->slice.start), bytes);
}

static soda_status run_slice(const soda_call *call)
{
    parallel_for(shape_rows(&call->out[0].shape), 1, 2 * tensor_bytes(&call->out[0]), PARALLEL_ALL,
                 slice_range, call);
    return SODA_OK;
}

const soda_kernel cpu_slice = {.prepare = inputs_prepare_plain, .run = run_slice};

/* Rows of pixels of y [N,H,W,C] from x [N,h,w,C]: pixel (i,j) is x's (i h / H, j w / W). */
static void upsample_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *x = &call->in[0], *y = &call->out[0];
    const int64_t h = x->shape.dim[1], w = x->shape.dim[2], C = x->shape.dim[3];
    const int64_t H = y->shape.dim[1], W = y->shape.dim[2];
    const size_t bytes = (size_t)C * dtype_bytes(x->dtype);
    for (int64_t line = first; line < last; line++) {
        const int64_t from = (line / H * h + line % H * h / H) * w;
        for (int64_t j = 0; j < W; j++)
            memcpy(inputs_at(y, (line * W + j) * C), inputs_at(x, (from + j * w / W) * C), bytes);
    }
}

static soda_status run_upsample(const soda_call *call)
{
    const soda_shape *y = &call->out[0].shape;
    parallel_for(y->dim[0] * y->dim[1], 1, 2 * tensor_bytes(&call->out[0]), PARALLEL_ALL,
                 upsample_range, call);
    return SODA_OK;
}

const soda_kernel cpu_upsample = {.prepare = inputs_prepare_plain, .run = run_upsample};

/* The first index i of [0,large) with i * small / large >= k. */
static int64_t first_copy(int64_t k, int64_t small, int64_t large)
{
    return (k * large + small - 1) / small;
}

/* Rows of pixels of dx [N,h,w,C] from dy [N,H,W,C]: sums over the pixels that upsample wrote. */
static void upsample_grad_range(const void *context, int thread, int64_t first, int64_t last)
{
    (void)thread;
    const soda_call *call = context;
    const soda_tensor *dy = &call->in[0], *dx = &call->out[0];
    const int64_t H = dy->shape.dim[1], W = dy->shape.dim[2], C = dy->shape.dim[3];
    const int64_t h = dx->shape.dim[1], w = dx->shape.dim[2];
    const struct elementwise_loops *loops = call->path;
    for (int64_t line = first; line < last; line++) {
        const int64_t i0 = first_copy(line % h, h, H), i1 = first_copy(line % h + 1, h, H);
        for (int64_t j = 0; j < w; j++) {
            const int64_t j0 = first_copy(j, w, W), j1 = first_copy(j + 1, w, W);
            loops->sum_window(inputs_at(dy, ((line / h * H + i0) * W + j0) * C), i1 - i0, W * C,
                              j1 - j0, C, inputs_at(dx, (line * w + j) * C));
        }
    }
}

static soda_status run_upsample_grad(const soda_call *call)
{
    const soda_shape *dx = &call->out[0].shape;
    parallel_for(dx->dim[0] * dx->dim[1], 1, tensor_bytes(&call->in[0]), PARALLEL_ALL,
                 upsample_grad_range, call);
    return SODA_OK;
}

const soda_kernel cpu_upsample_grad = {.prepare = elementwise_prepare, .run = run_upsample_grad};
