/* conv2d, reference backend: cross-correlation with zero padding, as in torch.nn.Conv2d.
 *
 *     y[n,p,q,o] = b[o] + sum over r, s, i of x[n, p stride + r - top, q stride + s - left, i]
 *                                             w[o,i,r,s]
 *
 * x [N,H,W,I], w [O,I,kh,kw], b [O] or absent, y [N,P,Q,O]; x is 0 outside the picture. */
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

typedef struct {
    int64_t N, H, W, I; /* x */
    int64_t P, Q, O;    /* y */
    int64_t kh, kw;
} sizes;

static sizes sizes_of(const soda_tensor *x, const soda_tensor *w, const soda_tensor *y)
{
    return (sizes){
        .N = x->shape.dim[0],
        .H = x->shape.dim[1],
        .W = x->shape.dim[2],
        .I = x->shape.dim[3],
        .P = y->shape.dim[1],
        .Q = y->shape.dim[2],
        .O = y->shape.dim[3],
        .kh = w->shape.dim[2],
        .kw = w->shape.dim[3],
    };
}

/* Position of tap (o,i,r,s) in w. */
static int64_t tap(const sizes *z, int64_t o, int64_t i, int64_t r, int64_t s)
{
    return ((o * z->I + i) * z->kh + r) * z->kw + s;
}

static double one_output(const soda_call *call, const sizes *z, int64_t n, int64_t p, int64_t q,
                         int64_t o)
{
    const conv2d_attr *a = &call->attr->conv2d;
    const soda_tensor *x = &call->in[0], *w = &call->in[1];
    double sum = 0;
    for (int64_t r = 0; r < z->kh; r++) {
        for (int64_t s = 0; s < z->kw; s++) {
            const int64_t h = p * a->stride + r - a->top, v = q * a->stride + s - a->left;
            if (h < 0 || h >= z->H || v < 0 || v >= z->W) continue;
            for (int64_t i = 0; i < z->I; i++)
                sum += get(x, ((n * z->H + h) * z->W + v) * z->I + i) * get(w, tap(z, o, i, r, s));
        }
    }
    return sum;
}

static soda_status conv2d(const soda_call *call)
{
    const soda_tensor *b = call->inputs > 2 && call->in[2].data ? &call->in[2] : NULL;
    const soda_tensor *y = &call->out[0];
    const sizes z = sizes_of(&call->in[0], &call->in[1], y);
    for (int64_t n = 0; n < z.N; n++)
        for (int64_t p = 0; p < z.P; p++)
            for (int64_t q = 0; q < z.Q; q++)
                for (int64_t o = 0; o < z.O; o++)
                    set(y, ((n * z.P + p) * z.Q + q) * z.O + o,
                        one_output(call, &z, n, p, q, o) + (b ? get(b, o) : 0));
    return SODA_OK;
}

/* dx[n,h,v,i]: every output that this pixel went into, times the tap it went through. */
static double one_gradient(const soda_call *call, const sizes *z, int64_t n, int64_t h, int64_t v,
                           int64_t i)
{
    const conv2d_attr *a = &call->attr->conv2d;
    const soda_tensor *dy = &call->in[0], *w = &call->in[1];
    double sum = 0;
    for (int64_t p = 0; p < z->P; p++) {
        const int64_t r = h + a->top - p * a->stride;
        if (r < 0 || r >= z->kh) continue;
        for (int64_t q = 0; q < z->Q; q++) {
            const int64_t s = v + a->left - q * a->stride;
            if (s < 0 || s >= z->kw) continue;
            for (int64_t o = 0; o < z->O; o++)
                sum += get(dy, ((n * z->P + p) * z->Q + q) * z->O + o) * get(w, tap(z, o, i, r, s));
        }
    }
    return sum;
}

static soda_status conv2d_grad_x(const soda_call *call)
{
    const soda_tensor *dx = &call->out[0];
    const sizes z = sizes_of(dx, &call->in[1], &call->in[0]);
    for (int64_t n = 0; n < z.N; n++)
        for (int64_t h = 0; h < z.H; h++)
            for (int64_t v = 0; v < z.W; v++)
                for (int64_t i = 0; i < z.I; i++)
                    set(dx, ((n * z.H + h) * z.W + v) * z.I + i,
                        one_gradient(call, &z, n, h, v, i));
    return SODA_OK;
}

const soda_kernel ref_conv2d = {.run = conv2d};
const soda_kernel ref_conv2d_grad_x = {.run = conv2d_grad_x};
