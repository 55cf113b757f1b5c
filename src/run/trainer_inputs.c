/* trainer_inputs.c: what one run of a network is given. */
#include <stdlib.h>
#include <string.h>

#include "model/clip.h"
#include "run/trainer_inputs.h"

soda_status trainer_inputs_create(const dataset_about *about, int64_t batch, int64_t h, int64_t w,
                                  trainer_inputs *in)
{
    const int64_t pixels = h * w * about->channels, text = about->tokens * about->width;
    const int64_t each = 2 * pixels + 2 + text + about->pooled_width + UNET_TIME_IDS;
    *in = (trainer_inputs){.batch = batch, .h = h, .w = w};
    in->memory = malloc((size_t)(batch * each) * sizeof(float));
    in->ids = malloc((size_t)(batch * about->tokens) * sizeof(int32_t));
    if (!in->memory || !in->ids) {
        free(in->memory);
        free(in->ids);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    float *at = in->memory;
    float **const arrays[] = {&in->sample, &in->target, &in->timestep, &in->weight,
                              &in->hidden, &in->pooled, &in->time_ids};
    const int64_t counts[] = {pixels, pixels, 1, 1, text, about->pooled_width, UNET_TIME_IDS};
    for (int i = 0; i < 7; i++) {
        *arrays[i] = at;
        at += batch * counts[i];
    }
    return SODA_OK;
}

void trainer_inputs_free(trainer_inputs *in)
{
    free(in->memory);
    free(in->ids);
}

soda_status trainer_write_texts(const soda_trainer *t, const soda_dataset *set, const int64_t *text,
                                trainer_inputs *in, const soda_step *step)
{
    static const char *const scopes[2] = {"text_encoder.", "text_encoder_2."};
    const dataset_about *about = dataset_describe(set);
    const size_t hidden = (size_t)(about->tokens * about->width),
                 pooled = (size_t)about->pooled_width;
    soda_exec *exec = step->net.exec;
    if (!t->model.text_encoder) {
        for (int64_t b = 0; b < in->batch; b++) {
            const dataset_text states = dataset_text_at(set, text[b]);
            memcpy(in->hidden + (size_t)b * hidden, states.hidden, hidden * sizeof(float));
            if (pooled)
                memcpy(in->pooled + (size_t)b * pooled, states.pooled, pooled * sizeof(float));
        }
        TRY(exec_write_f32(exec, "encoder_hidden_states", in->hidden, in->batch * (int64_t)hidden));
        return pooled ? exec_write_f32(exec, "text_embeds", in->pooled, in->batch * (int64_t)pooled)
                      : SODA_OK;
    }
    for (int e = 0; e < 2 && e < t->folder->texts; e++) {
        for (int64_t b = 0; b < in->batch; b++)
            memcpy(in->ids + b * about->tokens, dataset_text_at(set, text[b]).ids[e],
                   (size_t)about->tokens * sizeof(int32_t));
        TRY(clip_write(exec, step->net.graph, scopes[e], &t->folder->text[e], in->ids, in->batch,
                       about->tokens));
    }
    return SODA_OK;
}

soda_status trainer_write_pictures(const soda_trainer *t, const trainer_inputs *in,
                                   const soda_step *step)
{
    const int64_t count = in->batch * in->h * in->w * t->folder->unet.in_channels;
    soda_exec *exec = step->net.exec;
    TRY(exec_write_f32(exec, "sample", in->sample, count));
    TRY(exec_write_f32(exec, "target", in->target, count));
    TRY(exec_write_f32(exec, "timestep", in->timestep, in->batch));
    TRY(exec_write_f32(exec, "weight", in->weight, in->batch));
    if (!t->folder->xl) return SODA_OK;
    return exec_write_f32(exec, "time_ids", in->time_ids, in->batch * UNET_TIME_IDS);
}
