/* linear and its weight gradient: products on rows, or tiles.h. The formulas are in
 * graph/ops.def. */
#include "backend/cpu/kernels.h"
#include "backend/cpu/product.h"
#include "backend/cpu/tiles.h"

/* [rows,in] times [in,out]: one picture of height 1. */
static conv2d_form matrix_form(soda_dtype dtype, int64_t rows, int64_t in, int64_t out, bool turned)
{
    return (conv2d_form){.dtype = dtype,
                         .n = 1,
                         .h = 1,
                         .w = rows,
                         .in = in,
                         .oh = 1,
                         .ow = rows,
                         .out = out,
                         .kh = 1,
                         .kw = 1,
                         .stride = 1,
                         .spread = 1,
                         .turned = turned};
}

static conv2d_form form_of(const soda_call *call)
{
    const soda_shape *x = &call->in[0].shape;
    return matrix_form(call->in[0].dtype, shape_rows(x), shape_columns(x),
                       shape_columns(&call->out[0].shape), call->attr->linear.transposed);
}

static soda_status prepare(soda_call *call, soda_weights *weights)
{
    const conv2d_form f = form_of(call);
    if (tiles_can(&f)) return tiles_prepare(call, weights, &f);
    return product_prepare(call, weights, &f);
}

static soda_status run(const soda_call *call)
{
    const conv2d_form f = form_of(call);
    return tiles_can(&f) ? tiles_run(call) : product_run(call);
}

static void release(soda_call *call)
{
    const conv2d_form f = form_of(call);
    if (tiles_can(&f))
        tiles_release(call);
    else
        product_release(call);
}

/* dw [O,I] = dy' x: rows are columns of dy, and x lies as weights [in,out] do. */
static conv2d_form grad_form(const soda_call *call)
{
    const soda_shape *dy = &call->in[0].shape, *x = &call->in[1].shape;
    return matrix_form(call->in[1].dtype, shape_columns(dy), shape_rows(x), shape_columns(x), true);
}

static soda_status prepare_grad_weight(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const conv2d_form f = grad_form(call);
    return tiles_can(&f) ? tiles_prepare_grad_weight(call, &f)
                         : product_prepare_grad_weight(call, &f);
}

static soda_status run_grad_weight(const soda_call *call)
{
    const conv2d_form f = grad_form(call);
    return tiles_can(&f) ? tiles_run(call) : product_run(call);
}

static void release_grad_weight(soda_call *call)
{
    const conv2d_form f = grad_form(call);
    if (tiles_can(&f))
        tiles_release(call);
    else
        product_release(call);
}

const soda_kernel cpu_linear = {prepare, run, release};
const soda_kernel cpu_linear_grad_weight = {prepare_grad_weight, run_grad_weight,
                                            release_grad_weight};
