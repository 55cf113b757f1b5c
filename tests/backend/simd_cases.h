/* simd_cases.h: an operator of the CPU backend's own loops a row, with the cases it is tried on. */
#pragma once

#include <math.h>
#include <stdbool.h>

#include "backend/cpu/kernels.h"
#include "backend/ref/kernels.h"
#include "support/check.h"
#include "support/op_case.h"

/* Builds case number `i` of an operator for activations of `type`; false: there is none. */
typedef struct {
    const char *name;
    const soda_kernel *cpu, *ref;
    bool (*build)(op_case *c, int i, soda_dtype type);
    double terms; /* fp32 roundings along the way: op_bound */
} subject;

static bool build_group_norm(op_case *c, int i, soda_dtype type)
{
    static const int64_t shape[][5] = {
        {2, 3, 5, 12, 4}, {1, 37, 41, 40, 8}, {2, 1, 1, 63, 3}, {1, 64, 65, 96, 32}};
    if (i >= 8) return false;
    const int64_t *z = shape[i / 2];
    c->attr.group_norm = (group_norm_attr){z[4], 1e-5f, i % 2};
    case_input(c, type, SHAPE(z[0], z[1], z[2], z[3]), 3);
    case_weight(c, SODA_F16, type, SHAPE(z[3]), 1);
    case_weight(c, SODA_BF16, type, SHAPE(z[3]), 1);
    case_output(c, type, SHAPE(z[0], z[1], z[2], z[3]));
    case_output(c, SODA_F32, SHAPE(z[0], z[4], 2));
    return true;
}

static bool build_group_norm_grad(op_case *c, int i, soda_dtype type)
{
    op_case forward = {.inputs = 0};
    if (!build_group_norm(&forward, i, type)) return false;
    case_run(&forward, &ref_group_norm);
    c->attr = forward.attr;
    case_input(c, type, forward.in[0].shape, 1);
    case_given(c, &forward.in[0]);
    case_given_weight(c, &forward.in[1]);
    case_given_weight(c, &forward.in[2]);
    case_given(c, &forward.out[1]);
    case_output(c, type, forward.in[0].shape);
    case_free(&forward);
    return true;
}

static bool build_layer_norm(op_case *c, int i, soda_dtype type)
{
    static const int64_t shape[][2] = {{7, 5}, {3, 320}, {130, 133}};
    if (i >= 3) return false;
    const int64_t rows = shape[i][0], C = shape[i][1];
    c->attr.layer_norm.eps = 1e-5f;
    case_input(c, type, SHAPE(rows, C), 3);
    case_weight(c, SODA_F16, type, SHAPE(C), 1);
    case_input(c, type, SHAPE(C), 1);
    case_output(c, type, SHAPE(rows, C));
    case_output(c, SODA_F32, SHAPE(rows, 2));
    return true;
}

static bool build_layer_norm_grad(op_case *c, int i, soda_dtype type)
{
    op_case forward = {.inputs = 0};
    if (!build_layer_norm(&forward, i, type)) return false;
    case_run(&forward, &ref_layer_norm);
    c->attr = forward.attr;
    case_input(c, type, forward.in[0].shape, 1);
    case_given(c, &forward.in[0]);
    case_given_weight(c, &forward.in[1]);
    case_given(c, &forward.out[1]);
    case_output(c, type, forward.in[0].shape);
    case_free(&forward);
    return true;
}

enum { ACTIVATIONS = ACT_RELU + 1 };

static bool build_activation(op_case *c, int i, soda_dtype type)
{
    static const int64_t count[] = {13, 20011};
    if (i >= 2 * ACTIVATIONS) return false;
    c->attr.activation.kind = (soda_activation)(i % ACTIVATIONS);
    case_input(c, type, SHAPE(count[i / ACTIVATIONS]), 3);
    case_output(c, type, SHAPE(count[i / ACTIVATIONS]));
    return true;
}

static bool build_activation_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= ACTIVATIONS) return false;
    c->attr.activation.kind = (soda_activation)i;
    case_input(c, type, SHAPE(20011), 1);
    case_input(c, type, SHAPE(20011), 3);
    case_output(c, type, SHAPE(20011));
    return true;
}

static bool build_geglu(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    case_input(c, type, SHAPE(151, 2 * 67), 2);
    case_output(c, type, SHAPE(151, 67));
    return true;
}

static bool build_geglu_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    case_input(c, type, SHAPE(151, 67), 1);
    case_input(c, type, SHAPE(151, 2 * 67), 2);
    case_output(c, type, SHAPE(151, 2 * 67));
    return true;
}

