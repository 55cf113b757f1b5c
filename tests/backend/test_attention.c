/* attention and its gradient on the tested backend: every path that this machine can run, against
 * the reference, over odd shapes. */
#include "support/check.h"

#include <math.h>
#include <omp.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

typedef struct {
    int64_t B, Tq, Tk, heads, d;
    bool causal;
    double scale; /* 0: 1/sqrt(d) */
} sizes;

/* Widths below, at and beyond a vector and a tile; runs that end inside a block; tq != tk. */
static const sizes shapes[] = {
    {1, 1, 1, 1, 1, false, 20},    {2, 77, 77, 3, 64, true, 0},   {1, 130, 77, 2, 40, false, 0},
    {2, 33, 259, 1, 80, false, 0}, {1, 65, 131, 2, 17, false, 0}, {3, 19, 5, 2, 48, false, 0},
    {1, 70, 64, 1, 160, false, 0}, {1, 35, 67, 1, 515, false, 0}, {1, 261, 261, 2, 16, true, 0},
    {1, 7, 40, 2, 9, true, 0},     {1, 150, 33, 2, 32, true, 0},  {1, 37, 141, 2, 24, false, -0.3},
    {1, 18, 20, 2, 8, false, 0},   {1, 131, 101, 1, 24, true, 0}, {1, 68, 35, 1, 120, true, 0},
};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void forward_case(op_case *c, const sizes *z, soda_dtype dtype)
{
    const int64_t C = z->heads * z->d;
    const float scale = z->scale != 0 ? (float)z->scale : 1 / sqrtf((float)z->d);
    c->attr.attention = (attention_attr){.heads = z->heads, .causal = z->causal, .scale = scale};
    case_input(c, dtype, SHAPE(z->B, z->Tq, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_output(c, dtype, SHAPE(z->B, z->Tq, C));
    case_output(c, SODA_F32, SHAPE(z->B, z->heads, z->Tq));
}

/* q, k, v, o, lse, do -> dq, dk, dv, of a forward case: o and lse are the reference's. */
static void gradient_case(op_case *g, const sizes *z, soda_dtype dtype)
{
    op_case c = {.inputs = 0};
    forward_case(&c, z, dtype);
    case_run(&c, &ref_attention);
    g->attr = c.attr;
    for (int i = 0; i < 3; i++) case_given(g, &c.in[i]);
    for (int i = 0; i < 2; i++) case_given(g, &c.out[i]);
    case_input(g, dtype, c.in[0].shape, 1);
    for (int i = 0; i < 3; i++) case_output(g, dtype, c.in[i].shape);
    case_free(&c);
}

/* Calls `check` for every path, type and shape. */
static void on_every_path(tested_check *check)
{
    for (int i = 0; i < SHAPES; i++) {
        tested_attention(SODA_F32, check, &shapes[i]);
        tested_attention(SODA_BF16, check, &shapes[i]);
    }
}

static const sizes *shape_of(const char *path, soda_dtype dtype, const void *context,
                             char label[64])
{
    const sizes *z = context;
    snprintf(label, 64, "%s, %s, [%lld,%lld], width %lld", path, dtype_name(dtype),
             (long long)z->Tq, (long long)z->Tk, (long long)z->d);
    return z;
}

/* o is a mean of values with weights p >= 0, sum 1. A logit sums d products and is off by about
 * sqrt(d) roundings of its size, which is a few units: so is p relative to itself, then come exp2
 * (2 roundings), tk terms of sum and mean: about 4 d + tk roundings in all. bf16 paths round p to
 * bf16 (half of 2^-8 at most), and the mean keeps that: inner 1/2. lse carries the logits' error.
 */
static void check_forward(const char *path, soda_dtype dtype, const void *context)
{
    char label[64];
    const sizes *z = shape_of(path, dtype, context, label);
    const double terms = (double)(4 * z->d + z->Tk);
    const op_bound bound[2] = {{.terms = terms, .inner = 0.5}, {.terms = terms, .inner = 0.5}};
    op_case c = {.inputs = 0};
    forward_case(&c, z, dtype);
    case_compare(&c, &TESTED(attention), &ref_attention, bound, label);
    case_free(&c);
}

static void forward_equals_reference(void **state)
{
    (void)state;
    on_every_path(check_forward);
}

/* p again as above, and ds = p (dp - D), where dp and D sum d terms: 8 d roundings; a row of dq
 * sums tk of them, dk and dv sum tq. bf16 paths round p and ds to bf16: inner 1 as ds has two. */
static void check_gradient(const char *path, soda_dtype dtype, const void *context)
{
    char label[64];
    const sizes *z = shape_of(path, dtype, context, label);
    const double terms = (double)(8 * z->d + z->Tk + z->Tq);
    const op_bound each = {.terms = terms, .inner = 1};
    const op_bound bound[3] = {each, each, each};
    op_case g = {.inputs = 0};
    gradient_case(&g, z, dtype);
    case_compare(&g, &TESTED(attention_grad), &ref_attention_grad, bound, label);
    case_free(&g);
}

static void gradient_equals_reference(void **state)
{
    (void)state;
    on_every_path(check_gradient);
}

/* More logits than a GPU's products take at a time, and a rest. */
static void long_rows_equal_reference(void **state)
{
    (void)state;
    static const sizes forward = {1, 1500, 1410, 1, 1, true, 0},
                       grad = {1, 1100, 1050, 1, 1, true, 0};
    tested_attention(SODA_F32, check_forward, &forward);
    tested_attention(SODA_F32, check_gradient, &grad);
}

static void same_bits(op_case *c, const soda_kernel *kernel, const char *label)
{
    const size_t bytes = tensor_bytes(&c->out[0]);
    char *first = malloc(bytes);
    assert_non_null(first);
    const int threads[] = {3, 1, 8, 3};
    const int before = omp_get_max_threads();
    for (int i = 0; i < (SODA_TEST_SLOW ? 2 : 4); i++) {
        omp_set_num_threads(threads[i]);
        case_run(c, kernel);
        if (i == 0)
            memcpy(first, c->out[0].data, bytes);
        else if (memcmp(first, c->out[0].data, bytes) != 0)
            fail_msg("%s: bits differ", label);
    }
    omp_set_num_threads(before);
    free(first);
}

/* The same bits with one thread, with more than there are heads, and with three, twice. */
static void check_bits(const char *path, soda_dtype dtype, const void *context)
{
    char label[64];
    const sizes *z = shape_of(path, dtype, context, label);
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    forward_case(&c, z, dtype);
    same_bits(&c, &TESTED(attention), label);
    case_free(&c);
    gradient_case(&g, z, dtype);
    same_bits(&g, &TESTED(attention_grad), label);
    case_free(&g);
}

static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    on_every_path(check_bits);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(forward_equals_reference),
        cmocka_unit_test(gradient_equals_reference),
        cmocka_unit_test(long_rows_equal_reference),
        cmocka_unit_test(bits_do_not_depend_on_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
