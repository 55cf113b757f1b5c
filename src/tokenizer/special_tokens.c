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

static soda_status read_named(const soda_json *json, const char *key, const char *missing,
                              token_mention *m)
{
    *m = (token_mention){.content = missing};
    if (!soda_json_has(json, key)) return SODA_OK;
    const json_t *value = json_object_get(json->object, key);
    if (missing && !json_is_string(value) && !json_is_object(value))
        return soda_json_refuse(json, key, "a string or an object with \"content\"");
    if (json_is_object(value)) {
        soda_json object;
        TRY(soda_json_child(json, key, &object));
        return added_tokens_mention(&object, true, m);
    }
    return soda_json_string(json, key, NULL, &m->content);
}

static bool is_equal(token_mention a, token_mention b)
{
    return strcmp(a.content, b.content) == 0 && a.is_normalized == b.is_normalized &&
           a.is_object == b.is_object;
}

/* Keys that would add further tokens. */
static soda_status refuse_more_tokens(const soda_json *config)
{
    static const char *const lists[] = {"additional_special_tokens", "extra_special_tokens"};
    for (int i = 0; i < 2; i++) {
        const json_t *list = json_object_get(config->object, lists[i]);
        if (json_array_size(list) + json_object_size(list) > 0)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: expected an empty list", config->file,
                        lists[i]);
    }
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
static soda_status add(special_tokens *list, const soda_json *vocab, token_mention m)
{
    special_token *token = find_content(list, m.content);
    if (!token) {
        const json_t *id = json_object_get(vocab->object, m.content);
        token = &list->token[list->count];
        *token = (special_token){.content = strdup(m.content)};
        if (!token->content) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", vocab->file);
        token->id = id ? (int32_t)json_integer_value(id) : list->id_count++;
        list->count++;
    }
    token->is_normalized = m.is_normalized;
    return SODA_OK;
}

/* Adds those with ids of their own: one that is not in the vocabulary gets the next free id, which
 * must be its own. */
static soda_status add_added(special_tokens *list, const soda_json *vocab,
                             const added_tokens *added)
{
    for (size_t i = 0; i < added->count; i++) {
        const added_token *a = &added->token[i];
        TRY(add(list, vocab, a->mention));
        const int32_t id = find_content(list, a->mention.content)->id;
        if (id != a->id)
            return FAIL(SODA_ERR_INPUT,
                        "%s: added token \"%s\": expected id %d, which follows from %s, found %lld",
                        a->file, a->mention.content, id, vocab->file, (long long)a->id);
    }
    return SODA_OK;
}

/* Adds the named tokens behind those with ids of their own, which win. */
static soda_status add_named(special_tokens *list, const soda_json *vocab, const token_mention *m,
                             const soda_json *source)
{
    const size_t added = list->count;
    for (int i = 0; i < NAMED; i++) {
        if (!m[i].content || !m[i].content[0]) continue;
        const special_token *there = find_content(list, m[i].content);
        bool is_known = there && there < list->token + added;
        for (int j = 0; j < i; j++) is_known |= m[j].content && is_equal(m[j], m[i]);
        if (is_known) continue;
        if (!there && !json_object_get(vocab->object, m[i].content))
            return FAIL(SODA_ERR_INPUT, "%s: %s: expected a token in %s, found \"%s\"",
                        source[i].file, named[i].key, vocab->file, m[i].content);
        TRY(add(list, vocab, m[i]));
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

static soda_status fill_list(const tokenizer_files *files, const token_mention *m,
                             const soda_json *source, const added_tokens *added,
                             special_tokens *list)
{
    int32_t *const ids[NAMED] = {[BOS] = &list->bos, [EOS] = &list->eos, [PAD] = &list->pad};
    list->id_count = (int32_t)json_object_size(files->vocab.object);
    list->token = calloc(NAMED + added->count, sizeof *list->token);
    if (!list->token) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", files->vocab.file);
    TRY(add_added(list, &files->vocab, added));
    TRY(add_named(list, &files->vocab, m, source));
    for (int i = 0; i < NAMED; i++) {
        if (!ids[i]) continue;
        const special_token *token = find_content(list, m[i].content);
        if (!token) return soda_json_refuse(&source[i], named[i].key, "a token");
        *ids[i] = token->id;
    }
    list->unknown = m[UNK].content;
    return normalize_contents(list);
}

static soda_status read_list(const tokenizer_files *files, special_tokens *list)
{
    const bool is_mapped =
        !json_is_object(json_object_get(files->config.object, "added_tokens_decoder"));
    soda_status s;
    token_mention m[NAMED];
    soda_json source[NAMED];
    added_tokens added;
    TRY(refuse_more_tokens(&files->config));
    for (int i = 0; i < NAMED; i++) {
        source[i] = is_mapped && soda_json_has(&files->special, named[i].key) ? files->special
                                                                              : files->config;
        TRY(read_named(&source[i], named[i].key, named[i].missing, &m[i]));
    }
    TRY(added_tokens_read(files, &added));
    TRY_TO(done, fill_list(files, m, source, &added, list));
done:
    added_tokens_free(&added);
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
