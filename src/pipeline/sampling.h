/* sampling.h: prompts become latents: text encoders, then the U-Net under a sampler. */
#pragma once

#include "backend/backend.h"
#include "core/log.h"
#include "diffusion/sampler.h"
#include "interop/merged.h"
#include "model/folder.h"
#include "pipeline/denoiser.h"

typedef struct {
    const soda_folder *folder;
    const soda_backend *backend;
    soda_dtype dtype;
    adapter_uses adapters; /* of the U-Net and the text encoders; checked against the folder */
    const char *const *prompts;
    int prompt_count, per_prompt;
    const char *negative;  /* NULL: none given */
    const char *scheduler; /* a name of diffusion/sampler.h, or NULL: model_index.json's */
    int steps;
    double guidance; /* 1 or less: no unconditional half */
    uint64_t seed;
    int64_t h, w;         /* of the latents */
    const float *initial; /* [pictures, channels, h, w] unit normal, instead of the seed; or NULL */
    const denoiser_unet *unet; /* in place of the folder's; NULL: the folder's */
    /* Asked before each call of the U-Net whether to give up with SODA_STOPPED; NULL: never. */
    bool (*stops)(const void *context);
    const void *stops_context;
} sampling_request;

/* What stays open from one picture to the next: encoded texts, sampler and U-Net. */
typedef struct {
    const sampling_request *request;
    soda_text text;
    soda_sampler *sampler;
    soda_denoiser denoiser;
    float *scratch; /* two pictures */
} soda_sampling;

/* Latents of one picture, [channels,h,w]. */
int64_t sampling_count(const sampling_request *request);

/* Whether the folder's scheduler, or the one asked for, can take this many steps: what
 * sampling_open would say before it loads anything. */
soda_status sampling_check(const sampling_request *request);

/* Text encoders are loaded and freed in turn, then the U-Net is opened. `request` must outlive it.
 */
soda_status sampling_open(const sampling_request *request, soda_sampling *sampling);
void sampling_close(soda_sampling *sampling); /* accepts a zeroed struct */

/* How often the U-Net is asked for one picture. */
int sampling_calls(const soda_sampling *sampling);

/* latents [channels,h,w] of picture number `picture` (prompt by prompt), as the VAE wants them
 * before the division by scaling_factor. progress, if not NULL, goes on from *calls, which counts
 * up. SODA_ERR_NUMERIC if a prediction is not finite. */
soda_status sampling_draw(soda_sampling *sampling, int picture, float *latents,
                          log_progress *progress, int64_t *calls);

/* All pictures: latents [prompt_count per_prompt, channels, h, w]. Shows progress. */
soda_status sampling_run(const sampling_request *request, float *latents);
