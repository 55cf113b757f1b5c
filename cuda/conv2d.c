/* conv2d and conv2d_grad_x of the CUDA backend. The gradient is a convolution of dy with the
 * flipped kernel, whose zeros between the pixels of dy (stride > 1) are skipped, not stored:
 * conv2d.cuh.
 *
 * 1 x 1 without padding or stride: one product. fp32: the implicit product of conv2d_f32.cu, in one
 * kernel, or two for few pixels. bf16, channels a multiple of 8: that of conv2d.cu. Else (bf16) the
 * rows of pixels that meet the kernel are gathered into scratch, some rows at a time, and
 * multiplied. */
#include <stdlib.h>

#include "core/round.h"
#include "cuda/gemm.h"
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/launch.h"
#include "cuda/operands.h"
#include "cuda/pack.h"

enum { GATHERED_BYTES = 4 << 20 }; /* that lie in scratch at a time, at most */

typedef enum { BY_PRODUCT, BY_IMPLICIT, BY_GATHERING, BY_IMPLICIT_F32 } method;

typedef struct {
    conv2d_sizes z;
    method method;
    int64_t pitch, rows;   /* of a gathered piece */
    gemm *whole, *rest;    /* of `rows` rows; of those that are left at the end, NULL: none */
    size_t gathered_bytes; /* in scratch, before the workspace */
} conv2d_state;

static conv2d_sizes sizes_of(const soda_call *call, bool grad_x)
{
    const conv2d_attr *a = &call->attr->conv2d;
    const soda_shape *x = &call->in[0].shape, *w = &call->in[1].shape, *y = &call->out[0].shape;
    const int64_t kh = w->dim[2], kw = w->dim[3];
    return (conv2d_sizes){
        .N = x->dim[0],
        .H = (int)x->dim[1],
        .W = (int)x->dim[2],
        .I = (int)x->dim[3],
        .P = (int)y->dim[1],
        .Q = (int)y->dim[2],
        .O = (int)y->dim[3],
        .kh = (int)kh,
        .kw = (int)kw,
        .stride = grad_x ? 1 : (int)a->stride,
        .spread = grad_x ? (int)a->stride : 1,
        .top = (int)(grad_x ? kh - 1 - a->top : a->top),
        .left = (int)(grad_x ? kw - 1 - a->left : a->left),
    };
}

static method method_of(const conv2d_sizes *z, soda_dtype dtype)
{
    const bool same = z->kh == 1 && z->kw == 1 && z->stride == 1 && z->spread == 1;
    if (same && z->top == 0 && z->left == 0 && z->P == z->H && z->Q == z->W) return BY_PRODUCT;
    if (dtype == SODA_F32) return BY_IMPLICIT_F32;
    return z->I % 8 == 0 ? BY_IMPLICIT : BY_GATHERING;
}

/* The product of `rows` rows of pixels, `pitch_a` elements apart, with the kernel. */
static soda_status create(const conv2d_state *c, soda_dtype dtype, bool bias, int64_t rows,
                          gemm **product)
{
    const int64_t k = c->method == BY_PRODUCT ? c->z.I : c->pitch;
    return gemm_create(&(gemm_sizes){.m = rows,
                                     .n = c->z.O,
                                     .k = k,
                                     .pitch_a = k,
                                     .pitch_b = c->pitch,
                                     .pitch_d = c->z.O,
                                     .turned_b = true,
                                     .bias = bias,
                                     .from = dtype,
                                     .to = dtype},
                       product);
}

static soda_status prepare_products(conv2d_state *c, soda_call *call)
{
    const soda_dtype dtype = call->in[0].dtype;
    const bool bias = call->inputs > 2 && call->in[2].shape.rank;
    const int64_t M = c->z.N * c->z.P * c->z.Q;
    const int64_t row_bytes = c->pitch * (int64_t)dtype_bytes(dtype);
    c->rows = M;
    if (c->method == BY_GATHERING) {
        c->rows = min64(M, GATHERED_BYTES / row_bytes + 1);
        c->gathered_bytes = round_up((size_t)(c->rows * row_bytes), 256);
    }
    TRY(create(c, dtype, bias, c->rows, &c->whole));
    if (M % c->rows) TRY(create(c, dtype, bias, M % c->rows, &c->rest));
    const size_t whole = gemm_workspace(c->whole), rest = c->rest ? gemm_workspace(c->rest) : 0;
    call->scratch_bytes = c->gathered_bytes + (whole > rest ? whole : rest);
    return SODA_OK;
}

