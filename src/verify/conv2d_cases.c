/* conv2d and its gradient in x. */
#include <stdio.h>

#include "verify/case_layouts.h"
#include "verify/kernels.h"

/* Odd channels and pictures, the strides and paddings of the models; the last three are for
 * Winograd's algorithm: more than one chunk of channels each way, uneven padding, odd edges; two of
 * them have enough channels for a GPU to cut the sums (fp32), one forward, one backward. */
static const case_conv2d tested_cases[] = {
    {1, 1, 1, 1, 1, 1, 1, {.stride = 1}},
    {2, 5, 7, 4, 33, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 6, 33, 4, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 12, 17, 19, 3, 3, {.stride = 2, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {2, 8, 11, 16, 48, 3, 3, {.stride = 2, .bottom = 1, .right = 1}},
    {1, 6, 5, 3, 21, 3, 2, {.stride = 3, .top = 2, .left = 1, .bottom = 1}},
    {2, 5, 3, 65, 31, 1, 1, {.stride = 1}},
    {1, 7, 7, 13, 9, 5, 5, {.stride = 1, .top = 2, .left = 2, .bottom = 2, .right = 2}},
    {1, 21, 19, 33, 32, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 10, 35, 81, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 10, 11, 97, 19, 3, 3, {.stride = 1, .left = 2, .bottom = 1}},
    {1, 9, 7, 40, 88, 3, 3, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
};
enum { TESTED_CASES = sizeof tested_cases / sizeof *tested_cases };

/* One product per term. Winograd's algorithm has fewer, and larger ones: about as much error. */
static op_bound bound_of(const case_conv2d *z, int64_t channels)
{
    return (op_bound){.terms = (double)(channels * z->kh * z->kw + 1)};
}

/* Enough pixels for the larger tiles of a GPU, and (the second) for more than one piece of what it
 * gathers in bf16 where channels are no multiple of 8. */
static void compare_large(kernel_check *check)
{
    const conv2d_attr around = {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1};
    const case_conv2d cases[] = {{1, 118, 118, 16, 8, 3, 3, around},
                                 {1, 67, 61, 57, 3, 3, 3, around},
                                 {1, 160, 161, 3, 70, 3, 3, around}};
    for (int i = 0; i < 3; i++) {
        const case_conv2d *z = &cases[i];
        const op_bound bound = bound_of(z, z->I);
        const soda_dtype type = i < 2 ? SODA_BF16 : SODA_F32;
        op_case c = {.attr.conv2d = z->attr};
        case_input(&c, type, SHAPE(z->N, z->H, z->W, z->I), 1);
        case_weight(&c, type, type, SHAPE(z->O, z->I, z->kh, z->kw), 1);
        case_weight(&c, type, type, SHAPE(z->O), 3);
        case_output(&c, type, case_conv2d_out(z));
        kernels_compare(check, OP_conv2d, &c, &bound, dtype_name(type));
        case_free(&c);
    }
}

void kernels_conv2d(kernel_check *check)
{
    compare_large(check);
    for (int i = 0; i < TESTED_CASES; i++) {
        const case_conv2d *z = &tested_cases[i];
        const op_bound bound = bound_of(z, z->I);
        for (int t = 0; t < 2 * OP_FROZEN_TYPES; t++) {
            const op_types *type = &op_type_list[t / 2];
            char label[80];
            op_case c = {.attr.conv2d = z->attr};
            case_input(&c, type->x, SHAPE(z->N, z->H, z->W, z->I), 1);
            case_weight(&c, type->w, type->x, SHAPE(z->O, z->I, z->kh, z->kw), 1);
            if (t % 2)
                case_weight(&c, type->w, type->x, SHAPE(z->O), 3);
            else
                case_absent(&c);
            case_output(&c, type->x, case_conv2d_out(z));
            snprintf(label, sizeof label, "case %d, types %d%s", i, t / 2, t % 2 ? ", bias" : "");
            kernels_compare(check, OP_conv2d, &c, &bound, label);
            case_free(&c);
        }
    }
}

void kernels_conv2d_grad_x(kernel_check *check)
{
    for (int i = 0; i < TESTED_CASES; i++) {
        const case_conv2d *z = &tested_cases[i];
        const op_bound bound = bound_of(z, z->O);
        for (int t = 0; t < OP_FROZEN_TYPES; t++) {
            const op_types *type = &op_type_list[t];
            char label[80];
            op_case c = {.attr.conv2d = z->attr};
            c.attr.conv2d.in_h = z->H;
            c.attr.conv2d.in_w = z->W;
            case_input(&c, type->x, case_conv2d_out(z), 1);
            case_weight(&c, type->w, type->x, SHAPE(z->O, z->I, z->kh, z->kw), 1);
            case_output(&c, type->x, SHAPE(z->N, z->H, z->W, z->I));
            snprintf(label, sizeof label, "case %d, types %d", i, t);
            kernels_compare(check, OP_conv2d_grad_x, &c, &bound, label);
            case_free(&c);
        }
    }
}
