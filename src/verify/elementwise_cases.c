/* add, sum_rows, concat, slice, scale, cast, upsample. */
#include <stdio.h>

#include "verify/kernels.h"

/* [N,M,C]; the last one is large enough for threads. */
static const int64_t tested_cases[][3] = {{1, 1, 1}, {2, 3, 5}, {3, 7, 33}, {2, 43, 1025}};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };
static const soda_dtype tested_types[] = {SODA_F32, SODA_BF16};

/* One rounding and no more, but in sum_rows, which has M terms. */
static const op_bound exact = {.terms = 0};

void kernels_add(kernel_check *check)
{
    for (int i = 0; i < 2 * TESTED_CASES; i++) {
        const int64_t *n = tested_cases[i / 2];
        const soda_dtype type = tested_types[i % 2];
        const soda_shape x = SHAPE(n[0], n[1], n[2]);
        const op_bound sum = {.terms = (double)n[1]};
        char label[80];
        snprintf(label, sizeof label, "case %d, %s", i / 2, dtype_name(type));
        for (int whole = 0; whole < 2; whole++) {
            op_case c = {.inputs = 0};
            case_input(&c, type, x, 1);
            case_input(&c, type, whole ? x : SHAPE(n[0], n[2]), 1);
            case_output(&c, type, x);
            kernels_compare(check, OP_add, &c, &exact, label);
            case_free(&c);
        }
        op_case c = {.inputs = 0};
        case_input(&c, type, x, 1);
        case_output(&c, type, SHAPE(n[0], n[2]));
        kernels_compare(check, OP_sum_rows, &c, &sum, label);
        case_free(&c);
    }
}

void kernels_concat(kernel_check *check)
{
    for (int i = 0; i < 2 * TESTED_CASES; i++) {
        const int64_t *n = tested_cases[i / 2];
        const soda_dtype type = tested_types[i % 2];
        char label[80];
        op_case c = {.inputs = 0}, s = {.attr.slice = {.start = 2, .length = n[2]}};
        snprintf(label, sizeof label, "case %d, %s", i / 2, dtype_name(type));
        case_input(&c, type, SHAPE(n[0], n[1], n[2]), 1);
        case_input(&c, type, SHAPE(n[0], n[1], 3), 1);
        case_output(&c, type, SHAPE(n[0], n[1], n[2] + 3));
        kernels_compare(check, OP_concat, &c, &exact, label);
        case_given(&s, &c.out[0]);
        case_output(&s, type, SHAPE(n[0], n[1], n[2]));
        kernels_compare(check, OP_slice, &s, &exact, label);
        case_free(&c);
        case_free(&s);
    }
}

void kernels_scale(kernel_check *check)
{
    for (int i = 0; i < 2 * TESTED_CASES; i++) {
        const int64_t *n = tested_cases[i / 2];
        const soda_dtype type = tested_types[i % 2];
        const soda_shape x = SHAPE(n[0], n[1], n[2]);
        char label[80];
        snprintf(label, sizeof label, "case %d, %s", i / 2, dtype_name(type));
        op_case c = {.attr.scale.factor = 0.18215f};
        case_input(&c, type, x, 1);
        case_output(&c, type, x);
        kernels_compare(check, OP_scale, &c, &exact, label);
        case_free(&c);
        for (int to = 0; to < 2; to++) {
            op_case d = {.attr.cast.dtype = tested_types[to]};
            case_input(&d, type, x, 1);
            case_output(&d, tested_types[to], x);
            kernels_compare(check, OP_cast, &d, &exact, label);
            case_free(&d);
        }
    }
}

/* Twice as large, as in the models; to the size of a skip; and the size itself. */
void kernels_upsample(kernel_check *check)
{
    static const struct {
        int64_t N, h, w, C;
        upsample_attr to;
    } cases[] = {
        {1, 1, 1, 1, {2, 2}},    {2, 3, 5, 7, {6, 10}}, {1, 4, 3, 33, {7, 5}},
        {2, 7, 9, 65, {14, 17}}, {1, 3, 2, 5, {3, 2}},  {1, 33, 31, 24, {66, 62}},
    };
    for (size_t i = 0; i < 2 * (sizeof cases / sizeof *cases); i++) {
        const soda_dtype type = i % 2 ? SODA_BF16 : SODA_F32;
        const upsample_attr to = cases[i / 2].to;
        const soda_shape x = SHAPE(cases[i / 2].N, cases[i / 2].h, cases[i / 2].w, cases[i / 2].C);
        const soda_shape y = SHAPE(x.dim[0], to.h, to.w, x.dim[3]);
        const op_bound copy = {.terms = 0}, sum = {.terms = 9}; /* at most 3x3 copies of a pixel */
        char label[80];
        op_case c = {.attr.upsample = to}, g = {.attr.upsample = {x.dim[1], x.dim[2]}};
        snprintf(label, sizeof label, "case %zu, %s", i / 2, dtype_name(type));
        case_input(&c, type, x, 1);
        case_output(&c, type, y);
        kernels_compare(check, OP_upsample, &c, &copy, label);
        case_input(&g, type, y, 1);
        case_output(&g, type, x);
        kernels_compare(check, OP_upsample_grad, &g, &sum, label);
        case_free(&c);
        case_free(&g);
    }
}
