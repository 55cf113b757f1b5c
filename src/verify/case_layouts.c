#include "verify/case_layouts.h"

#include <math.h>

soda_shape case_conv2d_out(const case_conv2d *z)
{
    const conv2d_attr *a = &z->attr;
    return SHAPE(z->N, (z->H + a->top + a->bottom - z->kh) / a->stride + 1,
                 (z->W + a->left + a->right - z->kw) / a->stride + 1, z->O);
}

void case_ids(op_case *c, const int32_t *ids, soda_shape shape)
{
    const soda_tensor t = {.dtype = SODA_I32, .shape = shape, .data = (void *)(uintptr_t)ids};
    case_given(c, &t);
}

void case_attention_forward(op_case *c, const case_attention *z, soda_dtype dtype, soda_dtype stats)
{
    const int64_t C = z->heads * z->width;
    const float scale = z->scale != 0 ? (float)z->scale : 1 / sqrtf((float)z->width);
    c->attr.attention = (attention_attr){.heads = z->heads, .causal = z->causal, .scale = scale};
    case_input(c, dtype, SHAPE(z->B, z->Tq, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_output(c, dtype, SHAPE(z->B, z->Tq, C));
    case_output(c, stats, SHAPE(z->B, z->heads, z->Tq));
}

void case_attention_grad(op_case *g, const op_case *c)
{
    g->attr = c->attr;
    for (int i = 0; i < 3; i++) case_given(g, &c->in[i]);
    for (int i = 0; i < 2; i++) case_given(g, &c->out[i]);
    case_input(g, c->in[0].dtype, c->in[0].shape, 1);
    for (int i = 0; i < 3; i++) case_output(g, c->in[i].dtype, c->in[i].shape);
}

void case_mse_loss(op_case *c, soda_shape p, soda_dtype dtype, soda_dtype target, float beta)
{
    c->attr.mse_loss.beta = beta;
    case_input(c, dtype, p, 1);
    case_input(c, target, p, 1);
    case_input(c, target, SHAPE(p.dim[0]), 1);
    if (beta > 0)
        case_input(c, target, SHAPE(p.dim[0]), 1);
    else
        case_absent(c);
    case_output(c, target, SHAPE(1));
    case_output(c, target, SHAPE(p.dim[0]));
}

void case_mse_loss_grad(op_case *g, const op_case *c)
{
    g->attr = c->attr;
    for (int i = 0; i < 3; i++) case_given(g, &c->in[i]);
    case_given(g, &c->out[1]);
    if (c->attr.mse_loss.beta > 0)
        case_given(g, &c->in[3]);
    else
        case_absent(g);
    case_output(g, c->in[0].dtype, c->in[0].shape);
}
