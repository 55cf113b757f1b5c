/* conv2d.h: a convolution and the gradient of its input, said as one forward convolution.
 *
 *     dx[h] = sum over u, k with h + top - k = stride u of w[k] dy[u]
 *
 * is a convolution with stride 1 of dy, spread with stride - 1 zeros between its pixels, with the
 * kernel turned around and its channel axes swapped, padded by kernel - 1 - top. */
#pragma once

#include "backend/backend.h"

typedef struct {
    soda_dtype dtype;
    int64_t n, h, w, in;    /* picture the kernel runs over: [n,h,w,in], after spreading */
    int64_t oh, ow, out;    /* result [n,oh,ow,out] */
    int64_t kh, kw, stride; /* of the convolution that is run */
    int64_t top, left, bottom, right;
    int64_t spread; /* zeros between pixels of the input, plus one */
    bool turned;    /* w is stored [in,out,kh,kw] and runs backwards */
} conv2d_form;

/* The convolution that `call`, of operator conv2d or conv2d_grad_x, comes down to. Padding may come
 * out negative for a gradient whose padding was wider than the kernel: not supported here. */
conv2d_form conv2d_form_of(const soda_call *call, bool grad_x);

/* A way to compute a convolution or a matrix product: chosen in prepare, and kept as call->path. */
typedef struct {
    soda_status (*prepare)(soda_call *call, soda_weights *weights, const conv2d_form *form);
    soda_status (*prepare_grad_weight)(soda_call *call, const conv2d_form *form); /* NULL: none */
    soda_status (*run)(const soda_call *call);
    void (*release)(soda_call *call);
} conv2d_way;

/* The fastest way on this CPU. It has a prepare_grad_weight for every matrix product. */
const conv2d_way *conv2d_way_for(const conv2d_form *form);
