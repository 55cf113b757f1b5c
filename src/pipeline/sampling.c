#include "pipeline/sampling.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/noise.h"
#include "diffusion/schedule.h"

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

/* The failure of a scheduler that cannot do what its file asks for, with the names of those that
 * can. */
static soda_status name_others(const sampling_request *r, const soda_json *config)
{
    status_slot failed = {0};
    char able[128] = "";
    status_keep(&failed, SODA_ERR_UNSUPPORTED);
    for (int i = 0; i < SAMPLERS; i++) {
        soda_sampler *sampler;
        const size_t used = strlen(able);
        if (sampler_create(config, sampler_name(i), r->steps, sampling_count(r), &sampler))
            continue;
        sampler_destroy(sampler);
        snprintf(able + used, sizeof able - used, "%s%s", used ? ", " : "", sampler_name(i));
    }
    TRY(!*able ? status_take(&failed) : SODA_OK);
    return FAIL(SODA_ERR_UNSUPPORTED,
                "%s; %s can draw with this model: choose one with --scheduler (in a run: "
                "sample.scheduler)",
                failed.message, able);
}

/* A folder's scheduler is the class that model_index.json names, with the values of
 * scheduler_config.json: what DiffusionPipeline.from_pretrained makes of the two, whatever class
 * the second file says. */
static soda_status open_sampler(const sampling_request *r, soda_sampler **sampler)
{
    char path[4096];
    soda_json config;
    soda_status s = SODA_OK;
    TRY(folder_path(r->folder, "scheduler", "scheduler_config.json", path, sizeof path));
    TRY(soda_json_load(path, &config));
    TRY_TO(done, soda_json_put(&config, "_class_name", json_string(r->folder->scheduler)));
    TRY_TO(done, schedule_check_class(&config));
    if (!r->scheduler && !sampler_knows_class(r->folder->scheduler)) {
        s = FAIL(SODA_ERR_UNSUPPORTED,
                 "%s/model_index.json: scheduler: soda has no sampler for %s: choose one of %s "
                 "with --scheduler (in a run: sample.scheduler)",
                 r->folder->root, r->folder->scheduler, sampler_names());
        goto done;
    }
    if (!r->folder->xl) TRY_TO(done, sampler_pipeline_config(&config, r->scheduler));
    s = sampler_create(&config, r->scheduler, r->steps, sampling_count(r), sampler);
    if (s == SODA_ERR_UNSUPPORTED) s = name_others(r, &config);
done:
    soda_json_free(&config);
    return s;
}

soda_status sampling_check(const sampling_request *request)
{
    soda_sampler *sampler;
    TRY(open_sampler(request, &sampler));
    sampler_destroy(sampler);
    return SODA_OK;
}

int sampling_calls(const soda_sampling *sampling) { return sampler_calls(sampling->sampler); }

static soda_status open_denoiser(const sampling_request *r, const soda_text *text, soda_denoiser *d)
{
    const denoiser_size size = {r->h, r->w, text, is_guided(r)};
    if (r->unet) return denoiser_open_shared(r->unet, &size, d);
    return denoiser_open(r->folder, r->backend, r->dtype, &r->adapters, &size, d);
}

soda_status sampling_open(const sampling_request *r, soda_sampling *sampling)
{
    soda_status s = SODA_OK;
    *sampling = (soda_sampling){.request = r};
    TRY_TO(failed, open_sampler(r, &sampling->sampler));
    TRY_TO(failed, encode_texts(r, &sampling->text));
    TRY_TO(failed, open_denoiser(r, &sampling->text, &sampling->denoiser));
    sampling->scratch = malloc(2 * (size_t)sampling_count(r) * sizeof(float));
    if (sampling->scratch) return SODA_OK;
    s = FAIL(SODA_ERR_MEMORY, "out of memory");
failed:
    sampling_close(sampling);
    return s;
}

void sampling_close(soda_sampling *sampling)
{
    denoiser_close(&sampling->denoiser);
    sampler_destroy(sampling->sampler);
    text_free(&sampling->text);
    free(sampling->scratch);
    *sampling = (soda_sampling){0};
}

/* `sample` holds unit normals on entry and the final latents on return. */
static soda_status denoise(soda_sampling *g, float *sample, log_progress *progress, int64_t *calls)
{
    const sampling_request *r = g->request;
    const int64_t n = sampling_count(r);
    float *input = g->scratch, *prediction = g->scratch + n;
    const float sigma = sampler_init_sigma(g->sampler);
    for (int64_t k = 0; k < n; k++) sample[k] *= sigma;
    for (int i = 0; i < sampler_calls(g->sampler); i++) {
        if (r->stops && r->stops(r->stops_context)) return SODA_STOPPED;
        const float scale = sampler_input_scale(g->sampler, i);
        for (int64_t k = 0; k < n; k++) input[k] = scale * sample[k];
        TRY(denoiser_predict(&g->denoiser, input, (double)sampler_timestep(g->sampler, i),
                             r->guidance, prediction));
        for (int64_t k = 0; k < n; k++)
            if (!isfinite(prediction[k]))
                return FAIL(SODA_ERR_NUMERIC, "the output of the U-Net is not finite at call %d",
                            i + 1);
        TRY(sampler_step(g->sampler, i, prediction, sample));
        if (progress) log_progress_update(progress, ++*calls, NULL);
    }
    return SODA_OK;
}

soda_status sampling_draw(soda_sampling *g, int picture, float *latents, log_progress *progress,
                          int64_t *calls)
{
    const sampling_request *r = g->request;
    const int64_t n = sampling_count(r);
    if (r->initial)
        memcpy(latents, r->initial + picture * n, (size_t)n * sizeof *latents);
    else
        noise_latents(r->seed, (uint64_t)picture, latents, n);
    TRY(denoiser_condition(&g->denoiser, r->folder, &g->text, picture / r->per_prompt,
                           r->prompt_count));
    return denoise(g, latents, progress, calls);
}

soda_status sampling_run(const sampling_request *r, float *latents)
{
    const int pictures = r->prompt_count * r->per_prompt;
    soda_sampling sampling;
    log_progress progress;
    int64_t calls = 0;
    soda_status s = SODA_OK;
    TRY(sampling_open(r, &sampling));
    log_progress_start(&progress, "sampling", 0, (int64_t)pictures * sampling_calls(&sampling));
    for (int p = 0; p < pictures && s == SODA_OK; p++)
        s = sampling_draw(&sampling, p, latents + p * sampling_count(r), &progress, &calls);
    sampling_close(&sampling);
    return s;
}
