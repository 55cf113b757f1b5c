/* Whole pipelines against diffusers: three families, four samplers, 25 steps at guidance 7.5, from
 * the same starting noise. tests/golden/make_golden.py made the references. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "io/safetensors.h"
#include "pipeline/sampling.h"
#include "pipeline/vae_decoder.h"
#include "support/files.h"
#include "support/tested.h"

static const char *const samplers[] = {"ddim", "euler", "dpmpp_2m", "pndm"};

typedef struct {
    soda_folder *folder;
    soda_safetensors *golden;
    soda_json call; /* prompts, negative, steps and guidance of the reference */
    const char *prompts[8];
    int prompt_count;
    float *initial, *latents, *want;
    sampling_request request;
    int64_t count; /* of all latents */
} family;

static const safetensors_tensor *tensor(const family *f, const char *format, const char *sampler)
{
    char name[64];
    snprintf(name, sizeof name, format, sampler);
    const safetensors_tensor *t = safetensors_find(f->golden, name);
    assert_non_null(t);
    return t;
}

static void open_family(family *f, const char *name, soda_dtype dtype)
{
    char path[1024];
    memset(f, 0, sizeof *f);
    snprintf(path, sizeof path, "%s/golden/tiny-%s", SODA_TEST_DIR, name);
    CHECK_OK(folder_open(path, &f->folder));
    snprintf(path, sizeof path, "%s/golden/%s-pipelines.safetensors", SODA_TEST_DIR, name);
    CHECK_OK(safetensors_open(path, &f->golden));
    const char *call = safetensors_metadata(f->golden, "call");
    const char *negative;
    int64_t steps;
    double guidance;
    assert_non_null(call);
    CHECK_OK(soda_json_parse(call, strlen(call), path, &f->call));
    CHECK_OK(soda_json_strings(&f->call, "prompts", f->prompts, 8, &f->prompt_count));
    CHECK_OK(soda_json_string(&f->call, "negative", NULL, &negative));
    CHECK_OK(soda_json_int(&f->call, "steps", 0, &steps));
    CHECK_OK(soda_json_double(&f->call, "guidance", 0, &guidance));
    const safetensors_tensor *start = tensor(f, "latents%s", "");
    f->count = start->dim[0] * start->dim[1] * start->dim[2] * start->dim[3];
    f->initial = malloc((size_t)f->count * sizeof(float));
    f->latents = malloc((size_t)f->count * sizeof(float));
    f->want = malloc((size_t)f->count * sizeof(float));
    assert_true(f->initial && f->latents && f->want);
    CHECK_OK(safetensors_read_f32(start, f->initial));
    f->request = (sampling_request){
        .folder = f->folder,
        .backend = tested_backend(),
        .dtype = dtype,
        .prompts = f->prompts,
        .prompt_count = f->prompt_count,
        .per_prompt = 1,
        .negative = negative,
        .steps = (int)steps,
        .guidance = guidance,
        .h = start->dim[2],
        .w = start->dim[3],
        .initial = f->initial,
    };
    assert_int_equal(start->dim[0], f->prompt_count);
}

static void close_family(family *f)
{
    soda_json_free(&f->call);
    free(f->initial);
    free(f->latents);
    free(f->want);
    safetensors_close(f->golden);
    folder_close(f->folder);
}

/* At least 99.9 % of the channel values are within 1 of the reference's. */
static void check_pictures(const family *f, const char *sampler)
{
    const safetensors_tensor *want = tensor(f, "%s.picture", sampler);
    const int64_t bytes = want->dim[1] * want->dim[2] * want->dim[3];
    const uint8_t *reference = want->data;
    uint8_t *rgb = malloc((size_t)bytes);
    vae_decoder decoder;
    int64_t far = 0;
    assert_non_null(rgb);
    CHECK_OK(vae_decoder_open(f->folder, f->request.backend, SODA_F32, f->request.h, f->request.w,
                              &decoder));
    for (int p = 0; p < f->prompt_count; p++) {
        CHECK_OK(vae_decoder_run(&decoder, f->latents + p * sampling_count(&f->request), rgb));
        for (int64_t i = 0; i < bytes; i++) far += abs(rgb[i] - reference[p * bytes + i]) > 1;
    }
    vae_decoder_close(&decoder);
    free(rgb);
    if (far * 1000 > bytes * f->prompt_count)
        fail_msg("%s: %lld of %lld values are more than 1/255 off", sampler, (long long)far,
                 (long long)bytes * f->prompt_count);
}

