/* Samplers against diffusers 0.42.1 (golden/make_samplers.py). */
#include "diffusion/golden.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/guidance.h"
#include "diffusion/noise.h"
#include "diffusion/sampler.h"
#include "diffusion/schedule.h"

enum { N = 6 };

/* The model of make_samplers.py. */
static void model(const float *x, double t, float *output)
{
    for (int k = 0; k < N; k++) output[k] = (float)(0.1 * (double)x[k] + sin(k + t / 100));
}

/* Draws from `sample` to the end; timesteps must be those of the row. */
static void draw(soda_sampler *sampler, const json_t *row, float *sample)
{
    const json_t *timesteps = json_object_get(row, "timesteps");
    assert_int_equal(sampler_calls(sampler), json_array_size(timesteps));
    for (int k = 0; k < N; k++) sample[k] *= sampler_init_sigma(sampler);
    for (int i = 0; i < sampler_calls(sampler); i++) {
        float input[N], output[N];
        const double t = (double)sampler_timestep(sampler, i);
        const double want = json_number_value(json_array_get(timesteps, (size_t)i));
        /* integers are exact; Karras' fractions go through fp32 logarithms, 2^-23 in 0.005 */
        if (fabs(t - want) > (want == rint(want) ? 0 : 1e-4))
            fail_msg("call %d: timestep %.9g, wanted %.9g", i, t, want);
        for (int k = 0; k < N; k++) input[k] = sample[k] * sampler_input_scale(sampler, i);
        model(input, t, output);
        CHECK_OK(sampler_step(sampler, i, output, sample));
    }
}

/* Every case, twice with the same sampler: the second run must not remember the first.
 *
 * Tolerance: diffusers rounds about ten operations a step to fp32, of intermediate values up to
 * 1 / sqrt(a_999) = 15 times the sample, so a step may be off by 10 * 15 * 2^-24 = 9e-6 of it in
 * the worst case; errors of later steps are damped by sqrt(a_t / a_prev) and have random signs. */
static void trajectories_equal_diffusers(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    int refused = 0;
    double worst = 0;
    float start[N];
    fill(json_array_get(part("start"), 0), start, N);
    json_array_foreach(part("trajectories"), i, row)
    {
        const soda_json config = config_of(row);
        const char *name = json_string_value(json_object_get(row, "sampler"));
        const int steps = (int)json_integer_value(json_object_get(row, "steps"));
        soda_sampler *sampler;
        const soda_status s = sampler_create(&config, name, steps, N, &sampler);
        if (json_is_true(json_object_get(row, "fails"))) {
            assert_int_not_equal(s, SODA_OK);
            refused++;
            continue;
        }
        CHECK_OK(s);
        float want[N], sample[N];
        const double sigma = json_number_value(json_object_get(row, "init_sigma"));
        fill(json_object_get(row, "final"), want, N);
        for (int run = 0; run < 2; run++) {
            memcpy(sample, start, sizeof sample);
            draw(sampler, row, sample);
            const double error = check_relative_l2(sample, want, N);
            if (!(error <= 10 * fmax(15, sigma) * 0x1p-24))
                fail_msg("case %zu (%s, %d steps): relative error %.3g", i, name, steps, error);
            if (sigma < 20) worst = fmax(worst, error);
        }
        assert_true(fabs((double)sampler_init_sigma(sampler) - sigma) <= 0x1p-23 * sigma);
        sampler_destroy(sampler);
    }
    print_message("%zu cases, %d refused, worst relative error %.2g\n", i, refused, worst);
    assert_true(i >= 200 && refused <= 5);
}

/* StableDiffusionPipeline's changes to what the folder says and leaves out, for the folder's class
 * and for others: the timesteps tell the offset, the samples whether they were clipped. */
static void pipelines_correct_their_configuration_as_diffusers(void **state)
{
    (void)state;
    size_t i;
    json_t *row;
    float start[N], want[N], sample[N];
    fill(json_array_get(part("start"), 0), start, N);
    json_array_foreach(part("pipelines"), i, row)
    {
        const char *name = json_string_value(json_object_get(row, "sampler"));
        const int steps = (int)json_integer_value(json_object_get(row, "steps"));
        const double sigma = json_number_value(json_object_get(row, "init_sigma"));
        char *text;
        soda_json config;
        soda_sampler *sampler;
        CHECK_OK(soda_json_dump(json_object_get(row, "config"), "config", &text));
        CHECK_OK(soda_json_parse(text, strlen(text), "scheduler_config.json", &config));
        CHECK_OK(sampler_pipeline_config(&config, name));
        CHECK_OK(sampler_create(&config, name, steps, N, &sampler));
        memcpy(sample, start, sizeof sample);
        draw(sampler, row, sample);
        fill(json_object_get(row, "final"), want, N);
        const double error = check_relative_l2(sample, want, N);
        if (!(error <= 10 * fmax(15, sigma) * 0x1p-24)) /* as above */
            fail_msg("%s, sampler %s: relative error %.3g", text, name ? name : "its own", error);
        sampler_destroy(sampler);
        soda_json_free(&config);
        free(text);
    }
    assert_int_equal(i, 4 * 5 * 4);
}

