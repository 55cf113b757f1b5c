/* linear and the gradient of its weight. */
#include "support/check.h"

#include <stdio.h>

#include "backend/ref/kernels.h"
#include "support/op_case.h"
#include "support/tested.h"

/* Unequal odd sizes; [2,3] rows are two leading dimensions. */
typedef struct {
    int64_t lead, rows, I, O;
} sizes;

static soda_shape rows_of(const sizes *z, int64_t columns)
{
    return z->lead ? SHAPE(z->lead, z->rows, columns) : SHAPE(z->rows, columns);
}

static void linear_adds_products_and_bias(void **state)
{
    (void)state;
    const double x[] = {1, 2, 3}, w[] = {1, 0, -1, 2, 5, 1}, b[] = {10, 20};
    op_case c = {.attr.linear.transposed = false};
    case_input(&c, SODA_F64, SHAPE(1, 3), 1);
    case_input(&c, SODA_F64, SHAPE(2, 3), 1);
    case_input(&c, SODA_F64, SHAPE(2), 1);
    case_output(&c, SODA_F64, SHAPE(1, 2));
    for (int i = 0; i < 3; i++) case_put(&c.in[0], i, x[i]);
    for (int i = 0; i < 6; i++) case_put(&c.in[1], i, w[i]);
    for (int i = 0; i < 2; i++) case_put(&c.in[2], i, b[i]);
    case_run(&c, &ref_linear);
    case_check_values(&c, (double[]){1 - 3 + 10, 2 + 10 + 3 + 20}, 2, 0);
    case_free(&c);

    const double wt[] = {1, 2, 0, 5, -1, 1}; /* the same, stored [I,O]; no bias */
    c.attr.linear.transposed = true;
    case_input(&c, SODA_F64, SHAPE(1, 3), 1);
    case_input(&c, SODA_F64, SHAPE(3, 2), 1);
    case_absent(&c);
    case_output(&c, SODA_F64, SHAPE(1, 2));
    for (int i = 0; i < 3; i++) case_put(&c.in[0], i, x[i]);
    for (int i = 0; i < 6; i++) case_put(&c.in[1], i, wt[i]);
    case_run(&c, &ref_linear);
    case_check_values(&c, (double[]){1 - 3, 2 + 10 + 3}, 2, 0);
    case_free(&c);
}

static void linear_gradients_match_finite_differences(void **state)
{
    (void)state;
    const sizes z = {2, 3, 5, 7};
    for (int transposed = 0; transposed < 2; transposed++) {
        op_case c = {.attr.linear.transposed = transposed};
        case_input(&c, SODA_F64, rows_of(&z, z.I), 1);
        case_input(&c, SODA_F64, transposed ? SHAPE(z.I, z.O) : SHAPE(z.O, z.I), 1);
        case_output(&c, SODA_F64, rows_of(&z, z.O));
        op_case dy = {.inputs = 0}; /* dx = dy w, which is linear with the other orientation */
        dy.attr.linear.transposed = !transposed;
        case_input(&dy, SODA_F64, rows_of(&z, z.O), 1);
        case_given(&dy, &c.in[1]);
        case_output(&dy, SODA_F64, rows_of(&z, z.I));
        case_run(&dy, &ref_linear);
        case_check_gradient(&c, &ref_linear, 0, &dy.in[0], &dy.out[0]);

        op_case dw = {.inputs = 0}; /* a transposed weight has the gradient x' dy */
        case_given(&dw, transposed ? &c.in[0] : &dy.in[0]);
        case_given(&dw, transposed ? &dy.in[0] : &c.in[0]);
        case_output(&dw, SODA_F64, c.in[1].shape);
        case_run(&dw, &ref_linear_grad_weight);
        case_check_gradient(&c, &ref_linear, 1, &dy.in[0], &dw.out[0]);
        case_free(&c);
        case_free(&dy);
        case_free(&dw);
    }
}

/* One product per term: I of them in y, rows of them in dw. */
static void linear_matches_ref(void **state)
{
    (void)state;
    static const sizes cases[] = {
        {0, 1, 1, 1},    {0, 3, 5, 7},     {2, 3, 17, 33},   {0, 77, 33, 65},
        {0, 1, 320, 65}, {3, 43, 130, 71}, {0, 129, 64, 96}, {0, 131, 320, 48},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sizes *z = &cases[i];
        const op_bound bound = {.terms = (double)z->I + 1};
        for (int t = 0; t < 4 * OP_TYPES; t++) {
            const op_types *type = &op_type_list[t / 4];
            const bool transposed = t & 1, bias = t & 2;
            const soda_shape w = transposed ? SHAPE(z->I, z->O) : SHAPE(z->O, z->I);
            char label[120];
            op_case c = {.attr.linear.transposed = transposed};
            case_input(&c, type->x, rows_of(z, z->I), 1);
            case_either(&c, type, w, 1);
            if (bias)
                case_either(&c, type, SHAPE(z->O), 3);
            else
                case_absent(&c);
            case_output(&c, type->x, rows_of(z, z->O));
            snprintf(label, sizeof label, "case %zu, types %d%s%s", i, t / 4,
                     transposed ? ", transposed" : "", bias ? ", bias" : "");
            case_compare(&c, &TESTED(linear), &ref_linear, &bound, label);
            case_free(&c);
        }
    }
}

static void linear_grad_weight_matches_ref(void **state)
{
    (void)state;
    static const sizes cases[] = {
        {0, 1, 1, 1},   {0, 5, 3, 7},    {2, 3, 17, 33},   {0, 65, 77, 33},
        {0, 1, 32, 65}, {3, 43, 65, 71}, {0, 129, 64, 96}, {0, 515, 31, 48},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        const sizes *z = &cases[i];
        const op_bound bound = {.terms = (double)(z->rows * (z->lead ? z->lead : 1))};
        for (int t = 0; t < 2; t++) {
            const soda_dtype type = t ? SODA_BF16 : SODA_F32;
            char label[80];
            op_case c = {.inputs = 0};
            case_input(&c, type, rows_of(z, z->O), 1);
            case_input(&c, type, rows_of(z, z->I), 1);
            case_output(&c, SODA_F32, SHAPE(z->O, z->I));
            snprintf(label, sizeof label, "case %zu, %s", i, dtype_name(type));
            case_compare(&c, &TESTED(linear_grad_weight), &ref_linear_grad_weight, &bound, label);
            case_free(&c);
        }
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_adds_products_and_bias),
        cmocka_unit_test(linear_gradients_match_finite_differences),
        cmocka_unit_test(linear_matches_ref),
        cmocka_unit_test(linear_grad_weight_matches_ref),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
