/* linear and the gradient of its weight. */
#include <stdio.h>

#include "verify/kernels.h"

/* Unequal odd sizes; [2,3] rows are two leading dimensions. */
typedef struct {
    int64_t lead, rows, I, O;
} sizes;

static soda_shape rows_of(const sizes *z, int64_t columns)
{
    return z->lead ? SHAPE(z->lead, z->rows, columns) : SHAPE(z->rows, columns);
}

/* Whole numbers of 12 bits times -1, 0 and 1: every sum is exact in fp32, in any order, and lost
 * where a library rounds its operands to TF32. */
static void compare_exact(kernel_check *check)
{
    enum { ROWS = 37, I = 259, O = 70 };
    const op_bound exact = {.terms = 0};
    op_case c = {.attr.linear.transposed = false};
    case_input(&c, SODA_F32, SHAPE(ROWS, I), 1);
    case_weight(&c, SODA_F32, SODA_F32, SHAPE(O, I), 1);
    case_absent(&c);
    case_output(&c, SODA_F32, SHAPE(ROWS, O));
    for (int64_t i = 0; i < ROWS * I; i++) case_put(&c.in[0], i, (double)(i * 2654435761 % 4096));
    for (int64_t i = 0; i < O * I; i++) case_put(&c.in[1], i, (double)(i % 7 % 3 - 1));
    kernels_compare(check, OP_linear, &c, &exact, "whole numbers");
    case_free(&c);
}

/* One product per term: I of them in y, rows of them in dw. */
void kernels_linear(kernel_check *check)
{
    compare_exact(check);
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
            kernels_compare(check, OP_linear, &c, &bound, label);
            case_free(&c);
        }
    }
}

void kernels_linear_grad_weight(kernel_check *check)
{
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
            kernels_compare(check, OP_linear_grad_weight, &c, &bound, label);
            case_free(&c);
        }
    }
}
