/* linear and its weight gradient: oneDNN matmul on rows, or tiles.h. The formulas are in
 * graph/ops.def.
 *
 * Frozen weights are packed into the layout oneDNN likes best; computed ones are used where they
 * lie, [O,I] or [I,O], as strides. */
#include "backend/cpu/linear.h"

#include "backend/cpu/dense.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/pack.h"
#include "backend/cpu/tiles.h"
#include "backend/cpu/turn.h"

static soda_status create_linear(soda_call *call, bool transposed, soda_dense **dense)
{
    const soda_shape *w = &call->in[1].shape;
    const onednn_order stored = transposed ? ONEDNN_ROWS : ONEDNN_COLUMNS;
    soda_dtype dtype;
    TRY(dense_dtype(call->in[0].dtype, &dtype));
    TRY(dense_create(call, dense));
    const onednn_matmul product = {.m = shape_rows(&call->in[0].shape),
                                   .k = w->dim[transposed ? 0 : 1],
                                   .n = w->dim[transposed ? 1 : 0],
                                   .in = dtype,
                                   .out = dtype,
                                   .x = ONEDNN_ROWS,
                                   .w = call->weight[1] ? ONEDNN_ANY : stored,
                                   .bias = dense_bias(call, dtype)};
    return onednn_create_matmul(&(*dense)->op, &product);
}

/* Panels of 64 columns (turn.h) of a matrix [rows, columns], multiples of 64: oneDNN's BA16a64b in
 * fp32, BA16a64b2a in bf16. */
static onednn_layout panels_of(int64_t rows, int64_t columns, soda_dtype dtype)
{
    const int64_t pair = dtype == SODA_F32 ? 1 : 2;
    return (onednn_layout){.dtype = dtype,
                           .rank = 2,
                           .blocks = (int)pair + 1,
                           .bytes = (size_t)(rows * columns) * dtype_bytes(dtype),
                           .dim = {rows, columns},
                           .stride = {16 * 64 * pair, rows * 64},
                           .block = {16, 64, pair == 2 ? 2 : 0},
                           .block_axis = {0, 1, 0}};
}

static bool is_panels(const onednn_layout *layout)
{
    if (!turn_can() || layout->dim[0] % 64 || layout->dim[1] % 64) return false;
    const onednn_layout want = panels_of(layout->dim[0], layout->dim[1], layout->dtype);
    return onednn_form(layout) == onednn_form(&want);
}

/* A frozen weight in the layout the primitive wants. The transpose of a matrix in panels is made
 * from the copy that the forward pass uses. */
static soda_status bind_frozen(const soda_call *call, soda_dense *dense, soda_weights *weights,
                               bool transposed)
{
    /* oneDNN's matrix is [I,O]; further axes (of a 1x1 kernel) have length 1 and no offset. */
    const pack_axes forward = {.axis = {1, 0}}, backward = {.axis = {0, 1}};
    onednn_layout layout;
    TRY(onednn_layout_of(&dense->op, ONEDNN_WEIGHTS, &layout));
    if (transposed && is_panels(&layout)) {
        const int64_t rows = layout.dim[1], columns = layout.dim[0];
        const onednn_layout panels = panels_of(rows, columns, layout.dtype);
        TRY(pack_frozen(call, weights, 1, &forward, &panels));
        return dense_bind_turned(dense, rows, columns, layout.dtype);
    }
    TRY(pack_frozen(call, weights, 1, transposed ? &backward : &forward, &layout));
    return dense_bind_input(dense, 1, ONEDNN_WEIGHTS);
}

soda_status linear_prepare(soda_call *call, soda_weights *weights, bool transposed)
{
    soda_dense *dense;
    TRY(create_linear(call, transposed, &dense));
    TRY(dense_bind_input(dense, 0, ONEDNN_SRC));
    if (call->weight[1])
        TRY(bind_frozen(call, dense, weights, transposed));
    else
        TRY(dense_bind_input(dense, 1, ONEDNN_WEIGHTS));
    TRY(dense_bind_bias(call, weights));
    return dense_finish(call);
}

/* The rows as one picture of height 1. */
static conv2d_form form_of(const soda_call *call)
{
    const soda_shape *x = &call->in[0].shape;
    const int64_t M = shape_rows(x);
    return (conv2d_form){.dtype = call->in[0].dtype,
                         .n = 1,
                         .h = 1,
                         .w = M,
                         .in = shape_columns(x),
                         .oh = 1,
                         .ow = M,
                         .out = shape_columns(&call->out[0].shape),
                         .kh = 1,
                         .kw = 1,
                         .stride = 1,
                         .spread = 1,
                         .turned = call->attr->linear.transposed};
}

static soda_status prepare(soda_call *call, soda_weights *weights)
{
    const conv2d_form f = form_of(call);
    if (tiles_can(&f)) return tiles_prepare(call, weights, &f);
    return linear_prepare(call, weights, f.turned);
}

static soda_status run(const soda_call *call)
{
    const conv2d_form f = form_of(call);
    return tiles_can(&f) ? tiles_run(call) : dense_run(call);
}

static void release(soda_call *call)
{
    const conv2d_form f = form_of(call);
    if (tiles_can(&f))
        tiles_release(call);
    else
        dense_release(call);
}

/* dw [O,I] = dy' x: in oneDNN's words dy' is the source and x the weights. */
static soda_status prepare_grad_weight(soda_call *call, soda_weights *weights)
{
    (void)weights;
    const soda_tensor *dy = &call->in[0], *x = &call->in[1];
    soda_dense *dense;
    soda_dtype dtype;
    TRY(dense_dtype(x->dtype, &dtype));
    TRY(dense_create(call, &dense));
    const onednn_matmul product = {.m = shape_columns(&dy->shape),
                                   .k = shape_rows(&x->shape),
                                   .n = shape_columns(&x->shape),
                                   .in = dtype,
                                   .out = SODA_F32,
                                   .x = ONEDNN_COLUMNS,
                                   .w = ONEDNN_ROWS};
    TRY(onednn_create_matmul(&dense->op, &product));
    TRY(dense_bind_input(dense, 0, ONEDNN_SRC));
    TRY(dense_bind_input(dense, 1, ONEDNN_WEIGHTS));
    return dense_finish(call);
}

const soda_kernel cpu_linear = {prepare, run, release};
const soda_kernel cpu_linear_grad_weight = {prepare_grad_weight, dense_run, dense_release};
