/* text.h: prompts become what the U-Net reads: hidden states, and for SDXL a pooled vector. */
#pragma once

#include "backend/backend.h"
#include "model/folder.h"
#include "train/adapted.h"

typedef struct {
    int64_t count, tokens, width;
    int64_t pooled_width; /* 0 unless XL */
    float *hidden;        /* [count,tokens,width] */
    float *pooled;        /* [count,pooled_width] */
} soda_text;

/* Encodes `count` texts with the folder's tokenizers and text encoders, each of which is loaded
 * (with `adapters` folded in; NULL: none), run and freed in turn. texts[i] == NULL gives zeros
 * (SDXL's way to leave the negative prompt empty). SDXL: the penultimate states of both encoders
 * side by side, pooled from the second; else the last state after the final norm. Texts that are
 * too long are cut, with a warning. */
soda_status text_encode(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                        const adapter_uses *adapters, const char *const *texts, int count,
                        soda_text *text);
void text_free(soda_text *text);
