/* attention, whole and causal. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"

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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(attention_weighs_values_by_softmax),
        cmocka_unit_test(attention_survives_large_logits),
        cmocka_unit_test(attention_gradients_match_finite_differences),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
