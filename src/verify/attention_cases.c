/* attention and its gradient: odd shapes, and large logits. */
#include <stdio.h>

#include "verify/case_layouts.h"
#include "verify/kernels.h"

/* Widths below, at and beyond a vector and a tile; runs that end inside a block; tq != tk. */
const case_attention case_attentions[CASE_ATTENTIONS] = {
    {1, 1, 1, 1, 1, false, 20},    {2, 77, 77, 3, 64, true, 0},   {1, 130, 77, 2, 40, false, 0},
    {2, 33, 259, 1, 80, false, 0}, {1, 65, 131, 2, 17, false, 0}, {3, 19, 5, 2, 48, false, 0},
    {1, 70, 64, 1, 160, false, 0}, {1, 35, 67, 1, 515, false, 0}, {1, 261, 261, 2, 16, true, 0},
    {1, 7, 40, 2, 9, true, 0},     {1, 150, 33, 2, 32, true, 0},  {1, 37, 141, 2, 24, false, -0.3},
    {1, 18, 20, 2, 8, false, 0},   {1, 131, 101, 1, 24, true, 0}, {1, 68, 35, 1, 120, true, 0},
};

static void name(const case_attention *z, soda_dtype dtype, char label[80])
{
    snprintf(label, 80, "%s, [%lld,%lld], width %lld", dtype_name(dtype), (long long)z->Tq,
             (long long)z->Tk, (long long)z->width);
}

/* o is a mean of values with weights p >= 0, sum 1. A logit sums d products and is off by about
 * sqrt(d) roundings of its size, which is a few units: so is p relative to itself, then come exp2
 * (2 roundings), tk terms of sum and mean: about 4 d + tk roundings in all. bf16 paths round p to
 * bf16 (half of 2^-8 at most), and the mean keeps that: inner 1/2. lse carries the logits' error.
 */
static void compare_forward(kernel_check *check, const case_attention *z, soda_dtype dtype)
{
    const double terms = (double)(4 * z->width + z->Tk);
    const op_bound bound[2] = {{.terms = terms, .inner = 0.5}, {.terms = terms, .inner = 0.5}};
    char label[80];
    op_case c = {.inputs = 0};
    name(z, dtype, label);
    case_attention_forward(&c, z, dtype, SODA_F32);
    kernels_compare(check, OP_attention, &c, bound, label);
    case_free(&c);
}

/* p again as above, and ds = p (dp - D), where dp and D sum d terms: 8 d roundings; a row of dq
 * sums tk of them, dk and dv sum tq. bf16 paths round p and ds to bf16: inner 1 as ds has two. */
static void compare_gradient(kernel_check *check, const case_attention *z, soda_dtype dtype)
{
    const double terms = (double)(8 * z->width + z->Tk + z->Tq);
    const op_bound each = {.terms = terms, .inner = 1};
    const op_bound bound[3] = {each, each, each};
    char label[80];
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    name(z, dtype, label);
    case_attention_forward(&c, z, dtype, SODA_F32);
    kernels_reference(check, OP_attention, &c);
    case_attention_grad(&g, &c);
    kernels_compare(check, OP_attention_grad, &g, bound, label);
    case_free(&c);
    case_free(&g);
}

void kernels_attention_of(kernel_check *check, soda_dtype dtype)
{
    /* More logits than a GPU's products take at a time, and a rest. */
    static const case_attention forward = {1, 1500, 1410, 1, 1, true, 0},
                                grad = {1, 1100, 1050, 1, 1, true, 0};
    for (int i = 0; i < CASE_ATTENTIONS; i++) {
        compare_forward(check, &case_attentions[i], dtype);
        compare_gradient(check, &case_attentions[i], dtype);
    }
    if (dtype != SODA_F32) return;
    compare_forward(check, &forward, dtype);
    compare_gradient(check, &grad, dtype);
}

void kernels_attention(kernel_check *check)
{
    kernels_attention_of(check, SODA_F32);
    kernels_attention_of(check, SODA_BF16);
}

/* Logits 32 times as large as above: softmax is nearly one key. A logit has `width` terms, and its
 * rounding, 32 times as large too, scales a probability; sums have Tk or Tq terms. In bf16 kernels
 * round probabilities, AMX tiles by a cut of up to 1.3 2^-8 (attention_amx.h), and ds of dq and dk
 * besides. */
enum { LOUD = 32 };

static void compare_loud(kernel_check *check, const case_attention *z, soda_dtype dtype)
{
    const double terms = LOUD * LOUD * (double)(z->width + z->Tk + z->Tq);
    const op_bound out = {.terms = terms, .inner = 1.3}, grad = {.terms = terms, .inner = 2};
    const op_bound forward[] = {out, {.terms = terms}}, gradient[] = {grad, grad, grad};
    char label[80];
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    name(z, dtype, label);
    case_attention_forward(&c, z, dtype, SODA_F32);
    for (int64_t i = 0; i < shape_count(&c.in[0].shape); i++)
        case_put(&c.in[0], i, LOUD * case_get(&c.in[0], i));
    kernels_compare(check, OP_attention, &c, forward, label);
    kernels_reference(check, OP_attention, &c);
    case_attention_grad(&g, &c);
    kernels_compare(check, OP_attention_grad, &g, gradient, label);
    case_free(&c);
    case_free(&g);
}

void kernels_attention_loud_of(kernel_check *check, soda_dtype dtype)
{
    /* The last: a key padded to a block has logit 0, and exp(0 - lse) is infinite at some query. */
    static const case_attention cases[] = {{2, 3, 5, 2, 3, false, 0},
                                           {1, 33, 147, 2, 40, false, 0},
                                           {1, 67, 67, 1, 80, true, 0},
                                           {1, 201, 1, 8, 1, false, 0}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) compare_loud(check, &cases[i], dtype);
}

void kernels_attention_loud(kernel_check *check)
{
    kernels_attention_loud_of(check, SODA_F32);
    kernels_attention_loud_of(check, SODA_BF16);
}