/* A call's error is about 1e-6 (fp32, some hundred operators deep); 25 steps at guidance 7.5
 * amplify it by up to 7.5 + 6.5 a step along some directions: 1e-3 is what the two may differ by.
 */
static void check_family(const char *name)
{
    enum { DRAWN = sizeof samplers / sizeof *samplers };
    static int next; /* the only one of this family where there is no time for all */
    family f;
    open_family(&f, name, SODA_F32);
    const int first = tested_all() ? 0 : next++, last = tested_all() ? DRAWN - 1 : first;
    for (int i = first; i <= last; i++) {
        f.request.scheduler = samplers[i];
        CHECK_OK(sampling_run(&f.request, f.latents));
        CHECK_OK(safetensors_read_f32(tensor(&f, "%s.latents", samplers[i]), f.want));
        const double error = check_relative_l2(f.latents, f.want, f.count);
        printf("%s %s: relative L2 error %.2e\n", name, samplers[i], error);
        if (!(error <= 1e-3)) fail_msg("%s %s: %g > 1e-3", name, samplers[i], error);
        check_pictures(&f, samplers[i]);
    }
    close_family(&f);
}

static void sd1_draws_what_diffusers_draws(void **state) { (void)state, check_family("sd1"); }
static void sd2_draws_what_diffusers_draws(void **state) { (void)state, check_family("sd2"); }
static void sdxl_draws_what_diffusers_draws(void **state) { (void)state, check_family("sdxl"); }

/* A picture is a function of seed and index: not of how many are drawn, nor of earlier runs. */
static void pictures_do_not_depend_on_each_other(void **state)
{
    (void)state;
    family f;
    open_family(&f, "sd1", SODA_F32);
    f.request.initial = NULL;
    f.request.steps = 2;
    f.request.seed = 3;
    CHECK_OK(sampling_run(&f.request, f.latents));
    f.request.prompt_count = 1;
    CHECK_OK(sampling_run(&f.request, f.want));
    assert_memory_equal(f.latents, f.want, (size_t)sampling_count(&f.request) * sizeof(float));
    close_family(&f);
}

/* Opens a copy of tiny-FAMILY whose model_index.json names the scheduler `index` and whose
 * scheduler_config.json the class `own`, with `keys` besides the betas. */
static soda_folder *open_changed(const char *scratch, const char *name, const char *index,
                                 const char *own, const char *keys)
{
    soda_folder *changed;
    char command[2200], text[256];
    const char *to = files_path(scratch, "model");
    snprintf(command, sizeof command,
             "rm -rf '%s' && cp -r '%s/golden/tiny-%s' '%s' && "
             "sed -i 's/[A-Za-z]*Scheduler/%s/' '%s/model_index.json'",
             to, SODA_TEST_DIR, name, to, index, to);
    assert_int_equal(system(command), 0);
    snprintf(text, sizeof text, "{\"_class_name\": \"%s\", \"beta_end\": 0.012%s}", own, keys);
    files_write(to, "scheduler/scheduler_config.json", text, strlen(text));
    CHECK_OK(folder_open(to, &changed));
    return changed;
}

/* Draws with it. */
static void draw_with(const char *scratch, const char *name, const char *index, const char *own,
                      const char *keys, float *latents)
{
    family f;
    soda_folder *changed = open_changed(scratch, name, index, own, keys);
    open_family(&f, name, SODA_F32);
    f.request.folder = changed;
    f.request.prompt_count = 1;
    f.request.steps = 2;
    CHECK_OK(sampling_run(&f.request, f.latents));
    memcpy(latents, f.latents, (size_t)sampling_count(&f.request) * sizeof *latents);
    folder_close(changed);
    close_family(&f);
}

/* StableDiffusionPipeline forces steps_offset 1 and clip_sample false, StableDiffusionXLPipeline
 * leaves its scheduler as it is. */
