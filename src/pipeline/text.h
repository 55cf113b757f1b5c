/* text.h: prompts become token ids, and these what the U-Net reads: hidden states, and for SDXL a
 * pooled vector. */
#pragma once

#include "backend/backend.h"
#include "interop/merged.h"
#include "model/folder.h"

typedef struct {
    int64_t count, tokens, width;
    int64_t pooled_width; /* 0 unless XL */
    float *hidden;        /* [count,tokens,width] */
    float *pooled;        /* [count,pooled_width] */
} soda_text;

/* Texts as token ids, BOS and padding included. */
typedef struct {
    int64_t count, tokens;
    int32_t *ids[2]; /* [count,tokens] for each encoder; NULL where the folder has none */
    bool *absent;    /* [count] no text: its ids are 0 and its states will be */
    bool *is_cut;    /* [count] the text has more tokens: the rest is not read */
} soda_tokens;

/* Reads `count` texts with the folder's tokenizers; texts[i] == NULL is an absent one. */
soda_status text_tokenize(const soda_folder *folder, const char *const *texts, int64_t count,
                          soda_tokens *tokens);

/* One warning: how many of the texts, which are called `noun` ("captions"), are cut, and the last
 * words of `text` that are read; `place` says where `text`, one of those that are cut, is from. */
soda_status text_warn_cut(const soda_folder *folder, const soda_tokens *tokens, const char *noun,
                          const char *text, const char *place);
void text_tokens_free(soda_tokens *tokens);

/* States of all texts; each encoder is loaded (with `adapters` folded in; NULL: none), run and
 * freed in turn. SDXL: the penultimate states of both encoders side by side, pooled from the
 * second; else the last state after the final norm.
 */
soda_status text_states(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                        const adapter_uses *adapters, const soda_tokens *tokens, soda_text *text);

/* Both in one, with a warning about prompts that are cut: texts[i] == NULL gives zeros (SDXL's way
 * to leave the negative prompt empty). */
soda_status text_encode(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                        const adapter_uses *adapters, const char *const *texts, int count,
                        soda_text *text);
void text_free(soda_text *text);
