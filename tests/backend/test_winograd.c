/* 3x3 convolution by Winograd's way: accuracy against a direct sum in fp64, and one packed copy of
 * the weights for both directions. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>

#include "backend/cpu/kernels.h"
#include "backend/ref/kernels.h"
#include "support/op.h"

/* The sizes of one convolution; the picture and kernel are standard normal plus `mean`. */
typedef struct {
    int64_t N, H, W, I, O;
    float mean;
} sizes;

static const sizes cases[] = {
    {1, 16, 16, 320, 64, 0}, /* long sums */
    {2, 13, 10, 70, 100, 0}, /* nothing divides: tiles, channels in, channels out */
    {1, 33, 65, 24, 17, 1},  /* more tiles than one group holds */
    {1, 8, 8, 200, 130, 1},  /* few tiles */
    {1, 20, 70, 1300, 16, 0} /* more than one round of tiles */
};
enum { CASES = sizeof cases / sizeof *cases };

static const soda_attr same = {
    .conv2d = {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}};

static soda_tensor tensor(soda_shape shape, uint32_t seed, float mean)
{
    soda_tensor t = {.dtype = SODA_F32, .shape = shape};
    const int64_t n = shape_count(&shape);
    assert_int_equal(posix_memalign(&t.data, 64, tensor_bytes(&t)), 0);
    check_fill_normal(t.data, n, seed, 1);
    for (int64_t i = 0; i < n; i++) ((float *)t.data)[i] += mean;
    return t;
}

static double error_of(const sizes *z, bool grad_x)
{
    soda_attr attr = same;
    attr.conv2d.in_h = z->H;
    attr.conv2d.in_w = z->W;
    const soda_shape w = grad_x ? SHAPE(z->I, z->O, 3, 3) : SHAPE(z->O, z->I, 3, 3);
    const soda_tensor in[2] = {tensor(SHAPE(z->N, z->H, z->W, z->I), 1, z->mean), tensor(w, 2, 0)};
    const soda_tensor got = tensor(SHAPE(z->N, z->H, z->W, z->O), 3, 0);
    const soda_tensor want = tensor(got.shape, 4, 0);
    const unsigned frozen = 2;
    CHECK_OK(op_run(grad_x ? &cpu_conv2d_grad_x : &cpu_conv2d, &attr, in, 2, &got, 1, frozen, 1));
    CHECK_OK(op_run(grad_x ? &ref_conv2d_grad_x : &ref_conv2d, &attr, in, 2, &want, 1, frozen, 1));
    const double error = check_relative_l2(got.data, want.data, shape_count(&got.shape));
    free(in[0].data);
    free(in[1].data);
    free(got.data);
    free(want.data);
    return error;
}

/* winograd.h states 1e-6 for standard normal data; longer sums and pictures with a mean come within
 * a fifth of it, without a fused multiply-add too, which adds a twentieth. With the points 0, +-1,
 * +-2 it would be twice as much. */
static void winograd_error_is_bounded(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * CASES; i++) {
        const double error = error_of(&cases[i / 2], i % 2);
        if (error < 1.2e-6) continue; /* NaN does not pass */
        printf("case %d grad %d: relative L2 error %.3g\n", i / 2, i % 2, error);
        fail();
    }
}

/* Prepares a kernel for [1,16,16,48] and a 3x3 weight [48,48] named "w" in `store`. */
static void prepare_named(const soda_kernel *kernel, soda_weights *store, const soda_weight *weight)
{
    soda_attr attr = same;
    attr.conv2d.in_h = attr.conv2d.in_w = 16;
    soda_call call = {.attr = &attr, .inputs = 2, .outputs = 1, .weight = {NULL, weight}};
    call.in[0] = (soda_tensor){.dtype = SODA_F32, .shape = SHAPE(1, 16, 16, 48)};
    call.in[1] = weight->source;
    call.out[0] = call.in[0];
    CHECK_OK(kernel->prepare(&call, store));
    kernel->release(&call);
}

static void both_directions_share_one_packed_copy(void **state)
{
    (void)state;
    soda_weights *store;
    const soda_weight weight = {.name = "w", .source = tensor(SHAPE(48, 48, 3, 3), 1, 0)};
    CHECK_OK(weights_create(&store));
    prepare_named(&cpu_conv2d, store, &weight);
    const size_t bytes = op_form_bytes(store);
    prepare_named(&cpu_conv2d_grad_x, store, &weight);
    assert_int_equal(op_form_bytes(store), bytes);
    weights_destroy(store);
    free(weight.source.data);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(winograd_error_is_bounded),
        cmocka_unit_test(both_directions_share_one_packed_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