static bool build_add(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    case_input(c, type, SHAPE(3, 7, 11, 45), 1);
    case_input(c, type, i ? SHAPE(3, 7, 11, 45) : SHAPE(3, 45), 1);
    case_output(c, type, SHAPE(3, 7, 11, 45));
    return true;
}

static bool build_sum_rows(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    case_input(c, type, SHAPE(2, i ? 1500 : 5, 19), 1);
    case_output(c, type, SHAPE(2, 19));
    return true;
}

static bool build_scale(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    c->attr.scale.factor = 0.37f;
    case_input(c, type, SHAPE(20011), 1);
    case_output(c, type, SHAPE(20011));
    return true;
}

static bool build_cast(op_case *c, int i, soda_dtype type)
{
    if (i >= 3) return false;
    c->attr.cast.dtype = i == 1 ? type : type == SODA_F32 ? SODA_BF16 : SODA_F32;
    if (i == 2)
        case_weight(c, SODA_F16, SODA_BF16, SHAPE(20011), 1);
    else
        case_input(c, type, SHAPE(20011), 1);
    case_output(c, c->attr.cast.dtype, SHAPE(20011));
    return true;
}

static bool build_concat(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    case_input(c, type, SHAPE(200, 37), 1);
    case_input(c, type, SHAPE(200, 18), 1);
    case_output(c, type, SHAPE(200, 55));
    return true;
}

static bool build_slice(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    c->attr.slice = (slice_attr){5, 31};
    case_input(c, type, SHAPE(300, 37), 1);
    case_output(c, type, SHAPE(300, 31));
    return true;
}

static const int64_t pictures[][6] = {{2, 3, 5, 6, 10, 70}, {1, 8, 7, 19, 9, 5}};

static bool build_upsample(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    const int64_t *z = pictures[i];
    c->attr.upsample = (upsample_attr){z[3], z[4]};
    case_input(c, type, SHAPE(z[0], z[1], z[2], z[5]), 1);
    case_output(c, type, SHAPE(z[0], z[3], z[4], z[5]));
    return true;
}

static bool build_upsample_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    const int64_t *z = pictures[i];
    c->attr.upsample = (upsample_attr){z[1], z[2]};
    case_input(c, type, SHAPE(z[0], z[3], z[4], z[5]), 1);
    case_output(c, type, SHAPE(z[0], z[1], z[2], z[5]));
    return true;
}

/* A factor of 1 in each place, widths below, at and above vectors, more rows than a block. */
static const int64_t krons[][4] = {{3, 2, 3, 5},   {70, 1, 3, 20}, {130, 10, 8, 16},
                                   {33, 5, 7, 1},  {40, 9, 1, 1},  {37, 3, 1, 33},
                                   {300, 2, 3, 4}, {9, 2, 16, 64}, {5, 2, 2, 96}};
enum { KRONS = sizeof krons / sizeof *krons };

static bool build_kron_rotate(op_case *c, int i, soda_dtype type)
{
    if (i >= 2 * KRONS) return false;
    const int64_t *z = krons[i / 2], n = z[1] * z[2] * z[3];
    c->attr.kron_rotate.transposed = i % 2;
    if (i % 4 == 1 && type == SODA_F32)
        case_weight(c, SODA_F16, type, SHAPE(z[0], n), 1);
    else
        case_input(c, type, SHAPE(z[0], n), 1);
    for (int k = 1; k <= 3; k++) case_input(c, SODA_F32, SHAPE(z[k], z[k]), 1 / sqrt((double)z[k]));
    case_output(c, type, SHAPE(z[0], n));
    return true;
}

static bool build_kron_rotate_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 2 * KRONS) return false;
    const int64_t *z = krons[i / 2], n = z[1] * z[2] * z[3];
    c->attr.kron_rotate.transposed = i % 2;
    for (int k = 0; k < 2; k++) case_input(c, type, SHAPE(z[0], n), 1);
    for (int k = 1; k <= 3; k++) case_input(c, SODA_F32, SHAPE(z[k], z[k]), 1 / sqrt((double)z[k]));
    case_output(c, type, SHAPE(z[0], n));
    for (int k = 1; k <= 3; k++) case_output(c, SODA_F32, SHAPE(z[k], z[k]));
    return true;
}

static bool build_spectral_scale(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    case_input(c, type, SHAPE(i ? 1300 : 5, 67), 1);
    case_weight(c, SODA_F16, type, SHAPE(67), 1);
    case_input(c, SODA_F32, SHAPE(67), 1); /* about half of s + delta is below zero */
    case_output(c, type, SHAPE(i ? 1300 : 5, 67));
    return true;
}

