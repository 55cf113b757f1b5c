/* kron_rotate: x (R1 x R2 x R3), and its gradients. */
#include <math.h>
#include <stdio.h>

#include "verify/kernels.h"

typedef struct {
    int64_t rows, n[3];
} sizes;

static int64_t width(const sizes *z) { return z->n[0] * z->n[1] * z->n[2]; }

/* Sizes of the models (method.md, table T1), odd ones, and factors of 1. x is a token matrix, or a
 * frozen weight whose rows are rotated; then the result is fp32. */
static const sizes tested_cases[] = {
    {1, {1, 1, 1}},   {7, {2, 3, 5}},  {65, {1, 1, 17}}, {3, {7, 1, 9}},  {5, {3, 11, 1}},
    {43, {8, 8, 10}}, {9, {6, 8, 16}}, {5, {4, 16, 20}}, {1, {4, 8, 64}},
};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };

/* Three sums in a row, of n1, n2 and n3 terms. */
static double terms_of(const sizes *z) { return (double)(z->n[0] + z->n[1] + z->n[2]); }

void kernels_kron_rotate(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        const op_bound bound = {.terms = terms_of(z)};
        for (int t = 0; t < 2 * OP_MATRIX_TYPES; t++) {
            char label[80];
            op_case c = {.attr.kron_rotate.transposed = t % 2};
            case_either(&c, &op_matrix_types[t / 2], SHAPE(z->rows, width(z)), 1);
            for (int k = 0; k < 3; k++) case_input(&c, SODA_F32, SHAPE(z->n[k], z->n[k]), 0.7);
            case_output(&c, op_matrix_types[t / 2].x, c.in[0].shape);
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2,
                     t % 2 ? ", transposed" : "");
            kernels_compare(check, OP_kron_rotate, &c, &bound, label);
            case_free(&c);
        }
    }
}

/* A factor's gradient sums over all rows and the other axes: products of a dz of about 1 and an x
 * that two or three factors have made 0.7 sqrt(n) times as large. A factor of 1 has one sum, which
 * may cancel: its standard deviation is the measure then. */
void kernels_kron_rotate_grad(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES; i++) {
        const sizes *z = &tested_cases[i];
        op_bound bound[4] = {{.terms = terms_of(z)}};
        for (int k = 0; k < 3; k++) {
            const int64_t others = z->rows * width(z) / z->n[k];
            const double terms = (double)others;
            bound[1 + k].terms = terms_of(z) + terms;
            bound[1 + k].size = 0.343 * sqrt((double)width(z) * terms);
        }
        for (int t = 0; t < 2 * OP_MATRIX_TYPES; t++) {
            char label[80];
            op_case c = {.attr.kron_rotate.transposed = t % 2};
            case_input(&c, op_matrix_types[t / 2].x, SHAPE(z->rows, width(z)), 1);
            case_either(&c, &op_matrix_types[t / 2], SHAPE(z->rows, width(z)), 1);
            for (int k = 0; k < 3; k++) case_input(&c, SODA_F32, SHAPE(z->n[k], z->n[k]), 0.7);
            case_output(&c, op_matrix_types[t / 2].x, c.in[0].shape);
            for (int k = 0; k < 3; k++) case_output(&c, SODA_F32, c.in[2 + k].shape);
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2,
                     t % 2 ? ", transposed" : "");
            kernels_compare(check, OP_kron_rotate_grad, &c, bound, label);
            case_free(&c);
        }
    }
}
