/* mse_loss and its gradient, plain and DCO. */
#include <stdio.h>

#include "verify/case_layouts.h"
#include "verify/kernels.h"

/* The loss sums in fp64: what is left is the rounding of each square and of the result. */
void kernels_mse_loss(kernel_check *check)
{
    static const int64_t cases[][4] = {{1, 1, 1, 1}, {3, 5, 7, 4}, {2, 33, 31, 4}, {5, 64, 65, 13}};
    const op_bound bound[2] = {{.terms = 3}, {.terms = 3}}; /* of the gradient, the first */
    for (size_t i = 0; i < 4 * (sizeof cases / sizeof *cases); i++) {
        const soda_dtype type = i % 2 ? SODA_BF16 : SODA_F32;
        const float beta = i / 2 % 2 ? 1.5f : 0;
        const int64_t *n = cases[i / 4];
        char label[80];
        op_case c = {.inputs = 0}, g = {.inputs = 0};
        snprintf(label, sizeof label, "case %zu, %s", i / 2, dtype_name(type));
        case_mse_loss(&c, SHAPE(n[0], n[1], n[2], n[3]), type, SODA_F32, beta);
        kernels_compare(check, OP_mse_loss, &c, bound, label);
        kernels_reference(check, OP_mse_loss, &c);
        case_mse_loss_grad(&g, &c);
        kernels_compare(check, OP_mse_loss_grad, &g, bound, label);
        case_free(&c);
        case_free(&g);
    }
}
