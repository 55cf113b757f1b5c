/* embedding and timestep_embedding. */
#include <stdio.h>

#include "verify/case_layouts.h"
#include "verify/kernels.h"

void kernels_embedding_grad(kernel_check *check)
{
    const int32_t ids[] = {4, 0, 2, 4, 6, 1};
    const op_bound bound = {.terms = 2, .inner = 1}; /* two bf16 numbers added: rounded twice */
    for (int i = 0; i < 2; i++) {
        op_case g = {.inputs = 0};
        const soda_dtype type = i ? SODA_BF16 : SODA_F32;
        case_input(&g, type, SHAPE(2, 3, 5), 1);
        case_ids(&g, ids, SHAPE(2, 3));
        case_input(&g, type, SHAPE(7, 5), 1);
        case_output(&g, type, SHAPE(7, 5));
        kernels_compare(check, OP_embedding_grad, &g, &bound, i ? "bf16" : "fp32");
        case_free(&g);
    }
}

void kernels_embedding(kernel_check *check)
{
    const int32_t ids[] = {4, 0, 2, 4, 48, 1, 7, 8, 9, 48, 47, 3, 3, 0};
    const op_bound exact = {.terms = 0};
    for (int t = 0; t < 3 * OP_FROZEN_TYPES; t++) {
        const op_types *type = &op_type_list[t / 3];
        const int64_t C = (const int64_t[]){1, 33, 768}[t % 3];
        char label[80];
        op_case c = {.attr.cast.dtype = type->x};
        case_ids(&c, ids, SHAPE(2, 7));
        case_weight(&c, type->w, type->w, SHAPE(49, C), 1);
        case_output(&c, type->x, SHAPE(2, 7, C));
        snprintf(label, sizeof label, "types %d, width %lld", t / 3, (long long)C);
        kernels_compare(check, OP_embedding, &c, &exact, label);
        case_free(&c);
    }
}

/* Frequencies and angles in fp64 leave one rounding; fp32 angles of 1000 would be off by 3e-5. */
void kernels_timestep_embedding(kernel_check *check)
{
    static const timestep_embedding_attr attrs[] = {
        {2, false, 0}, {7, true, 0}, {320, true, 0}, {256, false, 1}, {33, false, 0.5f}};
    const op_bound bound = {.terms = 1};
    for (size_t i = 0; i < sizeof attrs / sizeof *attrs; i++) {
        char label[80];
        op_case c = {.attr.timestep_embedding = attrs[i]};
        case_input(&c, SODA_F32, SHAPE(5), 400);
        case_output(&c, SODA_F32, SHAPE(5, attrs[i].width));
        snprintf(label, sizeof label, "case %zu", i);
        kernels_compare(check, OP_timestep_embedding, &c, &bound, label);
        case_free(&c);
    }
}