static void plain_pipelines_correct_their_scheduler_and_xl_does_not(void **state)
{
    enum { ROOM = 4 * 16 * 16 };
    static const char right[] = ", \"steps_offset\": 1, \"clip_sample\": false";
    static const char wrong[] = ", \"steps_offset\": 0, \"clip_sample\": true";
    static const char *const families[] = {"sd1", "sdxl"};
    static const char ddim[] = "DDIMScheduler";
    for (int xl = 0; xl < 2; xl++) {
        float bare[ROOM] = {0}, as_right[ROOM] = {0}, as_wrong[ROOM] = {0};
        draw_with(*state, families[xl], ddim, ddim, "", bare);
        draw_with(*state, families[xl], ddim, ddim, right, as_right);
        draw_with(*state, families[xl], ddim, ddim, wrong, as_wrong);
        assert_memory_equal(bare, xl ? as_wrong : as_right, sizeof bare);
        if (xl)
            assert_memory_not_equal(as_right, as_wrong, sizeof bare);
        else
            assert_memory_equal(as_right, as_wrong, sizeof bare);
    }
}

/* DiffusionPipeline.from_pretrained takes the class of model_index.json and the values of
 * scheduler_config.json, whatever class that file names. */
static void the_class_of_model_index_draws(void **state)
{
    enum { ROOM = 4 * 16 * 16 };
    static const char pndm[] = "PNDMScheduler", ddim[] = "DDIMScheduler";
    float both[ROOM] = {0}, index[ROOM] = {0}, other[ROOM] = {0};
    draw_with(*state, "sd1", pndm, pndm, ", \"skip_prk_steps\": true", both);
    draw_with(*state, "sd1", pndm, ddim, ", \"skip_prk_steps\": true", index);
    draw_with(*state, "sd1", ddim, pndm, ", \"skip_prk_steps\": true", other);
    assert_memory_equal(both, index, sizeof both);
    assert_memory_not_equal(both, other, sizeof both);
}

static void a_scheduler_that_cannot_draw_names_those_that_can(void **state)
{
    static const char pndm[] = "PNDMScheduler";
    family f;
    soda_folder *changed =
        open_changed(*state, "sd1", pndm, pndm, ", \"rescale_betas_zero_snr\": true");
    open_family(&f, "sd1", SODA_F32);
    f.request.folder = changed;
    CHECK_FAILS(sampling_check(&f.request), SODA_ERR_UNSUPPORTED);
    check_message_has("rescale_betas_zero_snr: expected false, found true; ddim, euler, dpmpp_2m "
                      "can draw with this model: choose one with --scheduler");
    folder_close(changed);
    changed = open_changed(*state, "sd1", pndm, pndm, ", \"trained_betas\": [0.1]");
    f.request.folder = changed;
    CHECK_FAILS(sampling_check(&f.request), SODA_ERR_UNSUPPORTED);
    check_message_has("trained_betas");
    assert_null(strstr(status_message(), "--scheduler"));
    folder_close(changed);
    changed = open_changed(*state, "sd1", "UniPCMultistepScheduler", pndm, "");
    f.request.folder = changed;
    CHECK_FAILS(sampling_check(&f.request), SODA_ERR_UNSUPPORTED);
    check_message_has("soda has no sampler for UniPCMultistepScheduler: choose one of ddim,");
    folder_close(changed);
    changed = open_changed(*state, "sd1", "EDMEulerScheduler", pndm, "");
    f.request.folder = changed;
    CHECK_FAILS(sampling_check(&f.request), SODA_ERR_UNSUPPORTED);
    check_message_has("_class_name: expected a scheduler whose noise has betas, found");
    assert_null(strstr(status_message(), "--scheduler"));
    folder_close(changed);
    close_family(&f);
}

static void pictures_have_three_channels(void **state)
{
    (void)state;
    family f;
    vae_decoder decoder;
    open_family(&f, "sd1", SODA_F32);
    f.folder->vae.out_channels = 4;
    CHECK_FAILS(
        vae_decoder_open(f.folder, f.request.backend, SODA_F32, f.request.h, f.request.w, &decoder),
        SODA_ERR_UNSUPPORTED);
    check_message_has("vae/config.json: out_channels: expected 3, found 4");
    close_family(&f);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sd1_draws_what_diffusers_draws),
        cmocka_unit_test(sd2_draws_what_diffusers_draws),
        cmocka_unit_test(sdxl_draws_what_diffusers_draws),
        cmocka_unit_test(pictures_do_not_depend_on_each_other),
        cmocka_unit_test(the_class_of_model_index_draws),
        cmocka_unit_test(plain_pipelines_correct_their_scheduler_and_xl_does_not),
        cmocka_unit_test(pictures_have_three_channels),
        cmocka_unit_test(a_scheduler_that_cannot_draw_names_those_that_can),
    };
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
