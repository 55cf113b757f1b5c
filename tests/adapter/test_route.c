/* The route of a layer: what the cost model picks was also the fastest when it was timed. */
#include "support/check.h"

#include <math.h>
#include <string.h>

#include "adapter/method.h"
#include "backend/prices.h"

/* Milliseconds of forward and backward on one thread (AVX-512, AMX): least of 25, node by node,
 * graph and parameters as in training; LQ on a Xeon (Sapphire Rapids, 2.1 GHz), three times 25.
 * Layers of SD 1.5 at 64 x 64 latents, then of SDXL. */
static const struct {
    soda_dtype compute;
    int64_t rows, m, n;
    bool input_gradient;
    double svd[3], lq[3]; /* weight, activation, factored */
} timed[] = {
    {SODA_F32, 4096, 320, 320, true, {14.05, 19.31, 22.93}, {17.80, 23.83, 30.37}},
    {SODA_BF16, 4096, 320, 320, true, {4.65, 9.71, 9.25}, {4.18, 8.98, 9.47}},
    {SODA_F32, 1024, 640, 640, true, {20.32, 21.76, 20.48}, {19.34, 20.82, 26.01}},
    {SODA_BF16, 1024, 640, 640, true, {10.34, 12.88, 7.63}, {5.38, 6.48, 6.65}},
    {SODA_F32, 256, 1280, 1280, true, {65.89, 57.56, 18.24}, {31.63, 21.49, 24.84}},
    {SODA_BF16, 256, 1280, 1280, true, {57.06, 48.48, 4.74}, {16.70, 7.32, 5.54}},
    {SODA_F32, 64, 1280, 1280, true, {58.14, 46.69, 4.67}, {17.68, 6.37, 6.47}},
    {SODA_BF16, 64, 1280, 1280, true, {55.26, 45.35, 1.36}, {19.91, 3.68, 1.75}},
    {SODA_F32, 77, 320, 768, false, {2.38, 2.13, 0.64}, {1.39, 1.12, 1.15}},
    {SODA_BF16, 77, 320, 768, false, {2.19, 1.86, 0.26}, {1.10, 0.59, 0.38}},
    {SODA_F32, 77, 1280, 768, false, {18.80, 17.29, 2.49}, {5.80, 4.39, 3.74}},
    {SODA_BF16, 77, 1280, 768, false, {18.31, 16.06, 0.66}, {4.55, 1.97, 0.89}},
    {SODA_F32, 4096, 640, 640, true, {61.77, 76.88, 87.57}, {78.55, 88.98, 106.20}},
    {SODA_BF16, 4096, 640, 640, true, {20.35, 38.86, 33.19}, {17.89, 30.40, 31.92}},
    {SODA_F32, 1024, 1280, 1280, true, {107.63, 103.98, 74.99}, {84.22, 80.93, 99.38}},
    {SODA_BF16, 1024, 1280, 1280, true, {65.53, 63.38, 19.88}, {27.72, 23.52, 23.49}},
    {SODA_F32, 77, 1280, 2048, false, {83.49, 74.03, 7.01}, {27.09, 13.83, 13.56}},
    {SODA_BF16, 77, 1280, 2048, false, {83.39, 85.92, 2.31}, {22.21, 6.55, 3.11}},
};

static soda_layer layer_of(size_t i, const soda_method *method)
{
    soda_layer layer = {.method = method, .m = timed[i].m, .n = timed[i].n};
    const factors_choice paper = {.rule = FACTORS_PAPER};
    CHECK_OK(factors_choose(&paper, layer.n, layer.factor));
    return layer;
}

static route_case case_of(size_t i, const soda_layer *layer)
{
    return (route_case){.layer = layer,
                        .rows = timed[i].rows,
                        .training = true,
                        .input_gradient = timed[i].input_gradient,
                        .compute = timed[i].compute,
                        .prices = prices_host()};
}

static const soda_method *const methods[] = {&method_soda_svd, &method_soda_lq};

/* Within 5 % of the best: two routes that close are equal for all we could time. */
static void fastest_route_is_chosen(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++) {
        for (int method = 0; method < 2; method++) {
            const soda_layer layer = layer_of(i, methods[method]);
            const route_case c = case_of(i, &layer);
            const route_choice choice = route_choose(&c);
            const double *ms = method == 0 ? timed[i].svd : timed[i].lq;
            double best = ms[0];
            for (int r = 1; r < ROUTE_COUNT; r++) best = fmin(best, ms[r]);
            if (ms[choice.kind] > 1.05 * best)
                fail_msg("case %zu: %s takes %g ms, the best %g", i, route_name(choice.kind),
                         ms[choice.kind], best);
        }
    }
}

/* LQ at 256 rows: without a price for memory the fewest flops win, with a high one no weight is
 * made. */
static void prices_choose(void **state)
{
    (void)state;
    const soda_layer layer = layer_of(4, &method_soda_lq);
    const price_table table[] = {{.f32 = {.rotate = 1, .byte = 0, .wide_gemm = 1}},
                                 {.f32 = {.rotate = 1, .byte = 100, .wide_gemm = 1}}};
    route_case c = case_of(4, &layer);
    c.prices = &table[0];
    assert_int_equal(route_choose(&c).kind, ROUTE_ACTIVATION);
    c.prices = &table[1];
    assert_int_equal(route_choose(&c).kind, ROUTE_FACTORED);
}

/* Sampling runs the same weights often: the dense weight is always cheapest. */
static void sampling_takes_the_weight_side(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof timed / sizeof *timed; i++) {
        for (int method = 0; method < 2; method++) {
            const soda_layer layer = layer_of(i, methods[method]);
            route_case c = case_of(i, &layer);
            c.training = false;
            assert_int_equal(route_choose(&c).kind, ROUTE_WEIGHT);
        }
    }
}

static void text_says_which_and_why(void **state)
{
    (void)state;
    char text[200];
    soda_layer layer = layer_of(4, &method_soda_svd);
    const route_case c = case_of(4, &layer);
    route_choice choice = route_choose(&c);
    route_text(&choice, text, sizeof text);
    assert_non_null(strstr(text, "factored spectrum: "));
    assert_non_null(strstr(text, " GFLOP against "));
    assert_non_null(strstr(text, "(weight-side rotation) and "));
    assert_non_null(strstr(text, "(activation-side rotation)"));
    layer.method = &method_rotation;
    choice = route_choose(&c);
    assert_null(strstr(route_text(&choice, text, sizeof text), "factored"));
    assert_int_equal(strlen(route_text(&choice, text, 12)), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fastest_route_is_chosen),
        cmocka_unit_test(prices_choose),
        cmocka_unit_test(sampling_takes_the_weight_side),
        cmocka_unit_test(text_says_which_and_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
