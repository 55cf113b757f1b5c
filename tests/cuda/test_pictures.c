/* Whole pictures on the GPU: text encoders, guided sampling, VAE both ways, of three families.
 * Those of the CPU, which tests/pipeline compares with diffusers. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "pipeline/sampling.h"
#include "pipeline/vae_decoder.h"
#include "pipeline/vae_encoder.h"
#include "support/files.h"
#include "support/tested.h"

enum { SIDE = 4, LATENTS = 4 * SIDE * SIDE, MOST = 3 * 64 * 64 };

/* What one backend makes of a prompt, and of the picture of `wave`. */
typedef struct {
    float latents[LATENTS], mean[LATENTS], std[LATENTS];
    uint8_t rgb[MOST];
    int64_t bytes;
} picture;

static void draw(const soda_folder *folder, const soda_backend *backend, const char *scheduler,
                 soda_dtype dtype, picture *p)
{
    static const char *const prompts[] = {"a red fox"};
    const sampling_request request = {.folder = folder,
                                      .backend = backend,
                                      .dtype = dtype,
                                      .prompts = prompts,
                                      .prompt_count = 1,
                                      .per_prompt = 1,
                                      .negative = "blurry",
                                      .scheduler = scheduler,
                                      .steps = 2,
                                      .guidance = 3,
                                      .seed = 5,
                                      .h = SIDE,
                                      .w = SIDE};
    vae_decoder decoder;
    vae_encoder encoder;
    assert_int_equal(sampling_count(&request), LATENTS);
    CHECK_OK(sampling_run(&request, p->latents));
    CHECK_OK(vae_decoder_open(folder, backend, dtype, SIDE, SIDE, &decoder));
    const int64_t side = SIDE * decoder.factor;
    p->bytes = 3 * side * side;
    assert_true(p->bytes <= MOST);
    CHECK_OK(vae_decoder_run(&decoder, p->latents, p->rgb));
    vae_decoder_close(&decoder);

    float pixels[MOST];
    for (int64_t i = 0; i < p->bytes; i++) pixels[i] = (float)(i % 23) / 11 - 1;
    CHECK_OK(vae_encoder_open(folder, backend, dtype, side, side, &encoder));
    CHECK_OK(vae_encoder_run(&encoder, pixels, p->mean, p->std));
    vae_encoder_close(&encoder);
}

/* fp32: a call's error is about 1e-6, and guidance 3 makes it up to five times as large in each of
 * two steps. bf16: 2^-8 a rounding, and as in selftest a call is off by up to 3e-2. */
static void check_family(const char *name, const char *scheduler, soda_dtype dtype)
{
    const double allowed = dtype == SODA_F32 ? 5e-5 : 1.5e-1;
    const int level = dtype == SODA_F32 ? 1 : 48; /* of 255 */
    char path[1024];
    static picture got, want;
    soda_folder *folder;
    int64_t far = 0;
    snprintf(path, sizeof path, "%s/golden/tiny-%s", SODA_TEST_DIR, name);
    CHECK_OK(folder_open(path, &folder));
    draw(folder, tested_backend(), scheduler, dtype, &got);
    draw(folder, backend_cpu(1), scheduler, dtype, &want);
    folder_close(folder);
    const double drawn = check_relative_l2(got.latents, want.latents, LATENTS);
    const double read = check_relative_l2(got.mean, want.mean, LATENTS);
    for (int64_t i = 0; i < want.bytes; i++) far += abs(got.rgb[i] - want.rgb[i]) > level;
    print_message("%s, %s, %s: drawn %.1e, encoded %.1e, %lld of %lld values far\n", name,
                  scheduler, dtype_name(dtype), drawn, read, (long long)far, (long long)want.bytes);
    assert_true(drawn <= allowed && read <= allowed);
    assert_true(far * 1000 <= want.bytes);
    assert_true(check_relative_l2(got.std, want.std, LATENTS) <= allowed);
}

static void sd1_draws_what_the_cpu_draws(void **state)
{
    (void)state, check_family("sd1", "ddim", SODA_F32);
}
static void sd2_draws_what_the_cpu_draws(void **state)
{
    (void)state, check_family("sd2", "euler", SODA_F32);
}
static void sdxl_draws_what_the_cpu_draws(void **state)
{
    (void)state, check_family("sdxl", "dpmpp_2m", SODA_F32);
}
static void bf16_draws_about_what_the_cpu_draws(void **state)
{
    (void)state, check_family("sd1", "pndm", SODA_BF16);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sd1_draws_what_the_cpu_draws),
        cmocka_unit_test(sd2_draws_what_the_cpu_draws),
        cmocka_unit_test(sdxl_draws_what_the_cpu_draws),
        cmocka_unit_test(bf16_draws_about_what_the_cpu_draws),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