static void what_a_pipeline_cannot_correct_is_refused(void **state)
{
    (void)state;
    static const char *const bad[][2] = {
        {"{\"_class_name\": \"DDIMScheduler\", \"steps_offset\": \"1\"}", "config: steps_offset"},
        {"{\"_class_name\": \"DDIMScheduler\", \"clip_sample\": 0}", "config: clip_sample"},
        {"{\"_class_name\": 7}", "config: _class_name"},
        {"{}", "config: _class_name"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        soda_json config;
        CHECK_OK(soda_json_parse(bad[i][0], strlen(bad[i][0]), "config", &config));
        CHECK_FAILS(sampler_pipeline_config(&config, NULL), SODA_ERR_INPUT);
        check_message_has(bad[i][1]);
        soda_json_free(&config);
    }
}

/* An exact answer that no reference is needed for: if the model always names the noise that is in
 * the sample, every sampler returns to x0. */
static void the_true_noise_leads_back_to_the_image(void **state)
{
    (void)state;
    static const char *const names[] = {"ddim", "euler", "dpmpp_2m", "pndm"};
    const char *text =
        "{\"beta_schedule\": \"scaled_linear\", \"beta_start\": 0.00085, \"beta_end\": "
        "0.012, \"set_alpha_to_one\": true, \"clip_sample\": false, "
        "\"timestep_spacing\": \"trailing\"}";
    soda_json config;
    CHECK_OK(soda_json_parse(text, strlen(text), "config", &config));
    for (int c = 0; c < 4; c++) {
        soda_sampler *sampler;
        soda_schedule schedule;
        float x0[N], noise[N], sample[N];
        check_fill_normal(x0, N, 3, 1);
        check_fill_normal(noise, N, 5, 1);
        CHECK_OK(sampler_create(&config, names[c], 10, N, &sampler));
        CHECK_OK(schedule_create(&config, &schedule));
        schedule_add_noise(&schedule, (int)sampler_timestep(sampler, 0), x0, noise, sample, N);
        if (c == 1) { /* Euler's sample is that over sqrt(a) */
            const float a = schedule.alphas_cumprod[(int)sampler_timestep(sampler, 0)];
            for (int k = 0; k < N; k++) sample[k] /= sqrtf(a);
        }
        for (int i = 0; i < sampler_calls(sampler); i++)
            CHECK_OK(sampler_step(sampler, i, noise, sample));
        /* the sample is rounded 10 (PNDM: 19) times while it is up to 15 times as large: 19 * 15 *
         * 2 * 2^-24 = 4e-5 */
        check_max_diff(sample, x0, N, 4e-5);
        schedule_destroy(&schedule);
        sampler_destroy(sampler);
    }
    soda_json_free(&config);
}

static void guidance_and_latents_are_what_they_say(void **state)
{
    (void)state;
    const float uncond[3] = {1, -2, 0.5f}, cond[3] = {3, -2, 0};
    float out[3], a[N], b[N], many[4096];
    guidance_apply(uncond, cond, 7.5f, out, 3);
    check_max_diff(out, (const float[]){16, -2, -3.25f}, 3, 0); /* exact in binary */
    noise_latents(7, 0, a, N);
    noise_latents(7, 0, b, N);
    assert_memory_equal(a, b, sizeof a);
    for (int other = 0; other < 3; other++) {
        static const uint64_t seeds[] = {7, 8, 7 + (1ull << 32)}, indices[] = {1, 0, 0};
        noise_latents(seeds[other], indices[other], b, N);
        for (int k = 0; k < N; k++) assert_true(a[k] != b[k]);
    }
    noise_latents(1, 2, many, 4096);
    double mean = 0, square = 0;
    for (int k = 0; k < 4096; k++) {
        mean += (double)many[k] / 4096;
        square += (double)many[k] * (double)many[k] / 4096;
    }
    assert_true(fabs(mean) < 5 / sqrt(4096.0));           /* five standard errors */
    assert_true(fabs(square - 1) < 5 * sqrt(2 / 4096.0)); /* var(x^2) = 2 */
}

/* ---- bad input ---- */

static void what_is_not_possible_is_refused_by_key(void **state)
{
    (void)state;
    static const struct {
        const char *config, *name;
        int steps;
        soda_status status;
        const char *message;
    } bad[] = {
        {"{}", "ddim", 0, SODA_ERR_USAGE, "steps: expected 1 to 1000, found 0"},
        {"{}", "ddim", 1001, SODA_ERR_USAGE, "steps: expected 1 to 1000, found 1001"},
        {"{}", "euler", 1001, SODA_ERR_USAGE, "steps: expected 1 to 1000, found 1001"},
        {"{\"num_train_timesteps\": 50}", "pndm", 51, SODA_ERR_USAGE, "expected 1 to 50"},
        {"{}", "lms", 5, SODA_ERR_USAGE, ", found lms"},
        {"{}", NULL, 5, SODA_ERR_INPUT, "config: _class_name"},
        {"{\"_class_name\": \"LMSDiscreteScheduler\"}", NULL, 5, SODA_ERR_UNSUPPORTED,
         "found LMSDiscreteScheduler"},
        {"{\"_class_name\": \"EDMEulerScheduler\"}", "euler", 5, SODA_ERR_UNSUPPORTED,
         "config: _class_name: expected a scheduler whose noise has betas, found EDMEuler"},
        {"{\"_class_name\": \"FlowMatchHeunDiscreteScheduler\"}", NULL, 5, SODA_ERR_UNSUPPORTED,
         "config: _class_name: expected"},
        {"{\"steps_offset\": 1}", "ddim", 1000, SODA_ERR_USAGE, "timestep 1000 of 1000"},
        {"{\"steps_offset\": -1}", "ddim", 5, SODA_ERR_INPUT, "config: steps_offset"},
        {"{}", "pndm", 3, SODA_ERR_USAGE, "PNDM without skip_prk_steps"},
        {"{\"steps_offset\": 1, \"skip_prk_steps\": true}", "pndm", 1000, SODA_ERR_USAGE, "1000"},
        {"{\"timestep_spacing\": \"leading\"}", "dpmpp_2m", 1000, SODA_ERR_USAGE, "too many"},
        {"{\"trained_betas\": [0.1]}", "ddim", 5, SODA_ERR_UNSUPPORTED, "config: trained_betas"},
        {"{\"beta_schedule\": \"sigmoid\"}", "ddim", 5, SODA_ERR_UNSUPPORTED,
         "beta_schedule: expected one of linear, scaled_linear, squaredcos_cap_v2"},
        {"{\"beta_start\": 0}", "ddim", 5, SODA_ERR_INPUT, "config: beta_start"},
        {"{\"beta_end\": 1}", "ddim", 5, SODA_ERR_INPUT, "config: beta_end"},
        {"{\"num_train_timesteps\": 9000}", "euler", 5, SODA_ERR_INPUT, "beta_start, beta_end"},
        {"{\"beta_start\": 1e-9}", "euler", 5, SODA_ERR_INPUT, "found a signal of 1 at 0"},
        {"{\"num_train_timesteps\": 0}", "ddim", 5, SODA_ERR_INPUT, "num_train_timesteps"},
        {"{\"timestep_spacing\": \"even\"}", "ddim", 5, SODA_ERR_UNSUPPORTED, "timestep_spacing"},
        {"{\"prediction_type\": \"flow\"}", "ddim", 5, SODA_ERR_UNSUPPORTED, "prediction_type"},
        {"{\"prediction_type\": \"sample\"}", "pndm", 5, SODA_ERR_UNSUPPORTED, "prediction_type"},
        {"{\"thresholding\": true}", "ddim", 5, SODA_ERR_UNSUPPORTED, "config: thresholding"},
        {"{\"thresholding\": true}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED, "config: thresholding"},
        {"{\"clip_sample_range\": 0}", "ddim", 5, SODA_ERR_INPUT, "clip_sample_range"},
        {"{\"clip_sample\": 1}", "ddim", 5, SODA_ERR_INPUT, "config: clip_sample"},
        {"{\"rescale_betas_zero_snr\": true}", "pndm", 5, SODA_ERR_UNSUPPORTED, "zero_snr"},
        {"{\"rescale_betas_zero_snr\": true, \"timestep_spacing\": \"trailing\"}", "ddim", 5,
         SODA_ERR_UNSUPPORTED, "zero_snr"},
        {"{\"use_beta_sigmas\": true}", "euler", 5, SODA_ERR_UNSUPPORTED, "use_beta_sigmas"},
        {"{\"use_exponential_sigmas\": true}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED,
         "use_exponential_sigmas"},
        {"{\"use_flow_sigmas\": true}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED, "use_flow_sigmas"},
        {"{\"sigma_min\": 0.1}", "euler", 5, SODA_ERR_UNSUPPORTED,
         "config: sigma_min: expected null, found 0.1"},
        {"{\"final_sigmas_type\": \"one\"}", "euler", 5, SODA_ERR_UNSUPPORTED, "final_sigmas_type"},
        {"{\"interpolation_type\": \"log_linear\"}", "euler", 5, SODA_ERR_UNSUPPORTED,
         "interpolation_type: expected linear"},
        {"{\"timestep_type\": \"continuous\"}", "euler", 5, SODA_ERR_UNSUPPORTED, "timestep_type"},
        {"{\"algorithm_type\": \"sde-dpmsolver++\"}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED,
         "algorithm_type: expected dpmsolver++"},
        {"{\"solver_order\": 3}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED, "config: solver_order"},
        {"{\"solver_type\": \"rk\"}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED, "config: solver_type"},
        {"{\"variance_type\": \"learned_range\"}", "dpmpp_2m", 5, SODA_ERR_UNSUPPORTED,
         "variance_type: expected null or a type that is not learned, found \"learned_range\""},
        {"{\"lambda_min_clipped\": 99}", "dpmpp_2m", 5, SODA_ERR_INPUT, "lambda_min_clipped"},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        soda_json config;
        soda_sampler *sampler;
        CHECK_OK(soda_json_parse(bad[i].config, strlen(bad[i].config), "config", &config));
        CHECK_FAILS(sampler_create(&config, bad[i].name, bad[i].steps, N, &sampler), bad[i].status);
        check_message_has(bad[i].message);
        soda_json_free(&config);
    }
}

/* Options of a class that is not used do not matter, and the folder's own class is found. */
static void the_class_of_the_file_is_the_default(void **state)
{
    (void)state;
    const char *text = "{\"_class_name\": \"EulerDiscreteScheduler\", \"thresholding\": true, "
                       "\"solver_order\": 3, \"timestep_spacing\": \"leading\"}";
    soda_json config;
    soda_sampler *sampler;
    float sample[N] = {0};
    CHECK_OK(soda_json_parse(text, strlen(text), "config", &config));
    CHECK_OK(sampler_create(&config, NULL, 5, N, &sampler));
    assert_true(sampler_init_sigma(sampler) > 1); /* Euler alone */
    CHECK_OK(sampler_step(sampler, 0, sample, sample));
    CHECK_FAILS(sampler_step(sampler, 2, sample, sample), SODA_ERR_INTERNAL);
    for (int i = 1; i < 5; i++) CHECK_OK(sampler_step(sampler, i, sample, sample));
    CHECK_FAILS(sampler_step(sampler, 5, sample, sample), SODA_ERR_INTERNAL);
    sampler_destroy(sampler);
    soda_json_free(&config);
}

static void every_row_of_the_table_has_trajectories(void **state)
{
    (void)state;
    static const char *const names[] = {
#define SAMPLER(name, class_name) #name,
#include "diffusion/samplers.def"
#undef SAMPLER
    };
    for (size_t k = 0; k < sizeof names / sizeof *names; k++) {
        size_t i;
        json_t *row;
        int found = 0;
        json_array_foreach(part("trajectories"), i, row)
        {
            const char *name = json_string_value(json_object_get(row, "sampler"));
            found += name && strcmp(name, names[k]) == 0;
        }
        if (!found) fail_msg("sampler %s: no trajectory of diffusers checks it", names[k]);
        assert_non_null(strstr(sampler_names(), names[k]));
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_equal_diffusers),
        cmocka_unit_test(pipelines_correct_their_configuration_as_diffusers),
        cmocka_unit_test(what_a_pipeline_cannot_correct_is_refused),
        cmocka_unit_test(the_true_noise_leads_back_to_the_image),
        cmocka_unit_test(guidance_and_latents_are_what_they_say),
        cmocka_unit_test(what_is_not_possible_is_refused_by_key),
        cmocka_unit_test(the_class_of_the_file_is_the_default),
        cmocka_unit_test(every_row_of_the_table_has_trajectories),
    };
    return cmocka_run_group_tests(tests, load_golden, free_golden);
}
