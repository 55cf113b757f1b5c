/* Noise, targets and min-SNR weights against diffusers, and DCO against PyTorch: losses.json of
 * tests/golden/make_losses.py. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "backend/ref/kernels.h"
#include "core/json.h"
#include "diffusion/min_snr.h"
#include "diffusion/prediction.h"
#include "support/op_case.h"

static soda_json file;

static const json_t *at(const json_t *object, const char *key)
{
    const json_t *value = json_object_get(object, key);
    if (!value) fail_msg("losses.json: no %s", key);
    return value;
}

static double number(const json_t *array, size_t i)
{
    return json_number_value(json_array_get(array, i));
}

/* fp32 here and there: two or three roundings of numbers of size 1. */
static void check_noise(const json_t *group, const soda_schedule *schedule)
{
    float x0[5], noise[5], got[5];
    for (size_t i = 0; i < 5; i++) {
        x0[i] = (float)number(at(group, "x0"), i);
        noise[i] = (float)number(at(group, "noise"), i);
    }
    for (size_t k = 0; k < json_array_size(at(group, "timesteps")); k++) {
        const int t = (int)number(at(group, "timesteps"), k);
        schedule_add_noise(schedule, t, x0, noise, got, 5);
        for (size_t i = 0; i < 5; i++)
            assert_true(fabs((double)got[i] - number(json_array_get(at(group, "noisy"), k), i)) <=
                        5e-7);
        if (schedule->prediction != PREDICT_V) continue;
        prediction_target(schedule, t, x0, noise, got, 5);
        for (size_t i = 0; i < 5; i++)
            assert_true(
                fabs((double)got[i] - number(json_array_get(at(group, "velocity"), k), i)) <= 5e-7);
    }
}

/* a_t is fp32 in diffusers, so 1 - a_t has lost 2^-24 / (1 - a_t): 1e-3 of the weight at most. */
static void check_weights(const json_t *group, soda_schedule *schedule)
{
    static const char *const gammas[] = {"1.0", "5.0"};
    static const char *const kinds[] = {"epsilon", "v"};
    for (int g = 0; g < 2; g++)
        for (int v = 0; v < 2; v++) {
            const json_t *want = at(at(at(group, "min_snr"), gammas[g]), kinds[v]);
            schedule->prediction = v ? PREDICT_V : PREDICT_EPSILON;
            for (size_t k = 0; k < json_array_size(want); k++) {
                if (json_is_null(json_array_get(want, k))) continue;
                const double got =
                    min_snr_weight(schedule, (int)number(at(group, "timesteps"), k), g ? 5 : 1);
                assert_true(fabs(got - number(want, k)) <= 1e-3 * number(want, k) + 1e-9);
            }
        }
}

static void noise_targets_and_weights_are_diffusers(void **state)
{
    (void)state;
    const char *name;
    json_t *group;
    json_object_foreach((json_t *)(uintptr_t)at(file.object, "noise"), name, group)
    {
        const soda_json config = {
            .file = "losses.json", .within = "", .object = at(group, "config")};
        soda_schedule schedule;
        CHECK_OK(schedule_create(&config, &schedule));
        check_noise(group, &schedule);
        check_weights(group, &schedule);
        schedule_destroy(&schedule);
    }
}

/* Where no signal is left epsilon's weight is its limit, and v's is 0. */
static void weights_have_limits_without_signal(void **state)
{
    (void)state;
    float none = 0;
    soda_schedule schedule = {.train_steps = 1, .alphas_cumprod = &none};
    assert_true(min_snr_weight(&schedule, 0, 5) == 1);
    schedule.prediction = PREDICT_V;
    assert_true(min_snr_weight(&schedule, 0, 5) == 0);
}

/* The operator on images of one element p = sqrt L, target 0: image = L. Its gradient by p is the
 * stored one by L times 2 p. */
static void dco_is_pytorch(void **state)
{
    (void)state;
    size_t index;
    json_t *c;
    json_array_foreach((json_t *)(uintptr_t)at(file.object, "dco"), index, c)
    {
        const json_t *L = at(c, "L");
        const int64_t B = (int64_t)json_array_size(L);
        op_case forward = {.inputs = 0}, backward = {.inputs = 0};
        forward.attr.mse_loss.beta = (float)json_number_value(at(c, "beta"));
        backward.attr = forward.attr;
        for (int i = 0; i < 4; i++)
            case_input(&forward, SODA_F64, i < 2 ? SHAPE(B, 1) : SHAPE(B), 0);
        for (int64_t b = 0; b < B; b++) {
            case_put(&forward.in[0], b, sqrt(number(L, (size_t)b)));
            case_put(&forward.in[2], b, 1);
            case_put(&forward.in[3], b, number(at(c, "Lref"), (size_t)b));
        }
        case_output(&forward, SODA_F64, SHAPE(1));
        case_output(&forward, SODA_F64, SHAPE(B));
        case_run(&forward, &ref_mse_loss);
        const double want = json_number_value(at(c, "loss"));
        assert_true(fabs(case_get(&forward.out[0], 0) - want) <= 1e-6 * fabs(want));
        for (int i = 0; i < 3; i++) case_given(&backward, &forward.in[i]);
        case_given(&backward, &forward.out[1]);
        case_given(&backward, &forward.in[3]);
        case_output(&backward, SODA_F64, SHAPE(B, 1));
        case_run(&backward, &ref_mse_loss_grad);
        for (int64_t b = 0; b < B; b++) {
            const double slope =
                number(at(c, "gradient"), (size_t)b) * 2 * case_get(&forward.in[0], b);
            assert_true(fabs(case_get(&backward.out[0], b) - slope) <= 1e-6 * fabs(slope) + 1e-12);
        }
        case_free(&forward);
        case_free(&backward);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(noise_targets_and_weights_are_diffusers),
        cmocka_unit_test(weights_have_limits_without_signal),
        cmocka_unit_test(dco_is_pytorch),
    };
    if (soda_json_load(SODA_TEST_DIR "/golden/losses.json", &file) != SODA_OK) return 1;
    const int failed = cmocka_run_group_tests(tests, NULL, NULL);
    soda_json_free(&file);
    return failed;
}
