/* Noise schedules against PyTorch and diffusers 0.42.1 (golden/make_samplers.py). */
#include "diffusion/golden.h"

#include <math.h>
#include <string.h>

#include "core/sha256.h"
#include "diffusion/prediction.h"
#include "diffusion/schedule.h"

enum { N = 6 };

/* Betas and their product are the bits of PyTorch on a machine with fused multiply-add. The cosine
 * schedule goes through the cosine of libm, that without final signal through PyTorch's square root
 * (MKL's, not always the nearest number): both may differ in the last place, 2^-23 a factor. */
static void alphas_cumprod_has_the_bits_of_torch(void **state)
{
    (void)state;
    size_t i, j;
    json_t *row, *value;
    json_array_foreach(part("schedules"), i, row)
    {
        const soda_json config = config_of(row);
        const char *betas = json_string_value(json_object_get(config.object, "beta_schedule"));
        soda_schedule schedule;
        CHECK_OK(schedule_create(&config, &schedule));
        json_array_foreach(json_object_get(row, "some"), j, value)
        {
            const double want = json_number_value(value);
            const double got = (double)schedule.alphas_cumprod[37 * j];
            if (fabs(got - want) > 37 * (double)(j + 1) * 0x1p-23 * want)
                fail_msg("schedule %zu: a[%zu] is %.9g, wanted %.9g", i, 37 * j, got, want);
        }
        if (!schedule.zero_snr && (!betas || strcmp(betas, "squaredcos_cap_v2") != 0)) {
            uint8_t digest[SHA256_BYTES];
            char text[SHA256_HEX];
            soda_sha256 *hash;
            CHECK_OK(sha256_create(&hash));
            CHECK_OK(sha256_update(hash, schedule.alphas_cumprod,
                                   (size_t)schedule.train_steps * sizeof(float)));
            CHECK_OK(sha256_finish(hash, digest));
            sha256_destroy(hash);
            assert_string_equal(sha256_hex(digest, text),
                                json_string_value(json_object_get(row, "sha256")));
        }
        schedule_destroy(&schedule);
    }
}

/* Each value is the sum of two products of numbers up to 2, each rounded once: 3 * 2^-23. */
static void noise_targets_and_snr_equal_diffusers(void **state)
{
    (void)state;
    const soda_json config = {.file = "sd", .within = "", .object = json_array_get(part("sd"), 0)};
    soda_schedule schedule;
    CHECK_OK(schedule_create(&config, &schedule));
    size_t i;
    json_t *row;
    json_array_foreach(part("training"), i, row)
    {
        float x0[N], noise[N], want[N], got[N];
        const int t = (int)json_integer_value(json_object_get(row, "t"));
        const int n = fill(json_object_get(row, "x0"), x0, N);
        fill(json_object_get(row, "noise"), noise, N);
        schedule_add_noise(&schedule, t, x0, noise, got, n);
        fill(json_object_get(row, "noisy"), want, N);
        check_max_diff(got, want, n, 3 * 0x1p-23);
        schedule.prediction = PREDICT_V;
        prediction_target(&schedule, t, x0, noise, got, n);
        fill(json_object_get(row, "v"), want, N);
        check_max_diff(got, want, n, 3 * 0x1p-23);
        schedule.prediction = PREDICT_EPSILON;
        prediction_target(&schedule, t, x0, noise, got, n);
        check_max_diff(got, noise, n, 0);
        schedule.prediction = PREDICT_SAMPLE;
        prediction_target(&schedule, t, x0, noise, got, n);
        check_max_diff(got, x0, n, 0);
        /* diffusers squares a ratio of two fp32 roots: 4 roundings of 2^-24, doubled by the square
         */
        const double snr = json_number_value(json_object_get(row, "snr"));
        assert_true(fabs(schedule_snr(&schedule, t) - snr) <= 8 * 0x1p-24 * snr);
    }
    schedule_destroy(&schedule);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(alphas_cumprod_has_the_bits_of_torch),
        cmocka_unit_test(noise_targets_and_snr_equal_diffusers),
    };
    return cmocka_run_group_tests(tests, load_golden, free_golden);
}
