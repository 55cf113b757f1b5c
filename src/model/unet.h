/* unet.h: UNet2DConditionModel as a graph. */
#pragma once

#include "model/builder.h"
#include "model/config.h"

/* Texts that the graph itself encodes, fp32; pooled is for text_time only. */
typedef struct {
    soda_id hidden, pooled; /* encoder_hidden_states and text_embeds, shaped as below */
} unet_text;

typedef struct {
    int64_t batch, h, w;   /* latent size; need not be a multiple of anything */
    int64_t tokens;        /* length of encoder_hidden_states */
    const unet_text *text; /* NULL: the texts are inputs */
} unet_size;

/* Appends the network to b->graph.
 *
 * inputs   sample fp32 [N,h,w,in_channels], timestep fp32 [N] (may be fractional),
 *          encoder_hidden_states fp32 [N,T,context];
 *          text_time only: text_embeds fp32 [N,text_embeds], time_ids fp32 [N,6] (original h, w;
 *          crop top, left; target h, w: pixels)
 * output   prediction fp32 [N,h,w,out_channels], the value that is returned (an fp64 graph: fp64)
 *
 * The time embedding is computed in fp32 and cast, as diffusers does. */
soda_id unet_build(soda_builder *b, const soda_unet_config *config, unet_size size);
