/* attention, whole and causal. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

typedef struct {
    int64_t B, Tq, Tk, heads, width; /* C = heads width */
    bool causal;
} sizes;

static soda_attr attr_of(const sizes *z)
{
    return (soda_attr){
        .attention = {.heads = z->heads, .causal = z->causal, .scale = 1 / sqrtf((float)z->width)}};
}

/* q, k, v, then o and lse of type `stats`. */
static void forward_case(op_case *c, const sizes *z, soda_dtype dtype, soda_dtype stats)
{
    const int64_t C = z->heads * z->width;
    c->attr = attr_of(z);
    case_input(c, dtype, SHAPE(z->B, z->Tq, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_input(c, dtype, SHAPE(z->B, z->Tk, C), 1);
    case_output(c, dtype, SHAPE(z->B, z->Tq, C));
    case_output(c, stats, SHAPE(z->B, z->heads, z->Tq));
}

/* The gradient of a forward case that has run: q, k, v, o, lse, do -> dq, dk, dv. */
static void gradient_case(op_case *g, const op_case *c)
{
    g->attr = c->attr;
    for (int i = 0; i < 3; i++) case_given(g, &c->in[i]);
    for (int i = 0; i < 2; i++) case_given(g, &c->out[i]);
    case_input(g, c->in[0].dtype, c->in[0].shape, 1);
    for (int i = 0; i < 3; i++) case_output(g, c->in[i].dtype, c->in[i].shape);
}

/* One head of width 1, q = 1, 2; logits q k with k = 0, log 3: weights 1/4, 3/4 and 1/10, 9/10. */
static void attention_weighs_values_by_softmax(void **state)
{
    (void)state;
    for (int causal = 0; causal < 2; causal++) {
        op_case c = {.inputs = 0};
        forward_case(&c, &(sizes){1, 2, 2, 1, 1, causal}, SODA_F64, SODA_F64);
        case_put(&c.in[0], 0, 1);
        case_put(&c.in[0], 1, 2);
        case_put(&c.in[1], 0, 0);
        case_put(&c.in[1], 1, log(3));
        case_put(&c.in[2], 0, 20);
        case_put(&c.in[2], 1, 60);
        case_run(&c, &ref_attention);
        /* Causal: the first query sees the first key alone. */
        case_check_values(&c, (double[]){causal ? 20 : 50, 56}, 2, 1e-13);
        assert_true(fabs(case_get(&c.out[1], 0) - (causal ? 0 : log(4))) < 1e-15);
        assert_true(fabs(case_get(&c.out[1], 1) - log(10)) < 1e-15);
        case_free(&c);
    }
}

static void attention_gradients_match_finite_differences(void **state)
{
    (void)state;
    static const sizes cases[] = {
        {2, 3, 5, 2, 3, false}, {1, 5, 3, 3, 2, false}, {2, 5, 5, 2, 3, true}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        forward_case(&c, &cases[i], SODA_F64, SODA_F64);
        case_run(&c, &ref_attention);
        gradient_case(&g, &c);
        case_run(&g, &ref_attention_grad);
        for (int wrt = 0; wrt < 3; wrt++)
            case_check_gradient(&c, &ref_attention, wrt, &g.in[5], &g.out[wrt]);
        case_free(&c);
        case_free(&g);
    }
}

/* Logits of 4000 and more neither overflow nor lose the row. */
static void attention_survives_large_logits(void **state)
{
    (void)state;
    op_case c = {.inputs = 0};
    forward_case(&c, &(sizes){1, 3, 5, 1, 4, false}, SODA_F64, SODA_F64);
    for (int64_t i = 0; i < 12; i++) case_put(&c.in[0], i, 100);
    for (int64_t i = 0; i < 20; i++) case_put(&c.in[1], i, i / 4 == 3 ? 20 : 10);
    case_run(&c, &ref_attention);
    for (int64_t i = 0; i < 12; i++) /* all the weight is on key 3 */
        assert_true(case_get(&c.out[0], i) == case_get(&c.in[2], 3 * 4 + i % 4));
    for (int64_t i = 0; i < 3; i++) assert_true(case_get(&c.out[1], i) == 4000);
    case_free(&c);
}

/* Logits 32 times as large as tests/backend/test_attention.c has: softmax is nearly one key. A
 * logit has `width` terms, and its rounding, 32 times as large too, scales a probability; sums have
 * Tk or Tq terms. In bf16 kernels round probabilities, AMX tiles by a cut of up to 1.3 2^-8
 * (attention_amx.h), and ds of dq and dk besides. */
enum { LOUD = 32 };

static void compare_loud(const char *path, soda_dtype type, const void *context)
{
    const sizes *z = context;
    const double terms = LOUD * LOUD * (double)(z->width + z->Tk + z->Tq);
    const op_bound out = {.terms = terms, .inner = 1.3}, grad = {.terms = terms, .inner = 2};
    const op_bound forward[] = {out, {.terms = terms}}, gradient[] = {grad, grad, grad};
    char label[80];
    op_case c = {.inputs = 0}, g = {.inputs = 0};
    snprintf(label, sizeof label, "%s, %s, width %lld", path, dtype_name(type),
             (long long)z->width);
    forward_case(&c, z, type, SODA_F32);
    for (int64_t i = 0; i < shape_count(&c.in[0].shape); i++)
        case_put(&c.in[0], i, LOUD * case_get(&c.in[0], i));
    case_compare(&c, &TESTED(attention), &ref_attention, forward, label);
    case_run(&c, &ref_attention);
    gradient_case(&g, &c);
    case_compare(&g, &TESTED(attention_grad), &ref_attention_grad, gradient, label);
    case_free(&c);
    case_free(&g);
}

static void attention_of_large_logits_matches_ref(void **state)
{
    (void)state;
    /* The last: a key padded to a block has logit 0, and exp(0 - lse) is infinite at some query. */
    static const sizes cases[] = {{2, 3, 5, 2, 3, false},
                                  {1, 33, 147, 2, 40, false},
                                  {1, 67, 67, 1, 80, true},
                                  {1, 201, 1, 8, 1, false}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        tested_attention(SODA_F32, compare_loud, &cases[i]);
        tested_attention(SODA_BF16, compare_loud, &cases[i]);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_weighs_values_by_softmax),
        cmocka_unit_test(attention_survives_large_logits),
        cmocka_unit_test(attention_gradients_match_finite_differences),
        cmocka_unit_test(attention_of_large_logits_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
