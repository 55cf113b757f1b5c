/* sampling.h: prompts become latents: text encoders, then the U-Net under a sampler. */
#pragma once

#include "backend/backend.h"
#include "core/log.h"
#include "model/folder.h"
#include "train/adapted.h"

typedef struct {
    const soda_folder *folder;
    const soda_backend *backend;
    soda_dtype dtype;
    adapter_uses adapters; /* of the U-Net and the text encoders; checked against the folder */
    const char *const *prompts;
    int prompt_count, per_prompt;
    const char *negative;  /* NULL: none given */
    const char *scheduler; /* a name of diffusion/sampler.h, or NULL: what the folder says */
    int steps;
    double guidance; /* 1 or less: no unconditional half */
    uint64_t seed;
    int64_t h, w;         /* of the latents */
    const float *initial; /* [pictures, channels, h, w] unit normal, instead of the seed; or NULL */
} sampling_request;

/* Latents of one picture, [channels,h,w]. */
int64_t sampling_count(const sampling_request *request);

/* latents [prompt_count per_prompt, channels, h, w], prompt by prompt, as the VAE wants them before
 * the division by scaling_factor. Text encoders and U-Net are loaded and freed in turn. Shows
 * progress. SODA_ERR_NUMERIC if a prediction is not finite. */
soda_status sampling_run(const sampling_request *request, float *latents);
