/* denoiser.h: the U-Net with classifier-free guidance: what a sampler calls at each timestep. */
#pragma once

#include "backend/backend.h"
#include "model/folder.h"
#include "model/unet.h"
#include "pipeline/network.h"
#include "pipeline/text.h"

typedef struct {
    soda_network net;
    int64_t channels, h, w, tokens, width, pooled_width;
    bool guided;        /* two pictures at once: unconditional, conditional */
    float *both, *nhwc; /* scratch of [2,channels,h,w] */
} soda_denoiser;

/* What it is opened for: latents [channels,h,w] and texts of `text`'s size. With `guided` false
 * there is no unconditional half. */
typedef struct {
    int64_t h, w;
    const soda_text *text;
    bool guided;
} denoiser_size;

/* Loads the U-Net, with `adapters` (NULL: none) folded in. */
soda_status denoiser_open(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                          const adapter_uses *adapters, const denoiser_size *size,
                          soda_denoiser *denoiser);

/* A U-Net whose packed weights are open elsewhere and shared: a run's. */
typedef struct {
    const soda_folder *folder;
    const soda_backend *backend;
    soda_dtype dtype;
    soda_residency *residency;
    /* Appends it to the graph, with inputs and output as unet_build names them. */
    void (*append)(const void *context, soda_graph *graph, unet_size size);
    /* Memory of the leaves that append added besides the inputs of unet_build; *list is freed. */
    soda_status (*bind)(const void *context, const soda_graph *graph, exec_binding **list,
                        int *count);
    const void *context;
} denoiser_unet;

/* The same with such a U-Net; its parts must outlive the denoiser. */
soda_status denoiser_open_shared(const denoiser_unet *unet, const denoiser_size *size,
                                 soda_denoiser *denoiser);

/* Sets what the next predictions are conditioned on: texts number `positive` and `negative` (the
 * latter only if guided). SDXL's sizes are those of the picture, crop 0,0. */
soda_status denoiser_condition(soda_denoiser *denoiser, const soda_folder *folder,
                               const soda_text *text, int positive, int negative);

/* sample [channels,h,w], already scaled for the model, at `timestep` -> prediction [channels,h,w]:
 * unconditional + guidance (conditional - unconditional). */
soda_status denoiser_predict(soda_denoiser *denoiser, const float *sample, double timestep,
                             double guidance, float *prediction);

void denoiser_close(soda_denoiser *denoiser);
