/* linear and conv2d on the CPU backend against the reference, in the shapes that take different
 * paths: orientation of the weight, 1x1 kernels, strides, one-sided padding, few channels. */
#include "support/check.h"

#include <stdio.h>

#include "backend/cpu/kernels.h"
#include "backend/ref/kernels.h"
#include "core/isa.h"
#include "support/op_case.h"

typedef struct {
    int64_t rows, I, O;
    bool bias;
} matrix;

static const matrix matrices[] = {
    {1, 5, 3, true},      {77, 24, 40, true},    {33, 130, 67, false},
    {6, 64, 128, true},   {40, 192, 320, false}, /* in panels */
    {190, 352, 70, true}, /* more rows, and a longer sum, than one block takes
                           */
};

static void add_weight(op_case *c, const op_types *t, soda_shape shape, double scale)
{
    if (t->frozen)
        case_weight(c, t->w, t->x, shape, scale);
    else
        case_input(c, t->x, shape, scale);
}

static void linear_equals_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < (int)(sizeof matrices / sizeof *matrices); i++) {
        for (int t = 0; t < 2 * OP_TYPES; t++) {
            const matrix *m = &matrices[i];
            const op_types *types = &op_type_list[t / 2];
            const bool transposed = t % 2;
            if (SODA_TEST_SLOW && (i + t / 2 + t) % 2) continue;
            char label[100];
            snprintf(label, sizeof label, "matrix %d types %d transposed %d", i, t / 2, t % 2);
            op_case c = {.attr.linear.transposed = transposed};
            case_input(&c, types->x, SHAPE(3, m->rows, m->I), 1);
            add_weight(&c, types, transposed ? SHAPE(m->I, m->O) : SHAPE(m->O, m->I), 1);
            if (m->bias)
                add_weight(&c, types, SHAPE(m->O), 1);
            else
                case_absent(&c);
            case_output(&c, types->x, SHAPE(3, m->rows, m->O));
            case_compare(&c, &cpu_linear, &ref_linear, &(op_bound){.terms = (double)m->I}, label);
            case_free(&c);
        }
    }
}

static void linear_grad_weight_equals_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < (int)(sizeof matrices / sizeof *matrices); i++) {
        for (int t = 0; t < 2; t++) {
            const matrix *m = &matrices[i];
            const soda_dtype dtype = t ? SODA_BF16 : SODA_F32;
            op_case c = {.inputs = 0};
            case_input(&c, dtype, SHAPE(3, m->rows, m->O), 1);
            case_input(&c, dtype, SHAPE(3, m->rows, m->I), 1);
            case_output(&c, SODA_F32, SHAPE(m->O, m->I));
            case_compare(&c, &cpu_linear_grad_weight, &ref_linear_grad_weight,
                         &(op_bound){.terms = 3 * (double)m->rows}, "linear_grad_weight");
            case_free(&c);
        }
    }
}

typedef struct {
    int64_t N, H, W, I, O, kh, kw;
    bool bias;
    conv2d_attr attr;
} picture;

