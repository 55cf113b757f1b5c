#include "tokenizer/special_tokens.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tokenizer/added_tokens.h"
#include "tokenizer/normalize.h"

/* The keys of both files, in the order in which transformers adds them. */
static const struct {
    const char *key, *missing; /* what CLIPTokenizer takes when the key is absent */
} named[] = {
    {"bos_token", "<|startoftext|>"},
    {"eos_token", "<|endoftext|>"},
    {"unk_token", "<|endoftext|>"},
    {"sep_token", NULL},
    {"pad_token", "<|endoftext|>"},
    {"cls_token", NULL},
    {"mask_token", NULL},
};
enum { BOS, EOS, UNK, SEP, PAD, CLS, MASK, NAMED };

/* What the files say: of the tokens above, then of the further special ones. */
typedef struct {
    soda_json source[NAMED]; /* the file of each */
    token_mention *token;
    size_t count;
} mentions;

/* Whether special_tokens_map.json counts. */
static bool is_mapped(const tokenizer_files *files)
{
    return !json_is_object(json_object_get(files->config.object, "added_tokens_decoder"));
}

/* From a string or an object; those of special_tokens_map.json are special. */
static soda_status read_mention(const soda_json *json, const char *key, const json_t *value,
                                bool from_map, token_mention *m)
{
    soda_json object = *json;
    *m = (token_mention){.content = json_string_value(value)};
    m->is_declared = from_map || m->content;
    if (m->content) return SODA_OK;
    if (!json_is_object(value))
        return soda_json_refuse(json, key, "a string or an object with \"content\"");
    object.within = key;
    object.object = value;
    return added_tokens_mention(&object, from_map, m);
}

static soda_status read_named(const tokenizer_files *files, int i, mentions *all)
{
    const char *key = named[i].key, *missing = named[i].missing;
    const bool from_map = is_mapped(files) && soda_json_has(&files->special, key);
    const soda_json *json = from_map ? &files->special : &files->config;
    all->source[i] = *json;
    all->token[i] = (token_mention){.content = missing};
    const json_t *value = json_object_get(json->object, key);
    if (!value || (!missing && json_is_null(value))) return SODA_OK;
    return read_mention(json, key, value, from_map, &all->token[i]);
}

/* A list of further special tokens: an array, an empty object, null or absent. */
typedef struct {
    const soda_json *json;
    const char *key;
} extra_list;

/* Where transformers finds it: it takes the older key if the newer one is absent or empty, and
 * special_tokens_map.json if tokenizer_config.json has neither. */
static extra_list find_extra(const tokenizer_files *files)
{
    static const char newer[] = "extra_special_tokens", older[] = "additional_special_tokens";
    const json_t *found = json_object_get(files->config.object, newer);
    if (json_array_size(found) + json_object_size(found) > 0)
        return (extra_list){&files->config, newer};
    if (soda_json_has(&files->config, older)) return (extra_list){&files->config, older};
    if (is_mapped(files) && (!found || json_is_object(found)))
        return (extra_list){&files->special, older};
    return (extra_list){&files->config, newer};
}

static soda_status read_extra(extra_list from, const json_t *list, bool from_map, mentions *all)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        token_mention *m = &all->token[all->count++];
        TRY(read_mention(from.json, from.key, json_array_get(list, i), from_map, m));
        /* transformers does not look into this list of the map for added_tokens.json */
        m->is_declared &= !from_map;
    }
    return SODA_OK;
}

/* all->token is for free() even after a failure. */
static soda_status read_mentions(const tokenizer_files *files, mentions *all)
{
    const extra_list from = find_extra(files);
    const json_t *list = json_object_get(from.json->object, from.key);
    const bool is_empty_object = json_is_object(list) && json_object_size(list) == 0;
    *all = (mentions){.count = NAMED};
    all->token = calloc(NAMED + json_array_size(list), sizeof *all->token);
    if (!all->token) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", files->config.file);
    if (list && !json_is_array(list) && !json_is_null(list) && !is_empty_object)
        return soda_json_refuse(from.json, from.key, "a list");
    for (int i = 0; i < NAMED; i++) TRY(read_named(files, i, all));
    return read_extra(from, list, from.json == &files->special, all);
}