static soda_status prepare(soda_call *call, soda_weights *weights, bool grad_x)
{
    if (!call->weight[1])
        return FAIL(SODA_ERR_UNSUPPORTED, "the CUDA backend takes frozen convolution kernels only");
    conv2d_state *c = calloc(1, sizeof *c);
    if (!c) return FAIL(SODA_ERR_MEMORY, "out of memory");
    call->state = c;
    c->z = sizes_of(call, grad_x);
    c->method = method_of(&c->z, call->in[0].dtype);
    c->pitch = pack_taps_pitch((int64_t)c->z.kh * c->z.kw * c->z.I);
    const pack_recipe recipe = {
        .to = call->in[0].dtype, .flipped = grad_x, .turned = c->method == BY_IMPLICIT_F32};
    TRY(pack_taps(call, weights, 1, &recipe));
    if (call->inputs > 2 && call->weight[2])
        TRY(operands_form(call, weights, 2, call->in[0].dtype));
    if (c->method == BY_IMPLICIT_F32) {
        const int parts = conv2d_f32_parts(&c->z);
        if (parts > 1) call->scratch_bytes = (size_t)parts * tensor_bytes(&call->out[0]);
        return SODA_OK;
    }
    return c->method == BY_IMPLICIT ? SODA_OK : prepare_products(c, call);
}

static soda_status run_products(const soda_call *call, const conv2d_state *c)
{
    const int64_t M = c->z.N * c->z.P * c->z.Q,
                  row = c->z.O * (int64_t)dtype_bytes(call->in[0].dtype);
    gemm_operands o = {.a = call->in[0].data,
                       .b = operand(call, 1),
                       .bias = operand(call, 2),
                       .alpha = 1,
                       .workspace = (char *)call->scratch + c->gathered_bytes};
    for (int64_t first = 0; first < M; first += c->rows) {
        const int64_t rows = min64(c->rows, M - first);
        o.d = (char *)call->out[0].data + first * row;
        if (c->method == BY_GATHERING) {
            GPU_TRY(launch_conv2d_gather(&c->z, call->in[0].data, first, rows, (int)c->pitch,
                                         call->scratch, gpu_stream()));
            o.a = call->scratch;
        }
        TRY(gemm_run(rows == c->rows ? c->whole : c->rest, &o));
    }
    return SODA_OK;
}

static soda_status run(const soda_call *call)
{
    const conv2d_state *c = call->state;
    const void *x = call->in[0].data, *w = operand(call, 1), *bias = operand(call, 2);
    if (c->method == BY_IMPLICIT)
        GPU_TRY(launch_conv2d(&c->z, x, w, bias, call->out[0].data, gpu_stream()));
    else if (c->method == BY_IMPLICIT_F32)
        GPU_TRY(
            launch_conv2d_f32(&c->z, x, w, bias, call->scratch, call->out[0].data, gpu_stream()));
    else
        return run_products(call, c);
    return SODA_OK;
}

static void release(soda_call *call)
{
    conv2d_state *c = call->state;
    if (!c) return;
    gemm_destroy(c->whole);
    gemm_destroy(c->rest);
    free(c);
    call->state = NULL;
}

static soda_status prepare_forward(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, false);
}

static soda_status prepare_grad_x(soda_call *call, soda_weights *weights)
{
    return prepare(call, weights, true);
}

const soda_kernel cuda_conv2d = {prepare_forward, run, release};
const soda_kernel cuda_conv2d_grad_x = {prepare_grad_x, run, release};