static bool build_spectral_scale_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    for (int k = 0; k < 2; k++) case_input(c, type, SHAPE(i ? 1300 : 5, 67), 1);
    case_weight(c, SODA_F16, type, SHAPE(67), 1);
    case_input(c, SODA_F32, SHAPE(67), 1);
    case_output(c, type, SHAPE(i ? 1300 : 5, 67));
    case_output(c, SODA_F32, SHAPE(67));
    return true;
}

static bool build_row_scale_add(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    if (i)
        case_weight(c, SODA_F16, type, SHAPE(9, 2100), 1);
    else
        case_input(c, type, SHAPE(9, 2100), 1);
    case_weight(c, SODA_BF16, type, SHAPE(7, 2100), 1);
    case_input(c, SODA_F32, SHAPE(7), 1);
    case_output(c, i ? SODA_F32 : type, SHAPE(9, 2100));
    return true;
}

static bool build_row_scale_add_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    case_input(c, type, SHAPE(9, 2100), 1);
    case_weight(c, SODA_F16, type, SHAPE(7, 2100), 1);
    case_output(c, SODA_F32, SHAPE(7));
    return true;
}

static bool build_column_scale_add(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    case_input(c, type, SHAPE(i ? 1300 : 5, 69), 1);
    case_input(c, type, SHAPE(i ? 1300 : 5, 67), 1);
    case_input(c, SODA_F32, SHAPE(67), 1);
    case_output(c, type, SHAPE(i ? 1300 : 5, 69));
    return true;
}

static bool build_column_scale_add_grad(op_case *c, int i, soda_dtype type)
{
    if (i >= 2) return false;
    case_input(c, type, SHAPE(i ? 1300 : 5, 69), 1);
    case_input(c, type, SHAPE(i ? 1300 : 5, 67), 1);
    case_input(c, SODA_F32, SHAPE(67), 1);
    case_output(c, type, SHAPE(i ? 1300 : 5, 67));
    case_output(c, SODA_F32, SHAPE(67));
    return true;
}

static bool build_mse_loss(op_case *c, int i, soda_dtype type)
{
    if (i >= 1) return false;
    case_input(c, type, SHAPE(3, 9, 11, 57), 1);
    case_input(c, SODA_F32, SHAPE(3, 9, 11, 57), 1);
    case_input(c, SODA_F32, SHAPE(3), 1);
    case_absent(c);
    case_output(c, SODA_F32, SHAPE(1));
    case_output(c, SODA_F32, SHAPE(3));
    return true;
}

static bool build_mse_loss_grad(op_case *c, int i, soda_dtype type)
{
    if (!build_mse_loss(c, i, type)) return false;
    case_free(c);
    for (int k = 0; k < 2; k++) case_input(c, k ? SODA_F32 : type, SHAPE(3, 9, 11, 57), 1);
    for (int k = 0; k < 2; k++) case_input(c, SODA_F32, SHAPE(3), 1);
    case_absent(c);
    case_output(c, type, SHAPE(3, 9, 11, 57));
    return true;
}

#define SUBJECT(name, terms)                                                                       \
    {                                                                                              \
#name, &cpu_##name, &ref_##name, build_##name, terms                                       \
    }
static const subject subjects[] = {
    SUBJECT(group_norm, 16),
    SUBJECT(group_norm_grad, 64),
    SUBJECT(layer_norm, 64),
    SUBJECT(layer_norm_grad, 64),
    SUBJECT(activation, 4),
    SUBJECT(activation_grad, 4),
    SUBJECT(geglu, 4),
    SUBJECT(geglu_grad, 4),
    SUBJECT(add, 0),
    SUBJECT(sum_rows, 32),
    SUBJECT(scale, 0),
    SUBJECT(cast, 0),
    SUBJECT(concat, 0),
    SUBJECT(slice, 0),
    SUBJECT(upsample, 0),
    SUBJECT(upsample_grad, 6),
    SUBJECT(kron_rotate, 64),
    SUBJECT(kron_rotate_grad, 200),
    SUBJECT(spectral_scale, 2),
    SUBJECT(spectral_scale_grad, 32),
    SUBJECT(row_scale_add, 2),
    SUBJECT(row_scale_add_grad, 2),
    SUBJECT(column_scale_add, 2),
    SUBJECT(column_scale_add_grad, 32),
    SUBJECT(mse_loss, 1),
    SUBJECT(mse_loss_grad, 3),
};
enum { SUBJECTS = sizeof subjects / sizeof *subjects };
