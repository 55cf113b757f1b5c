/* tags.h: values of one tag each, and a kernel that makes a tag of those of its inputs. */
#pragma once

#include "support/check.h"

#include <string.h>

#include "backend/backend.h"

static inline uint32_t mix(uint32_t a, uint32_t b)
{
    return (a ^ b) * 0x9e3779b1u + (a << 7) + 0x7f4a7c15u;
}

static inline uint32_t read_tag(const soda_tensor *t)
{
    const uint32_t *word = t->data;
    const int64_t n = (int64_t)tensor_bytes(t) / 4;
    for (int64_t i = 1; i < n; i++) assert_int_equal(word[i], word[0]);
    return word[0];
}

static inline void fill_tag(const soda_tensor *t, uint32_t tag)
{
    uint32_t *word = t->data;
    for (int64_t i = 0; i < (int64_t)tensor_bytes(t) / 4; i++) word[i] = tag;
}

/* Fills every output with one tag, a hash of its number and of the inputs' tags; each input must
 * hold a single one. */
static inline soda_status tags_run(const soda_call *call)
{
    uint32_t tag = 1;
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i].data) tag = mix(tag, read_tag(&call->in[i]));
    memset(call->scratch, 0xab, call->scratch_bytes);
    for (int i = 0; i < call->outputs; i++) fill_tag(&call->out[i], mix(tag, (uint32_t)i));
    return SODA_OK;
}
