#include "train/sampling.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/noise.h"
#include "diffusion/sampler.h"
#include "train/denoiser.h"
#include "train/text.h"

int64_t sampling_count(const sampling_request *request)
{
    return request->folder->unet.in_channels * request->h * request->w;
}

static bool is_guided(const sampling_request *r) { return r->guidance > 1; }

/* Texts 0 .. prompts-1, then the negative one. SDXL without a negative prompt may want zeros. */
static soda_status encode_texts(const sampling_request *r, soda_text *text)
{
    const char **texts = calloc((size_t)r->prompt_count + 1, sizeof *texts);
    if (!texts) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < r->prompt_count; i++) texts[i] = r->prompts[i];
    texts[r->prompt_count] = r->negative ? r->negative : r->folder->zero_empty_negative ? NULL : "";
    const int count = r->prompt_count + (is_guided(r) ? 1 : 0);
    const soda_status s =
        text_encode(r->folder, r->backend, r->dtype, &r->adapters, texts, count, text);
    free(texts);
    return s;
}

static soda_status open_sampler(const sampling_request *r, soda_sampler **sampler)
{
    char path[4096];
    soda_json config;
    TRY(folder_path(r->folder, "scheduler", "scheduler_config.json", path, sizeof path));
    TRY(soda_json_load(path, &config));
    const soda_status s =
        sampler_create(&config, r->scheduler, r->steps, sampling_count(r), sampler);
    soda_json_free(&config);
    return s;
}

/* One picture: `sample` holds unit normals on entry and the final latents on return. */
static soda_status sample_one(const sampling_request *r, soda_sampler *sampler, soda_denoiser *d,
                              float *sample, float *scratch, log_progress *progress, int64_t *calls)
{
    const int64_t n = sampling_count(r);
    float *input = scratch, *prediction = scratch + n;
    const float sigma = sampler_init_sigma(sampler);
    for (int64_t k = 0; k < n; k++) sample[k] *= sigma;
    for (int i = 0; i < sampler_calls(sampler); i++) {
        const float scale = sampler_input_scale(sampler, i);
        for (int64_t k = 0; k < n; k++) input[k] = scale * sample[k];
        TRY(denoiser_predict(d, input, (double)sampler_timestep(sampler, i), r->guidance,
                             prediction));
        for (int64_t k = 0; k < n; k++)
            if (!isfinite(prediction[k]))
                return FAIL(SODA_ERR_NUMERIC, "the prediction at call %d is not finite", i + 1);
        TRY(sampler_step(sampler, i, prediction, sample));
        log_progress_update(progress, ++*calls, NULL);
    }
    return SODA_OK;
}

static soda_status sample_all(const sampling_request *r, const soda_text *text,
                              soda_sampler *sampler, float *latents)
{
    const int64_t n = sampling_count(r);
    const int pictures = r->prompt_count * r->per_prompt;
    soda_denoiser d = {0};
    log_progress progress;
    int64_t calls = 0;
    soda_status s = SODA_OK;
    float *scratch = malloc(2 * (size_t)n * sizeof *scratch);
    if (!scratch) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY_TO(done, denoiser_open(r->folder, r->backend, r->dtype, &r->adapters, r->h, r->w, text,
                               is_guided(r), &d));
    log_progress_start(&progress, "sampling", (int64_t)pictures * sampler_calls(sampler));
    for (int p = 0; p < pictures; p++) {
        float *sample = latents + p * n;
        if (r->initial)
            memcpy(sample, r->initial + p * n, (size_t)n * sizeof *sample);
        else
            noise_latents(r->seed, (uint64_t)p, sample, n);
        TRY_TO(done, denoiser_condition(&d, r->folder, text, p / r->per_prompt, r->prompt_count));
        TRY_TO(done, sample_one(r, sampler, &d, sample, scratch, &progress, &calls));
    }
done:
    denoiser_close(&d);
    free(scratch);
    return s;
}

soda_status sampling_run(const sampling_request *request, float *latents)
{
    soda_text text = {0};
    soda_sampler *sampler = NULL;
    soda_status s = SODA_OK;
    TRY_TO(done, open_sampler(request, &sampler));
    TRY_TO(done, encode_texts(request, &text));
    TRY_TO(done, sample_all(request, &text, sampler, latents));
done:
    sampler_destroy(sampler);
    text_free(&text);
    return s;
}
