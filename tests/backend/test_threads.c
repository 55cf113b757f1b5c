/* The same bits for any number of threads, by bytes, at every instruction set of this machine: the
 * products, convolutions and other operators of SD1.5, SD2.1 and SDXL at their widths, on few rows.
 */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "core/isa.h"
#include "support/op_case.h"

static const int thread_counts[] = {1, 2, 3, 5, 7, 8, 16};
enum { COUNTS = sizeof thread_counts / sizeof *thread_counts };

static const soda_dtype types[] = {SODA_F32, SODA_BF16};

static size_t output_bytes(const op_case *c)
{
    size_t bytes = 0;
    for (int i = 0; i < c->outputs; i++) bytes += tensor_bytes(&c->out[i]);
    return bytes;
}

static void keep_outputs(const op_case *c, char *bytes)
{
    for (int i = 0; i < c->outputs; i++) {
        memcpy(bytes, c->out[i].data, tensor_bytes(&c->out[i]));
        bytes += tensor_bytes(&c->out[i]);
    }
}

/* Runs the case with every number of threads at every level; with a few at the slow one, and with
 * two at the highest in instrumented builds. */
static void same_bits(op_case *c, const soda_kernel *kernel, const char *label)
{
    const size_t size = output_bytes(c);
    char *first = malloc(size), *other = malloc(size);
    assert_true(first && other);
    for (int level = SODA_TEST_SLOW ? (int)isa_best() : ISA_BASE; level <= (int)isa_best();
         level++) {
        isa_limit((isa_level)level);
        for (int i = 0; i < COUNTS; i += SODA_TEST_SLOW ? 4 : level == ISA_BASE ? 3 : 1) {
            parallel_set_threads(thread_counts[i]);
            case_run(c, kernel);
            keep_outputs(c, i ? other : first);
            if (i && memcmp(first, other, size) != 0)
                fail_msg("%s at %s: %d threads give other bits than one", label,
                         isa_name((isa_level)level), thread_counts[i]);
        }
    }
    isa_limit(isa_best());
    parallel_set_threads(0);
    free(first);
    free(other);
    case_free(c);
}

/* Width in and out of matrices: attention, feed-forward, contexts, time embeddings. */
static const struct {
    int64_t rows, in, out;
} matrices[] = {
    {70, 320, 320}, {33, 320, 2560}, {64, 1280, 1280}, {9, 5120, 640},
    {77, 768, 320}, {77, 2048, 320}, {1, 320, 1280},   {257, 640, 320},
};
enum { MATRICES = sizeof matrices / sizeof *matrices };

static void products_have_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * MATRICES; i++) {
        const soda_dtype t = types[i % 2];
        const int64_t rows = matrices[i / 2].rows, in = matrices[i / 2].in;
        const int64_t out = matrices[i / 2].out;
        op_case forward = {.inputs = 0}, backward = {.attr.linear.transposed = true};
        case_input(&forward, t, SHAPE(rows, in), 1);
        case_weight(&forward, SODA_F16, t, SHAPE(out, in), 1);
        case_weight(&forward, SODA_F16, t, SHAPE(out), 1);
        case_output(&forward, t, SHAPE(rows, out));
        same_bits(&forward, &cpu_linear, "linear");
        case_input(&backward, t, SHAPE(rows, out), 1);
        case_weight(&backward, SODA_F16, t, SHAPE(out, in), 1);
        case_absent(&backward);
        case_output(&backward, t, SHAPE(rows, in));
        same_bits(&backward, &cpu_linear, "linear, transposed");
    }
}

/* Sums over many rows, which other numbers of threads may not cut otherwise. */
static void gradients_of_weights_have_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * MATRICES; i++) {
        const soda_dtype t = types[i % 2];
        const int64_t rows = (SODA_TEST_SLOW ? 3 : 10) * matrices[i / 2].rows,
                      in = matrices[i / 2].in;
        const int64_t out = matrices[i / 2].out;
        if (in * out > 1280 * 1280) continue;
        op_case c = {.inputs = 0};
        case_input(&c, t, SHAPE(rows, out), 1);
        case_input(&c, t, SHAPE(rows, in), 1);
        case_output(&c, SODA_F32, SHAPE(out, in));
        same_bits(&c, &cpu_linear_grad_weight, "linear_grad_weight");
    }
}

static void computed_weights_have_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 4; i++) {
        const soda_dtype t = types[i % 2];
        op_case c = {.attr.linear.transposed = i / 2};
        case_input(&c, t, SHAPE(300, 640), 1);
        case_input(&c, t, SHAPE(640, 640), 1);
        case_absent(&c);
        case_output(&c, t, SHAPE(300, 640));
        same_bits(&c, &cpu_linear, "linear with a computed weight");
    }
}

/* Channels in and out, size of the picture, kernel and stride. */
static const struct {
    int64_t in, out, size;
    int kernel, stride;
} pictures[] = {
    {4, 320, 16, 3, 1},  {320, 4, 16, 3, 1},  {320, 320, 17, 3, 1},
    {320, 320, 8, 3, 2}, {640, 320, 8, 1, 1}, {1280, 640, 4, 3, 1},
};
enum { PICTURES = sizeof pictures / sizeof *pictures };

static void convolutions_have_the_same_bits(void **state)
{
    (void)state;
    for (int i = 0; i < 2 * PICTURES; i++) {
        const soda_dtype t = types[i % 2];
        const int64_t in = pictures[i / 2].in, out = pictures[i / 2].out;
        const int64_t size = pictures[i / 2].size, k = pictures[i / 2].kernel;
        const int stride = pictures[i / 2].stride, pad = (int)k / 2;
        const soda_attr attr = {.conv2d = {.stride = stride,
                                           .top = pad,
                                           .left = pad,
                                           .bottom = pad,
                                           .right = pad,
                                           .in_h = size,
                                           .in_w = size}};
        const int64_t y = (size + 2 * pad - k) / stride + 1;
        op_case forward = {.attr = attr}, backward = {.attr = attr};
        case_input(&forward, t, SHAPE(1, size, size, in), 1);
        case_weight(&forward, SODA_F16, t, SHAPE(out, in, k, k), 1);
        case_weight(&forward, SODA_F16, t, SHAPE(out), 1);
        case_output(&forward, t, SHAPE(1, y, y, out));
        same_bits(&forward, &cpu_conv2d, "conv2d");
        case_input(&backward, t, SHAPE(1, y, y, out), 1);
        case_weight(&backward, SODA_F16, t, SHAPE(out, in, k, k), 1);
        case_output(&backward, t, SHAPE(1, size, size, in));
        same_bits(&backward, &cpu_conv2d_grad_x, "conv2d_grad_x");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(products_have_the_same_bits),
        cmocka_unit_test(gradients_of_weights_have_the_same_bits),
        cmocka_unit_test(computed_weights_have_the_same_bits),
        cmocka_unit_test(convolutions_have_the_same_bits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