static bool is_equal(const token_mention *a, const token_mention *b)
{
    return a->content && strcmp(a->content, b->content) == 0 && a->is_object == b->is_object &&
           a->is_normalized == b->is_normalized && a->is_special == b->is_special &&
           a->lstrip == b->lstrip && a->rstrip == b->rstrip;
}

/* Keys that would add further tokens, and that no program writes for CLIP. */
static soda_status refuse_more_tokens(const tokenizer_files *files)
{
    const soda_json *config = &files->config;
    const json_t *list = json_object_get(files->special.object, "extra_special_tokens");
    if (is_mapped(files) && json_array_size(list) + json_object_size(list) > 0)
        return soda_json_refuse(&files->special, "extra_special_tokens", "an empty list");
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)config->object, key, value)
    {
        const size_t bytes = strlen(key);
        bool known = !json_is_string(value) || bytes < 6 || strcmp(key + bytes - 6, "_token") != 0;
        for (int i = 0; i < NAMED; i++) known |= strcmp(key, named[i].key) == 0;
        if (!known)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: not a token of a CLIP tokenizer",
                        config->file, key);
    }
    return SODA_OK;
}

/* ---- the list ---- */

static special_token *find_content(special_tokens *list, const char *content)
{
    for (size_t i = 0; i < list->count; i++) {
        if (strcmp(list->token[i].content, content) == 0) return &list->token[i];
    }
    return NULL;
}

/* Adds a token or, if its content is there, replaces it. The list holds room for it. */
static soda_status add(special_tokens *list, const soda_json *vocab, const token_mention *m)
{
    special_token *token = find_content(list, m->content);
    if (!token) {
        const json_t *id = json_object_get(vocab->object, m->content);
        token = &list->token[list->count];
        *token = (special_token){.content = strdup(m->content)};
        if (!token->content) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", vocab->file);
        token->id = id ? (int32_t)json_integer_value(id) : list->id_count++;
        list->count++;
    }
    token->is_normalized = m->is_normalized;
    token->takes_space = m->lstrip || m->rstrip;
    return SODA_OK;
}

/* Adds those with ids of their own: one that is not in the vocabulary gets the next free id, which
 * must be its own. */
static soda_status add_added(special_tokens *list, const soda_json *vocab,
                             const added_tokens *added)
{
    for (size_t i = 0; i < added->count; i++) {
        const added_token *a = &added->token[i];
        TRY(add(list, vocab, &a->mention));
        const int32_t id = find_content(list, a->mention.content)->id;
        if (id != a->id)
            return FAIL(SODA_ERR_INPUT,
                        "%s: added token \"%s\": expected id %d, which follows from %s, found %lld",
                        a->file, a->mention.content, id, vocab->file, (long long)a->id);
    }
    return SODA_OK;
}

/* Adds the mentioned tokens behind those with ids of their own, which win. */
static soda_status add_mentioned(special_tokens *list, const soda_json *vocab, const mentions *all)
{
    const size_t added = list->count;
    for (size_t i = 0; i < all->count; i++) {
        const token_mention *m = &all->token[i];
        if (!m->content || !m->content[0]) continue;
        const special_token *there = find_content(list, m->content);
        bool is_known = there && there < list->token + added;
        for (size_t j = 0; j < i; j++) is_known |= is_equal(&all->token[j], m);
        if (is_known) continue;
        if (i < NAMED && !there && !json_object_get(vocab->object, m->content))
            return FAIL(SODA_ERR_INPUT, "%s: %s: expected a token in %s, found \"%s\"",
                        all->source[i].file, named[i].key, vocab->file, m->content);
        TRY(add(list, vocab, m));
    }
    return SODA_OK;
}

