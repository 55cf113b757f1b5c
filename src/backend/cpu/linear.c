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

/* [rows, columns], stored row-major or, if transposed, as [columns, rows]. */
static soda_status matrix(int64_t rows, int64_t columns, dnnl_data_type_t dtype, bool transposed,
                          dnnl_memory_desc_t *md)
{
    const dnnl_dims_t dims = {rows, columns};
    return onednn_status(
        dnnl_memory_desc_init_by_tag(md, 2, dims, dtype, transposed ? dnnl_ba : dnnl_ab), "matrix");
}

static soda_status create_linear(soda_call *call, dnnl_data_type_t dtype, bool transposed,
                                 soda_dense **dense)
{
    const soda_shape *w = &call->in[1].shape;
    const int64_t M = shape_rows(&call->in[0].shape);
    const int64_t I = w->dim[transposed ? 0 : 1], O = w->dim[transposed ? 1 : 0];
    const dnnl_data_type_t bias_dtype = dense_bias_dtype(call, dtype);
    dnnl_memory_desc_t x, weights, bias, y;
    dnnl_matmul_desc_t desc;
    TRY(matrix(M, I, dtype, false, &x));
    TRY(matrix(M, O, dtype, false, &y));
    TRY(matrix(1, O, bias_dtype == dnnl_data_type_undef ? dtype : bias_dtype, false, &bias));
    TRY(matrix(I, O, dtype, !transposed, &weights));
    if (call->weight[1]) {
        const dnnl_dims_t dims = {I, O};
        TRY(onednn_status(
            dnnl_memory_desc_init_by_tag(&weights, 2, dims, dtype, dnnl_format_tag_any), "matrix"));
    }
    const dnnl_memory_desc_t *b = bias_dtype == dnnl_data_type_undef ? NULL : &bias;
    TRY(onednn_status(dnnl_matmul_desc_init(&desc, &x, &weights, b, &y), "matmul"));
    return dense_create(call, &desc, dense);
}

/* oneDNN's layout of panels of 64 columns (turn.h), and whether `md` is it. */
static soda_status panels_of(int64_t rows, int64_t columns, dnnl_data_type_t dtype,
                             dnnl_memory_desc_t *md)
{
    const dnnl_dims_t dims = {rows, columns};
    const dnnl_format_tag_t tag = dtype == dnnl_f32 ? dnnl_BA16a64b : dnnl_BA16a64b2a;
    return onednn_status(dnnl_memory_desc_init_by_tag(md, 2, dims, dtype, tag), "panels");
}

static bool is_panels(const dnnl_memory_desc_t *md)
{
    dnnl_memory_desc_t want;
    if (!turn_can() || md->dims[0] % 64 || md->dims[1] % 64) return false;
    return panels_of(md->dims[0], md->dims[1], md->data_type, &want) == SODA_OK &&
           dnnl_memory_desc_equal(md, &want);
}

/* A frozen weight in the layout the primitive wants. The transpose of a matrix in panels is made
 * from the copy that the forward pass uses. */
static soda_status bind_frozen(soda_dense *dense, soda_weights *weights, const soda_weight *weight,
                               bool transposed)
{
    /* oneDNN's matrix is [I,O]; further axes (of a 1x1 kernel) have length 1 and no offset. */
    const pack_axes forward = {.axis = {1, 0}}, backward = {.axis = {0, 1}};
    const dnnl_memory_desc_t *md = onednn_layout(&dense->op, DNNL_ARG_WEIGHTS);
    void *packed;
    if (transposed && is_panels(md)) {
        const int64_t rows = md->dims[1], columns = md->dims[0];
        dnnl_memory_desc_t panels;
        TRY(panels_of(rows, columns, md->data_type, &panels));
        TRY(pack_frozen(weights, weight, &forward, &panels, &packed));
        return dense_bind_turned(dense, packed, rows, columns,
                                 md->data_type == dnnl_f32 ? SODA_F32 : SODA_BF16);
    }
    TRY(pack_frozen(weights, weight, transposed ? &backward : &forward, md, &packed));
    return dense_bind_input(dense, 1, DNNL_ARG_WEIGHTS, packed);
}

soda_status linear_prepare(soda_call *call, soda_weights *weights, bool transposed)
{
    dnnl_data_type_t dtype;
    soda_dense *dense;
    TRY(dense_dtype(call->in[0].dtype, &dtype));
    TRY(create_linear(call, dtype, transposed, &dense));
    TRY(dense_bind_input(dense, 0, DNNL_ARG_SRC, NULL));
    if (call->weight[1])
        TRY(bind_frozen(dense, weights, call->weight[1], transposed));
    else
        TRY(dense_bind_input(dense, 1, DNNL_ARG_WEIGHTS, NULL));
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
    const int64_t M = shape_rows(&x->shape);
    dnnl_data_type_t dtype;
    dnnl_memory_desc_t a, b, dw;
    dnnl_matmul_desc_t desc;
    soda_dense *dense;
    TRY(dense_dtype(x->dtype, &dtype));
    TRY(matrix(shape_columns(&dy->shape), M, dtype, true, &a));
    TRY(matrix(M, shape_columns(&x->shape), dtype, false, &b));
    TRY(matrix(shape_columns(&dy->shape), shape_columns(&x->shape), dnnl_f32, false, &dw));
    TRY(onednn_status(dnnl_matmul_desc_init(&desc, &a, &b, NULL, &dw), "matmul"));
    TRY(dense_create(call, &desc, &dense));
    TRY(dense_bind_input(dense, 0, DNNL_ARG_SRC, NULL));
    TRY(dense_bind_input(dense, 1, DNNL_ARG_WEIGHTS, NULL));
    return dense_finish(call);
}

const soda_kernel cpu_linear = {prepare, run, release};
const soda_kernel cpu_linear_grad_weight = {prepare_grad_weight, dense_run, dense_release};
