/* linear and its weight gradient: convolutions of rows with a kernel of 1x1. The formulas are in
 * graph/ops.def. */
#include "backend/cpu/conv2d.h"
#include "backend/cpu/kernels.h"

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
    const conv2d_way *way = conv2d_way_for(&f);
    call->path = way;
    return way->prepare(call, weights, &f);
}

static soda_status run(const soda_call *call)
{
    const conv2d_way *way = call->path;
    return way->run(call);
}

static void release(soda_call *call)
{
    const conv2d_way *way = call->path;
    way->release(call);
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
    const conv2d_way *way = conv2d_way_for(&f);
    call->path = way;
    return way->prepare_grad_weight(call, &f);
}

const soda_kernel cpu_linear = {prepare, run, release};
const soda_kernel cpu_linear_grad_weight = {prepare_grad_weight, run, release};
