/* conv2d and the gradient of its input, channels-last on both sides: bf16 by AMX tiles where there
 * are any, 3x3 kernels in fp32 by Winograd's way where that is faster, the rest by products. */
#include "backend/cpu/conv2d.h"

#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/product.h"
#include "backend/cpu/tiles.h"
#include "backend/cpu/winograd.h"
#include "core/round.h"

conv2d_form conv2d_form_of(const soda_call *call, bool grad_x)
{
    const soda_shape *x = &call->in[0].shape, *w = &call->in[1].shape, *y = &call->out[0].shape;
    const conv2d_attr *a = &call->attr->conv2d;
    conv2d_form f = {
        .dtype = call->in[0].dtype,
        .n = x->dim[0],
        .h = x->dim[1],
        .w = x->dim[2],
        .in = x->dim[3],
        .oh = y->dim[1],
        .ow = y->dim[2],
        .out = y->dim[3],
        .kh = w->dim[2],
        .kw = w->dim[3],
        .stride = a->stride,
        .top = a->top,
        .left = a->left,
        .bottom = a->bottom,
        .right = a->right,
        .spread = 1,
    };
    if (!grad_x) return f;
    f.turned = true;
    f.spread = a->stride;
    f.stride = 1;
    f.h = (f.h - 1) * f.spread + 1;
    f.w = (f.w - 1) * f.spread + 1;
    f.top = f.kh - 1 - a->top;
    f.left = f.kw - 1 - a->left;
    f.bottom = f.oh + f.kh - 1 - f.h - f.top;
    f.right = f.ow + f.kw - 1 - f.w - f.left;
    return f;
}

/* The input of `call` as the convolution sees it: spread, if need be, behind the rest of scratch.
 */
static soda_tensor spread_input(const soda_call *call, const conv2d_form *f, size_t *bytes)
{
    soda_tensor x = call->in[0];
    *bytes = 0;
    if (f->spread == 1) return x;
    x.shape = SHAPE(f->n, f->h, f->w, f->in);
    *bytes = whole_lines(tensor_bytes(&x));
    x.data = NULL;
    return x;
}

static void spread(const soda_tensor *from, const soda_tensor *to, int64_t step)
{
    const size_t pixel = (size_t)shape_columns(&from->shape) * dtype_bytes(from->dtype);
    const int64_t h = from->shape.dim[1], w = from->shape.dim[2];
    const int64_t H = to->shape.dim[1], W = to->shape.dim[2];
    memset(to->data, 0, tensor_bytes(to));
#pragma omp parallel for collapse(2) schedule(static)
    for (int64_t n = 0; n < from->shape.dim[0]; n++)
        for (int64_t i = 0; i < h; i++)
            for (int64_t j = 0; j < w; j++)
                memcpy((char *)to->data + (size_t)((n * H + i * step) * W + j * step) * pixel,
                       (const char *)from->data + (size_t)((n * h + i) * w + j) * pixel, pixel);
}

const conv2d_way *conv2d_way_for(const conv2d_form *f)
{
    static const conv2d_way by_tiles = {tiles_prepare, tiles_prepare_grad_weight, tiles_run,
                                        tiles_release};
    static const conv2d_way by_winograd = {winograd_prepare, NULL, winograd_run, winograd_release};
    static const conv2d_way by_product = {product_prepare, product_prepare_grad_weight, product_run,
                                          product_release};
    if (tiles_can(f)) return &by_tiles;
    return winograd_wins(f) ? &by_winograd : &by_product;
}

static soda_status prepare(soda_call *call, soda_weights *weights, bool grad_x)
{
    const conv2d_form f = conv2d_form_of(call, grad_x);
    if (!call->weight[1])
        return FAIL(SODA_ERR_UNSUPPORTED, "the CPU backend takes frozen convolution kernels only");
    if (f.top < 0 || f.left < 0 || f.bottom < 0 || f.right < 0)
        return FAIL(SODA_ERR_UNSUPPORTED, "conv2d gradient: padding wider than the kernel");
    const soda_tensor x = call->in[0];
    size_t bytes;
    call->in[0] = spread_input(call, &f, &bytes);
    const conv2d_way *way = conv2d_way_for(&f);
    call->path = way;
    TRY(way->prepare(call, weights, &f));
    call->scratch_bytes += bytes;
    call->in[0] = x;
    return SODA_OK;
}

static soda_status run(const soda_call *call, bool grad_x)
{
    const conv2d_form f = conv2d_form_of(call, grad_x);
    soda_call c = *call;
    size_t bytes;
    c.in[0] = spread_input(call, &f, &bytes);
    if (bytes) {
        c.in[0].data = (char *)call->scratch + call->scratch_bytes - bytes;
        spread(&call->in[0], &c.in[0], f.spread);
    }
    const conv2d_way *way = call->path;
    return way->run(&c);
}

static void release(soda_call *call)
{
    const conv2d_way *way = call->path;
    way->release(call);
}

static soda_status prepare_forward(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, false);
}

static soda_status prepare_grad_x(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, true);
}

static soda_status run_forward(const soda_call *call) { return run(call, false); }
static soda_status run_grad_x(const soda_call *call) { return run(call, true); }

const soda_kernel cpu_conv2d = {prepare_forward, run_forward, release};
const soda_kernel cpu_conv2d_grad_x = {prepare_grad_x, run_grad_x, release};