/* Puts the normalised form in the place of each content that is looked for in normalised text. */
static soda_status normalize_contents(special_tokens *list)
{
    for (size_t i = 0; i < list->count; i++) {
        special_token *token = &list->token[i];
        token->bytes = strlen(token->content);
        if (token->is_normalized) {
            char *normal;
            TRY(normalize_text(token->content, token->bytes, &normal, &token->bytes));
            free(token->content);
            token->content = normal;
        }
        list->starts[token->is_normalized][(uint8_t)token->content[0]] = true;
    }
    return SODA_OK;
}

/* White space beside a token makes no id, so that "lstrip" and "rstrip", which give it to the
 * token, change nothing. But a token that is looked for later, in normalised text, and begins or
 * ends with white space would not be found without it. */
static soda_status refuse_lost_space(const special_tokens *list, const char *file)
{
    bool takes_space = false;
    for (size_t i = 0; i < list->count; i++)
        takes_space |= list->token[i].takes_space && !list->token[i].is_normalized;
    for (size_t i = 0; i < list->count && takes_space; i++) {
        const special_token *t = &list->token[i];
        if (!t->is_normalized || t->bytes == 0) continue;
        if (t->content[0] == ' ' || t->content[t->bytes - 1] == ' ')
            return FAIL(
                SODA_ERR_UNSUPPORTED,
                "%s: added token \"%.*s\": expected no white space at its ends beside a token "
                "with lstrip or rstrip",
                file, (int)t->bytes, t->content);
    }
    return SODA_OK;
}

static soda_status fill_list(const tokenizer_files *files, const mentions *all,
                             const added_tokens *added, special_tokens *list)
{
    int32_t *const ids[NAMED] = {[BOS] = &list->bos, [EOS] = &list->eos, [PAD] = &list->pad};
    list->id_count = (int32_t)json_object_size(files->vocab.object);
    list->token = calloc(all->count + added->count, sizeof *list->token);
    if (!list->token) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", files->vocab.file);
    TRY(add_added(list, &files->vocab, added));
    TRY(add_mentioned(list, &files->vocab, all));
    for (int i = 0; i < NAMED; i++) {
        if (!ids[i]) continue;
        const special_token *token = find_content(list, all->token[i].content);
        if (!token) return soda_json_refuse(&all->source[i], named[i].key, "a token");
        *ids[i] = token->id;
    }
    list->unknown = all->token[UNK].content;
    TRY(normalize_contents(list));
    return refuse_lost_space(list, files->config.file);
}

static soda_status read_list(const tokenizer_files *files, special_tokens *list)
{
    soda_status s = SODA_OK;
    added_tokens added = {0};
    mentions all = {0};
    TRY_TO(done, refuse_more_tokens(files));
    TRY_TO(done, read_mentions(files, &all));
    TRY_TO(done, added_tokens_read(files, all.token, all.count, &added));
    TRY_TO(done, fill_list(files, &all, &added, list));
done:
    added_tokens_free(&added);
    free(all.token);
    return s;
}

soda_status special_tokens_read(const tokenizer_files *files, special_tokens *list)
{
    *list = (special_tokens){0};
    const soda_status s = read_list(files, list);
    if (s != SODA_OK) special_tokens_free(list);
    return s == SODA_OK ? s : status_pass(s, __FILE__, __LINE__);
}

const special_token *special_tokens_find(const special_tokens *list, bool is_normalized,
                                         const char *text, size_t bytes, size_t *at)
{
    for (*at = 0; *at < bytes; ++*at) {
        if (!list->starts[is_normalized][(uint8_t)text[*at]]) continue;
        const special_token *longest = NULL;
        for (size_t i = 0; i < list->count; i++) {
            const special_token *t = &list->token[i];
            if (t->is_normalized == is_normalized && t->bytes <= bytes - *at &&
                memcmp(t->content, text + *at, t->bytes) == 0 &&
                (!longest || t->bytes > longest->bytes))
                longest = t;
        }
        if (longest) return longest;
    }
    return NULL;
}

void special_tokens_free(special_tokens *list)
{
    for (size_t i = 0; i < list->count; i++) free(list->token[i].content);
    free(list->token);
    *list = (special_tokens){0};
}