static const picture pictures[] = {
    {2, 5, 7, 19, 33, 3, 3, true, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 16, 12, 32, 48, 3, 3, false, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 9, 6, 16, 64, 3, 3, true, {.stride = 2, .bottom = 1, .right = 1}},
    {2, 7, 8, 24, 16, 3, 3, true, {.stride = 2, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 8, 11, 4, 32, 3, 3, true, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 8, 11, 32, 3, 3, 3, true, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {2, 3, 5, 40, 24, 1, 1, true, {.stride = 1}},
    {1, 6, 6, 8, 24, 1, 1, false, {.stride = 2}},
    {1, 16, 12, 3, 24, 8, 4, false, {.stride = 4, .left = 1}},
    {2, 5, 16, 40, 70, 3, 3, true, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 3, 32, 100, 33, 3, 5, true, {.stride = 1, .top = 1, .left = 2, .bottom = 1, .right = 2}},
    {3, 6, 6, 64, 130, 3, 3, false, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
    {1, 1, 1, 17, 5, 3, 3, true, {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}},
};
enum { PICTURES = sizeof pictures / sizeof *pictures };

static soda_shape y_shape(const picture *p)
{
    const conv2d_attr *a = &p->attr;
    return SHAPE(p->N, (p->H + a->top + a->bottom - p->kh) / a->stride + 1,
                 (p->W + a->left + a->right - p->kw) / a->stride + 1, p->O);
}

static void conv2d_equals_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < PICTURES * OP_FROZEN_TYPES; i++) {
        const picture *p = &pictures[i / OP_FROZEN_TYPES];
        const op_types *types = &op_type_list[i % OP_FROZEN_TYPES];
        if (SODA_TEST_SLOW && (i / OP_FROZEN_TYPES + i) % 2) continue;
        char label[100];
        snprintf(label, sizeof label, "picture %d types %d", i / OP_FROZEN_TYPES,
                 i % OP_FROZEN_TYPES);
        op_case c = {.attr.conv2d = p->attr};
        case_input(&c, types->x, SHAPE(p->N, p->H, p->W, p->I), 1);
        add_weight(&c, types, SHAPE(p->O, p->I, p->kh, p->kw), 1);
        if (p->bias)
            add_weight(&c, types, SHAPE(p->O), 1);
        else
            case_absent(&c);
        case_output(&c, types->x, y_shape(p));
        case_compare(&c, &cpu_conv2d, &ref_conv2d,
                     &(op_bound){.terms = (double)(p->I * p->kh * p->kw)}, label);
        case_free(&c);
    }
}

static void conv2d_grad_x_equals_the_reference(void **state)
{
    (void)state;
    for (int i = 0; i < PICTURES * OP_FROZEN_TYPES; i++) {
        const picture *p = &pictures[i / OP_FROZEN_TYPES];
        const op_types *types = &op_type_list[i % OP_FROZEN_TYPES];
        if (SODA_TEST_SLOW && (i / OP_FROZEN_TYPES + i) % 2) continue;
        char label[100];
        snprintf(label, sizeof label, "gradient %d types %d", i / OP_FROZEN_TYPES,
                 i % OP_FROZEN_TYPES);
        op_case c = {.attr.conv2d = p->attr};
        c.attr.conv2d.in_h = p->H;
        c.attr.conv2d.in_w = p->W;
        case_input(&c, types->x, y_shape(p), 1);
        add_weight(&c, types, SHAPE(p->O, p->I, p->kh, p->kw), 1);
        case_output(&c, types->x, SHAPE(p->N, p->H, p->W, p->I));
        case_compare(&c, &cpu_conv2d_grad_x, &ref_conv2d_grad_x,
                     &(op_bound){.terms = (double)(p->O * p->kh * p->kw)}, label);
        case_free(&c);
    }
}

static void prepare_matrix(soda_weights *store, const soda_weight *weight, bool transposed)
{
    const soda_attr attr = {.linear.transposed = transposed};
    const int64_t *w = weight->source.shape.dim;
    soda_call call = {.attr = &attr, .inputs = 2, .outputs = 1, .weight = {NULL, weight}};
    call.in[0] = (soda_tensor){.dtype = SODA_F32, .shape = SHAPE(7, w[!transposed])};
    call.in[1] = weight->source;
    call.out[0] = (soda_tensor){.dtype = SODA_F32, .shape = SHAPE(7, w[transposed])};
    CHECK_OK(cpu_linear.prepare(&call, store));
    cpu_linear.release(&call);
}

/* The transformer widths of all models are multiples of 64; test_tiles has bf16. */
static void fp32_directions_of_a_matrix_share_one_copy(void **state)
{
    (void)state;
    if (!isa_allows(ISA_AVX512)) skip();
    static float w[192 * 64];
    const soda_weight weight = {.name = "w", .source = {SODA_F32, SHAPE(192, 64), w}};
    soda_weights *store;
    CHECK_OK(weights_create(&store));
    prepare_matrix(store, &weight, false);
    prepare_matrix(store, &weight, true);
    assert_int_equal(op_form_bytes(store), sizeof w);
    weights_destroy(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(linear_equals_the_reference),
        cmocka_unit_test(linear_grad_weight_equals_the_reference),
        cmocka_unit_test(conv2d_equals_the_reference),
        cmocka_unit_test(conv2d_grad_x_equals_the_reference),
        cmocka_unit_test(fp32_directions_of_a_matrix_share_one_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
