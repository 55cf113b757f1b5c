/* bf16 on AMX tiles: what comparison with the reference over odd shapes (test_dense, tests/ops)
 * does not see. Skipped where the CPU has no AMX. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "backend/cpu/tiles.h"
#include "backend/ref/kernels.h"
#include "support/op_case.h"

static const soda_attr same = {
    .conv2d = {.stride = 1, .top = 1, .left = 1, .bottom = 1, .right = 1}};

static void need_tiles(void)
{
    const conv2d_form any = {.dtype = SODA_BF16};
    if (!tiles_can(&any)) skip();
}

static void fill_picture(op_case *c, soda_shape x, int64_t out)
{
    *c = (op_case){.attr = same};
    case_input(c, SODA_BF16, x, 1);
    case_weight(c, SODA_F32, SODA_BF16, SHAPE(out, x.dim[3], 3, 3), 1);
    case_absent(c);
    case_output(c, SODA_BF16, SHAPE(x.dim[0], x.dim[1], x.dim[2], out));
}

/* 12 MiB of packed picture are a round (tiles_cut.c): this one has 14. */
static void tiles_work_in_rounds(void **state)
{
    (void)state;
    need_tiles();
    op_case c;
    fill_picture(&c, SHAPE(1, 76, 512, 192), 3);
    case_compare(&c, &cpu_conv2d, &ref_conv2d, &(op_bound){.terms = 192 * 9}, "rounds");
    case_free(&c);
}

static void run_with(op_case *c, const soda_kernel *kernel, int threads, uint16_t *bits)
{
    parallel_set_threads(threads);
    case_run(c, kernel);
    memcpy(bits, c->out[0].data, tensor_bytes(&c->out[0]));
}

static void tiles_give_the_same_bits_on_any_number_of_threads(void **state)
{
    (void)state;
    need_tiles();
    op_case c[3];
    fill_picture(&c[0], SHAPE(2, 9, 16, 96), 130);
    c[2] = (op_case){.attr.linear.transposed = false};
    case_input(&c[2], SODA_BF16, SHAPE(333, 64), 1);
    case_weight(&c[2], SODA_F32, SODA_BF16, SHAPE(100, 64), 1);
    case_absent(&c[2]);
    case_output(&c[2], SODA_BF16, SHAPE(333, 100));
    /* The gradient takes dy [2,9,16,130] to dx [2,9,16,96]. */
    c[1] = (op_case){.attr = same};
    c[1].attr.conv2d.in_h = 9;
    c[1].attr.conv2d.in_w = 16;
    case_input(&c[1], SODA_BF16, SHAPE(2, 9, 16, 130), 1);
    case_weight(&c[1], SODA_F32, SODA_BF16, SHAPE(130, 96, 3, 3), 1);
    case_output(&c[1], SODA_BF16, SHAPE(2, 9, 16, 96));
    const soda_kernel *kernels[3] = {&cpu_conv2d, &cpu_conv2d_grad_x, &cpu_linear};
    for (int i = 0; i < 3; i++) {
        const size_t bytes = tensor_bytes(&c[i].out[0]);
        uint16_t *one = malloc(bytes), *many = malloc(bytes);
        assert_true(one && many);
        run_with(&c[i], kernels[i], 1, one);
        for (int threads = 2; threads < 5; threads++) {
            run_with(&c[i], kernels[i], threads, many);
            assert_memory_equal(one, many, bytes);
        }
        free(one);
        free(many);
        case_free(&c[i]);
    }
    parallel_set_threads(0);
}

/* Prepares `kernel` for x [1,16,16,I] -> y [1,16,16,O] with `weight` and releases it. */
static void prepare_named(const soda_kernel *kernel, const soda_attr *attr, int64_t in, int64_t out,
                          soda_weights *store, const soda_weight *weight)
{
    soda_call call = {.attr = attr, .inputs = 2, .outputs = 1, .weight = {NULL, weight}};
    call.in[0] = (soda_tensor){.dtype = SODA_BF16, .shape = SHAPE(1, 16, 16, in)};
    call.in[1] = weight->source;
    call.out[0] = (soda_tensor){.dtype = SODA_BF16, .shape = SHAPE(1, 16, 16, out)};
    CHECK_OK(kernel->prepare(&call, store));
    kernel->release(&call);
}

static void both_directions_share_one_packed_copy(void **state)
{
    (void)state;
    need_tiles();
    soda_attr conv = same, linear = {.linear.transposed = false}, transposed = linear;
    conv.conv2d.in_h = conv.conv2d.in_w = 16;
    transposed.linear.transposed = true;
    float *w = calloc(64 * 48 * 9, sizeof *w);
    assert_non_null(w);
    const soda_weight kernel = {.name = "kernel", .source = {SODA_F32, SHAPE(64, 48, 3, 3), w}};
    const soda_weight matrix = {.name = "matrix", .source = {SODA_F32, SHAPE(64, 48), w}};
    soda_weights *store;
    CHECK_OK(weights_create(&store));
    prepare_named(&cpu_conv2d, &conv, 48, 64, store, &kernel);
    prepare_named(&cpu_linear, &linear, 48, 64, store, &matrix);
    const size_t bytes = op_form_bytes(store);
    assert_int_equal(bytes, 64 * 64 * 10 * 2); /* 48 is padded to 64; 9 taps and a matrix of bf16 */
    prepare_named(&cpu_conv2d_grad_x, &conv, 64, 48, store, &kernel);
    prepare_named(&cpu_linear, &transposed, 64, 48, store, &matrix);
    assert_int_equal(op_form_bytes(store), bytes);
    weights_destroy(store);
    free(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tiles_work_in_rounds),
        cmocka_unit_test(tiles_give_the_same_bits_on_any_number_of_threads),
        cmocka_unit_test(both_directions_share_one_packed_copy),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
