/* The texts of a data set: which there are, their tokens, and their states. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "data/dataset_parts.h"

enum {
    TEXT_VERSION = 1, /* raise it when the same ids would give other states */
    AT_ONCE = 512,    /* texts for which the encoders are loaded once: bounds the memory */
};

static int by_bytes(const void *a, const void *b)
{
    return strcmp(*(const char *const *)a, *(const char *const *)b);
}

static int64_t find_text(const soda_dataset *d, const char *text)
{
    const char **found =
        bsearch(&text, d->texts, (size_t)d->about.texts, sizeof *d->texts, by_bytes);
    return found - d->texts;
}

/* Says which captions are too long, by the first picture that has one of them. */
static soda_status warn_cut(const dataset_opening *o)
{
    const soda_dataset *d = o->dataset;
    char place[512];
    for (int64_t i = 0; i < d->about.count; i++) {
        const image_item *item = &d->folder->list.items[i];
        const bool own = d->tokens.is_cut[d->images[i].text];
        if (!own && !d->tokens.is_cut[d->images[i].class_text]) continue;
        if (item->line)
            snprintf(place, sizeof place, "%s, line %lld, %s", item->caption_file,
                     (long long)item->line, item->file);
        else
            snprintf(place, sizeof place, "%s", item->caption_file);
        return text_warn_cut(o->model, &d->tokens, "captions",
                             d->texts[own ? d->images[i].text : d->images[i].class_text], place);
    }
    return SODA_OK;
}

soda_status dataset_list_texts(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    const image_item *items = d->folder->list.items;
    size_t n = 0;
    d->texts = malloc((2 * (size_t)d->about.count + 1) * sizeof *d->texts);
    if (!d->texts) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of captions");
    for (int64_t i = 0; i < d->about.count; i++) {
        d->texts[n++] = items[i].text;
        if (items[i].class_text) d->texts[n++] = items[i].class_text;
    }
    if (d->caption_dropout > 0) d->texts[n++] = "";
    qsort(d->texts, n, sizeof *d->texts, by_bytes);
    for (size_t i = 0; i < n; i++)
        if (i == 0 || strcmp(d->texts[d->about.texts - 1], d->texts[i]) != 0)
            d->texts[d->about.texts++] = d->texts[i];
    for (int64_t i = 0; i < d->about.count; i++) {
        dataset_image *image = &d->images[i];
        image->text = image->class_text = find_text(d, items[i].text);
        if (items[i].class_text) image->class_text = find_text(d, items[i].class_text);
    }
    d->about.empty_text = d->caption_dropout > 0 ? find_text(d, "") : -1;
    TRY(text_tokenize(o->model, d->texts, d->about.texts, &d->tokens));
    TRY(warn_cut(o));
    d->about.tokens = d->tokens.tokens;
    for (int i = 0; i < o->model->texts; i++) d->about.width += o->model->text[i].width;
    if (o->model->xl) d->about.pooled_width = o->model->text[1].projection;
    return SODA_OK;
}

/* States depend on the ids alone: texts with equal ids share them. */
static soda_status find_key(const dataset_opening *o, int64_t text, char key[SHA256_HEX])
{
    const soda_tokens *tokens = &o->dataset->tokens;
    char line[256];
    uint8_t digest[SHA256_BYTES];
    soda_sha256 *hash;
    snprintf(line, sizeof line, "soda text %d %s encoders %s %s tokens %lld\n", TEXT_VERSION,
             dtype_name(o->dtype), o->text_sha256[0], o->text_sha256[1], (long long)tokens->tokens);
    TRY(sha256_create(&hash));
    soda_status s;
    TRY_TO(done, sha256_update(hash, line, strlen(line)));
    for (int i = 0; i < o->model->texts; i++)
        TRY_TO(done, sha256_update(hash, tokens->ids[i] + text * tokens->tokens,
                                   (size_t)tokens->tokens * sizeof(int32_t)));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    TRY(s);
    sha256_hex(digest, key);
    return SODA_OK;
}

soda_status dataset_text_keys(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    d->states.name[0] = "hidden";
    d->states.name[1] = "pooled";
    d->states.arrays = d->about.pooled_width ? 2 : 1;
    for (int64_t i = 0; i < d->about.texts; i++) {
        shared_arrays_item *item = &d->states.items[i];
        TRY(find_key(o, i, item->key));
        item->shape[0] = SHAPE(d->about.tokens, d->about.width);
        item->shape[1] = SHAPE(d->about.pooled_width);
    }
    return shared_arrays_link(&d->states);
}

static bool all_finite(const float *x, int64_t n)
{
    for (int64_t i = 0; i < n; i++)
        if (!isfinite(x[i])) return false;
    return true;
}

static soda_status keep(dataset_opening *o, const soda_text *text, int64_t i, int64_t index)
{
    soda_dataset *d = o->dataset;
    const int64_t states = text->tokens * text->width;
    const float *const data[2] = {text->hidden + i * states, text->pooled + i * text->pooled_width};
    if (!all_finite(data[0], states) || !all_finite(data[1], text->pooled_width))
        return FAIL(SODA_ERR_NUMERIC,
                    "%s: the text encoder output for this caption is not finite (try fp32): %s",
                    o->options->path, d->texts[index]);
    return shared_arrays_put(&d->states, index, data, true);
}

/* Encodes the `count` texts `indices`. */
static soda_status encode(dataset_opening *o, const int64_t *indices, int64_t count)
{
    const soda_tokens *all = &o->dataset->tokens;
    soda_tokens some = {.count = count, .tokens = all->tokens};
    soda_text text = {0};
    soda_status s = SODA_OK;
    some.absent = calloc((size_t)count, sizeof *some.absent);
    bool whole = some.absent != NULL;
    for (int e = 0; e < 2; e++) {
        if (!all->ids[e]) continue;
        some.ids[e] = malloc((size_t)(count * all->tokens) * sizeof(int32_t));
        whole = whole && some.ids[e];
        for (int64_t i = 0; some.ids[e] && i < count; i++)
            memcpy(some.ids[e] + i * all->tokens, all->ids[e] + indices[i] * all->tokens,
                   (size_t)all->tokens * sizeof(int32_t));
    }
    if (!whole) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for %lld captions", (long long)count);
        goto done;
    }
    TRY_TO(done, text_states(o->model, o->backend, o->dtype, NULL, &some, &text));
    for (int64_t i = 0; i < count; i++) TRY_TO(done, keep(o, &text, i, indices[i]));
done:
    text_free(&text);
    text_tokens_free(&some);
    return s;
}

soda_status dataset_encode_texts(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    int64_t *missing = malloc((size_t)d->about.texts * sizeof *missing), count = 0;
    soda_status s = SODA_OK;
    if (!missing) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of captions");
    for (int64_t i = o->comm->rank; i < d->about.texts; i += o->comm->size)
        if (shared_arrays_absent(&d->states, i)) missing[count++] = i;
    if (count) log_info("encoding %lld captions", (long long)count);
    for (int64_t at = 0; at < count; at += AT_ONCE)
        TRY_TO(done, encode(o, missing + at, count - at < AT_ONCE ? count - at : AT_ONCE));
done:
    free(missing);
    return s;
}
