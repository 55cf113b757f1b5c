/* replay.h: training steps on tensors from outside: does soda do what another program did?
 *
 * batch   sample f32 [B,C,h,w], timestep i64, i32 or f32 [B], encoder_hidden_states f32
 * [B,T,width], target f32 [B,C,h,w]; optional weight f32 [B]; SDXL: text_embeds f32 [B,D], time_ids
 * f32 [B,6]; any adapter tensor by its name, in place of its initial value out     prediction f32
 * [B,C,h,w] and grad.NAME of the first step, before clipping; loss f32 [K], loss[i] before update
 * i; updated.NAME after K steps on the same batch
 *
 * The model folder needs its unet/ only. */
#pragma once

#include "backend/backend.h"
#include "config/run_config.h"

/* Runs config->train on `batch_path` for `steps` steps and writes `out_path`. SODA_ERR_INPUT names
 * file and tensor. */
soda_status replay_run(const run_config *config, const soda_backend *backend,
                       const char *batch_path, int64_t steps, const char *out_path);
