/* The route of a layer: what the cost model picks was also the fastest when it was timed. */
#include "support/check.h"

#include <math.h>
#include <string.h>

#include "adapter/method.h"

/* Milliseconds of forward and backward on one thread (AVX-512, AMX): least of 25, node by node,
 * graph and parameters as in training. Layers of SD 1.5 at 64 x 64 latents, then of SDXL. */
static const struct {
    soda_dtype compute;
    int64_t rows, m, n;
    bool input_gradient;
    double svd[3], lq[2]; /* weight, activation, factored */
} timed[] = {
    {SODA_F32, 4096, 320, 320, true, {14.05, 19.31, 22.93}, {13.51, 18.58}},
    {SODA_BF16, 4096, 320, 320, true, {4.65, 9.71, 9.25}, {4.11, 9.20}},
    {SODA_F32, 1024, 640, 640, true, {20.32, 21.76, 20.48}, {15.26, 16.77}},
    {SODA_BF16, 1024, 640, 640, true, {10.34, 12.88, 7.63}, {5.52, 7.95}},
    {SODA_F32, 256, 1280, 1280, true, {65.89, 57.56, 18.24}, {25.60, 16.11}},
    {SODA_BF16, 256, 1280, 1280, true, {57.06, 48.48, 4.74}, {15.46, 7.02}},
    {SODA_F32, 64, 1280, 1280, true, {58.14, 46.69, 4.67}, {15.02, 5.21}},
    {SODA_BF16, 64, 1280, 1280, true, {55.26, 45.35, 1.36}, {13.33, 3.64}},
    {SODA_F32, 77, 320, 768, false, {2.38, 2.13, 0.64}, {1.08, 0.82}},
    {SODA_BF16, 77, 320, 768, false, {2.19, 1.86, 0.26}, {0.94, 0.56}},
    {SODA_F32, 77, 1280, 768, false, {18.80, 17.29, 2.49}, {4.32, 3.00}},
    {SODA_BF16, 77, 1280, 768, false, {18.31, 16.06, 0.66}, {4.06, 2.08}},
    {SODA_F32, 4096, 640, 640, true, {61.77, 76.88, 87.57}, {55.95, 71.22}},
    {SODA_BF16, 4096, 640, 640, true, {20.35, 38.86, 33.19}, {15.52, 33.79}},
    {SODA_F32, 1024, 1280, 1280, true, {107.63, 103.98, 74.99}, {65.92, 62.95}},
    {SODA_BF16, 1024, 1280, 1280, true, {65.53, 63.38, 19.88}, {24.55, 22.21}},
    {SODA_F32, 77, 1280, 2048, false, {83.49, 74.03, 7.01}, {17.66, 9.24}},
    {SODA_BF16, 77, 1280, 2048, false, {83.39, 85.92, 2.31}, {19.27, 7.08}},
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
                        .compute = timed[i].compute};
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
            for (int r = 1; r < (method == 0 ? 3 : 2); r++) best = fmin(best, ms[r]);
            if (ms[choice.kind] > 1.05 * best)
                fail_msg("case %zu: %s takes %g ms, the best %g", i, route_name(choice.kind),
                         ms[choice.kind], best);
        }
    }
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
    layer.method = &method_soda_lq;
    choice = route_choose(&c);
    assert_null(strstr(route_text(&choice, text, sizeof text), "factored"));
    assert_int_equal(strlen(route_text(&choice, text, 12)), 11);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(fastest_route_is_chosen),
        cmocka_unit_test(sampling_takes_the_weight_side),
        cmocka_unit_test(text_says_which_and_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
