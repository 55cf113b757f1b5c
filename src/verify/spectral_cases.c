/* spectral_scale (SVD), row_scale_add and column_scale_add (LQ), and their gradients. */
#include <stdio.h>

#include "verify/kernels.h"

/* rows (or m), k, n; some gates are closed, because s + delta is about normal. */
static const int64_t tested_cases[][3] = {
    {1, 1, 1}, {5, 3, 7}, {33, 17, 65}, {65, 65, 33}, {129, 96, 640}};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };

/* Closed gates: exactly 0, not only close. */
static void check_closed(kernel_check *check, const op_case *c, const op_case *g)
{
    for (int64_t j = 0; j < shape_count(&c->in[1].shape); j++)
        kernels_expect(check, OP_spectral_scale_grad,
                       case_get(&c->in[1], j) + case_get(&c->in[2], j) > 0 ||
                           case_get(&g->out[1], j) == 0,
                       "a closed gate has a gradient");
}

/* s + delta and the product: two roundings; ddelta sums products of about 1 over the
 * rows. */
void kernels_spectral_scale(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES * OP_MATRIX_TYPES; i++) {
        const int t = i % OP_MATRIX_TYPES;
        const int64_t rows = tested_cases[i / OP_MATRIX_TYPES][0],
                      k = tested_cases[i / OP_MATRIX_TYPES][1];
        const op_bound bound[] = {{.terms = 2}, {.terms = (double)rows + 2, .size = 1}};
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %d, types %d", i / OP_MATRIX_TYPES, t);
        case_either(&c, &op_matrix_types[t], SHAPE(rows, k), 1);
        case_weight(&c, SODA_F32, SODA_F32, SHAPE(k), 1);
        case_input(&c, SODA_F32, SHAPE(k), 1);
        if (k > 1) case_put(&c.in[2], 1, -case_get(&c.in[1], 1));
        case_output(&c, op_matrix_types[t].x, SHAPE(rows, k));
        kernels_compare(check, OP_spectral_scale, &c, bound, label);
        case_input(&g, op_matrix_types[t].x, SHAPE(rows, k), 1);
        case_either(&g, &op_matrix_types[t], SHAPE(rows, k), 1);
        case_given_weight(&g, &c.in[1]);
        case_given(&g, &c.in[2]);
        case_output(&g, op_matrix_types[t].x, SHAPE(rows, k));
        case_output(&g, SODA_F32, SHAPE(k));
        if (kernels_compare(check, OP_spectral_scale_grad, &g, bound, label))
            check_closed(check, &c, &g);
        case_free(&c);
        case_free(&g);
    }
}

/* A product and a sum: two roundings; ddelta sums products of about 1 over the columns. */
void kernels_row_scale_add(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES * OP_MATRIX_TYPES; i++) {
        const int t = i % OP_MATRIX_TYPES;
        const int64_t *z = tested_cases[i / OP_MATRIX_TYPES];
        const op_bound bound = {.terms = 2}, sum = {.terms = (double)z[2] + 2, .size = 1};
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %d, types %d", i / OP_MATRIX_TYPES, t);
        case_either(&c, &op_matrix_types[t], SHAPE(z[0], z[2]), 1);
        case_either(&c, &op_matrix_types[t], SHAPE(z[1], z[2]), 1);
        case_input(&c, SODA_F32, SHAPE(z[1]), 1);
        case_output(&c, op_matrix_types[t].x, SHAPE(z[0], z[2]));
        kernels_compare(check, OP_row_scale_add, &c, &bound, label);
        case_input(&g, op_matrix_types[t].x, SHAPE(z[0], z[2]), 1);
        case_either(&g, &op_matrix_types[t], SHAPE(z[1], z[2]), 1);
        case_output(&g, SODA_F32, SHAPE(z[1]));
        kernels_compare(check, OP_row_scale_add_grad, &g, &sum, label);
        case_free(&c);
        case_free(&g);
    }
}

/* A product and a sum: two roundings; ddelta sums products of about 1 over the rows. */
void kernels_column_scale_add(kernel_check *check)
{
    /* rows, m, k */
    static const int64_t cases[][3] = {
        {1, 1, 1}, {5, 7, 3}, {33, 65, 65}, {129, 100, 96}, {1100, 67, 33}};
    const soda_dtype types[] = {SODA_F32, SODA_BF16};
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        const int64_t rows = cases[i / 2][0], m = cases[i / 2][1], k = cases[i / 2][2];
        const soda_dtype type = types[i % 2];
        const op_bound bound[] = {{.terms = 2}, {.terms = (double)rows + 2, .size = 1}};
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %zu, type %s", i / 2, dtype_name(type));
        case_input(&c, type, SHAPE(rows, m), 1);
        case_input(&c, type, SHAPE(rows, k), 1);
        case_input(&c, SODA_F32, SHAPE(k), 1);
        case_output(&c, type, SHAPE(rows, m));
        kernels_compare(check, OP_column_scale_add, &c, bound, label);
        case_input(&g, type, SHAPE(rows, m), 1);
        case_given(&g, &c.in[1]);
        case_given(&g, &c.in[2]);
        case_output(&g, type, SHAPE(rows, k));
        case_output(&g, SODA_F32, SHAPE(k));
        kernels_compare(check, OP_column_scale_add_grad, &g, bound, label);
        case_free(&c);
        case_free(&g);
    }
}
