/* clip.h: CLIPTextModel and CLIPTextModelWithProjection as a graph. */
#pragma once

#include "exec/exec.h"
#include "model/builder.h"
#include "model/config.h"

/* Outputs that a caller may ask for; outputs that are not asked for are not built. */
typedef enum {
    CLIP_LAST = 1, /* last_hidden_state: after the final norm */
    CLIP_PENULTIMATE =
        2,           /* penultimate: hidden_states[-2], before the last layer, not normalised */
    CLIP_POOLED = 4, /* pooled: the last hidden state at the end of the text */
    CLIP_TEXT_EMBEDS = 8, /* text_embeds: pooled through text_projection */
} clip_outputs;

/* inputs   input_ids, position_ids int32 [B,T], T at most config->positions;
 *          pooled_rows int32 [B], with CLIP_POOLED or CLIP_TEXT_EMBEDS: see clip_write
 * outputs  fp32: last_hidden_state, penultimate [B,T,width], pooled [B,width],
 *          text_embeds [B,projection]
 *
 * Weight names may start with "text_model." or not, as transformers before and from version 5. */
soda_status clip_build(soda_builder *b, const soda_clip_config *config, int64_t batch,
                       int64_t tokens, unsigned outputs);

/* The row of [B*T,width] at which each text ends, as transformers pools it: eos_token 2 in the
 * configuration means the first largest id, else the first id that equals it (row 0 of the text if
 * there is none). ids [B,T], rows [B]. */
void clip_pooled_rows(const soda_clip_config *config, const int32_t *ids, int64_t batch,
                      int64_t tokens, int32_t *rows);

/* Writes all inputs of `graph`, which clip_build made in `scope` (NULL: none), for the texts ids
 * [B,T]. SODA_ERR_INPUT if an id is outside the vocabulary. */
soda_status clip_write(soda_exec *exec, const soda_graph *graph, const char *scope,
                       const soda_clip_config *config, const int32_t *ids, int64_t batch,
                       int64_t tokens);
