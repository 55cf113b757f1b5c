/* The activations and geglu. */
#include <stdio.h>

#include "verify/kernels.h"

enum { KINDS = 4 };
static const soda_activation kinds[KINDS] = {ACT_SILU, ACT_GELU, ACT_QUICK_GELU, ACT_RELU};

/* Rows and channels; the second case is large enough for threads. At scale 30 the exponentials
 * overflow fp32 on both sides. */
static const struct {
    int64_t rows, C;
    double scale;
} tested_cases[] = {{1, 1, 1}, {43, 65 * 17, 1}, {5, 33, 30}, {2, 7, 1e-4}};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };

/* A handful of fp32 roundings: argument, exponential, quotient, products. */
static const op_bound tested_bound = {.terms = 8};

void kernels_activation(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES; i++) {
        for (int t = 0; t < 2 * KINDS; t++) {
            const soda_dtype type = t % 2 ? SODA_BF16 : SODA_F32;
            const soda_shape x = SHAPE(tested_cases[i].rows, tested_cases[i].C);
            char label[80];
            op_case c = {.attr.activation.kind = kinds[t / 2]}, g = {.attr = c.attr};
            snprintf(label, sizeof label, "case %d, %s, kind %d", i, dtype_name(type), t / 2);
            case_input(&c, type, x, tested_cases[i].scale);
            case_output(&c, type, x);
            kernels_compare(check, OP_activation, &c, &tested_bound, label);
            case_input(&g, type, x, 1);
            case_given(&g, &c.in[0]);
            case_output(&g, type, x);
            kernels_compare(check, OP_activation_grad, &g, &tested_bound, label);
            case_free(&c);
            case_free(&g);
        }
    }
}

void kernels_geglu(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES; i++) {
        for (int t = 0; t < 2; t++) {
            const soda_dtype type = t ? SODA_BF16 : SODA_F32;
            const int64_t rows = tested_cases[i].rows, C = tested_cases[i].C;
            char label[80];
            op_case c = {.inputs = 0}, g = {.inputs = 0};
            snprintf(label, sizeof label, "case %d, %s", i, dtype_name(type));
            case_input(&c, type, SHAPE(rows, 2 * C), tested_cases[i].scale);
            case_output(&c, type, SHAPE(rows, C));
            kernels_compare(check, OP_geglu, &c, &tested_bound, label);
            case_input(&g, type, SHAPE(rows, C), 1);
            case_given(&g, &c.in[0]);
            case_output(&g, type, SHAPE(rows, 2 * C));
            kernels_compare(check, OP_geglu_grad, &g, &tested_bound, label);
            case_free(&c);
            case_free(&g);
        }
    }
}
