/* A predicted node takes the longest of its arithmetic, its traffic and the least of any node. */
#include "support/check.h"

#include <math.h>

#include "model/random_weights.h"
#include "plan/gpu_speed.h"

/* Seconds of one product of `rows` rows with a frozen [out,in] matrix. */
static double product_s(const gpu_speed *gpu, soda_dtype dtype, int64_t rows, int64_t in,
                        int64_t out)
{
    soda_weight_source *source;
    soda_graph *graph;
    soda_weight w;
    CHECK_OK(random_weights_create(1, 1, &source));
    CHECK_OK(source->find(source, "w", &SHAPE(out, in), &w));
    CHECK_OK(graph_create(dtype, &graph));
    const soda_id x = graph_input(graph, "x", dtype, SHAPE(rows, in));
    graph_output(graph, graph_linear(graph, x, graph_weight(graph, &w), NO_VALUE), "y");
    CHECK_OK(graph_status(graph));
    const double s = gpu_speed_node(gpu, graph, 0);
    graph_destroy(graph);
    random_weights_destroy(source);
    return s;
}

static void each_bound_is_the_longest_somewhere(void **state)
{
    (void)state;
    const gpu_speed gpu = {.product = {10, 100}, .memory_tb_per_s = 2, .node_us = 3};
    /* 2 * 4096^3 flops at 10 and at 100 TFLOP/s */
    assert_true(fabs(product_s(&gpu, SODA_F32, 4096, 4096, 4096) - 2 * 0x1p36 / 1e13) < 1e-9);
    assert_true(fabs(product_s(&gpu, SODA_BF16, 4096, 4096, 4096) - 2 * 0x1p36 / 1e14) < 1e-9);
    /* one row: the matrix is read, with x and y; 4 bytes each */
    assert_true(fabs(product_s(&gpu, SODA_F32, 1, 4096, 4096) - 4 * (0x1p24 + 0x1p13) / 2e12) <
                1e-9);
    assert_true(fabs(product_s(&gpu, SODA_F32, 1, 8, 8) - 3e-6) < 1e-12);
}

static void known_gpus_are_found_and_others_refused(void **state)
{
    (void)state;
    const gpu_speed *gpu;
    CHECK_OK(gpu_speed_find("h200", &gpu));
    assert_string_equal(gpu->title, "H200 141GB SXM");
    CHECK_FAILS(gpu_speed_find("v100", &gpu), SODA_ERR_USAGE);
    check_message_has("a100 h100 h200, found v100");
    status_clear();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_bound_is_the_longest_somewhere),
        cmocka_unit_test(known_gpus_are_found_and_others_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
