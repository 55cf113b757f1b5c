#include "tokenizer/added_tokens.h"

#include <stdlib.h>
#include <string.h>

soda_status added_tokens_mention(const soda_json *object, bool is_special, token_mention *mention)
{
    bool single;
    TRY(soda_json_require(object, "content"));
    TRY(soda_json_string(object, "content", "", &mention->content));
    TRY(soda_json_bool(object, "single_word", false, &single));
    if (single)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s.single_word: expected false, found true",
                    object->file, object->within);
    TRY(soda_json_bool(object, "lstrip", false, &mention->lstrip));
    TRY(soda_json_bool(object, "rstrip", false, &mention->rstrip));
    mention->is_special = is_special;
    if (!is_special) TRY(soda_json_bool(object, "special", false, &mention->is_special));
    TRY(soda_json_bool(object, "normalized", !mention->is_special, &mention->is_normalized));
    mention->is_object = true;
    return SODA_OK;
}

static void append(added_tokens *added, const char *file, int64_t id, token_mention mention)
{
    if (!mention.content[0]) return;
    added->token[added->count] = (added_token){id, added->count, mention, file};
    added->count++;
}

static soda_status append_object(added_tokens *added, const soda_json *object, int64_t id)
{
    token_mention mention = {0};
    TRY(added_tokens_mention(object, false, &mention));
    append(added, object->file, id, mention);
    return SODA_OK;
}

/* {"<cat>": 49408}, of transformers 2 to 4 */
static soda_status append_map(added_tokens *added, const soda_json *map,
                              const token_mention *mentions, size_t count)
{
    const char *content;
    json_t *id;
    json_object_foreach((json_t *)map->object, content, id)
    {
        bool is_special = false;
        if (!json_is_integer(id)) return soda_json_refuse(map, content, "an id");
        for (size_t i = 0; i < count; i++)
            is_special |= mentions[i].is_declared && strcmp(mentions[i].content, content) == 0;
        append(added, map->file, json_integer_value(id),
               (token_mention){.content = content, .is_normalized = !is_special});
    }
    return SODA_OK;
}

/* {"49408": {"content": "<cat>", ...}} */
static soda_status append_decoder(added_tokens *added, const soda_json *decoder)
{
    const char *key;
    json_t *value;
    json_object_foreach((json_t *)decoder->object, key, value)
    {
        char *end;
        soda_json object;
        const int64_t id = strtoll(key, &end, 10);
        if (end == key || *end || key[0] < '0' || key[0] > '9')
            return soda_json_refuse(decoder, key, "a key that is an id");
        TRY(soda_json_child(decoder, key, &object));
        if (!object.object) return soda_json_refuse(decoder, key, "an object");
        TRY(append_object(added, &object, id));
    }
    return SODA_OK;
}

/* [{"id": 49408, "content": "<cat>", ...}] */
static soda_status append_list(added_tokens *added, const soda_json *whole, const json_t *list)
{
    for (size_t i = 0; i < json_array_size(list); i++) {
        soda_json object = *whole;
        object.within = "added_tokens";
        object.object = json_array_get(list, i);
        const json_t *id = json_object_get(object.object, "id");
        if (!json_is_integer(id))
            return FAIL(SODA_ERR_INPUT, "%s: added_tokens[%zu]: expected an object with an id",
                        whole->file, i);
        TRY(append_object(added, &object, json_integer_value(id)));
    }
    return SODA_OK;
}

static int compare(const void *a, const void *b)
{
    const added_token *x = a, *y = b;
    if (x->id != y->id) return x->id > y->id ? 1 : -1;
    return (x->order > y->order) - (x->order < y->order);
}

/* By rising id; of equal ids the last one counts, as in transformers. */
static void sort(added_tokens *added)
{
    size_t kept = 0;
    qsort(added->token, added->count, sizeof *added->token, compare);
    for (size_t i = 0; i < added->count; i++) {
        if (kept > 0 && added->token[kept - 1].id == added->token[i].id) kept--;
        added->token[kept++] = added->token[i];
    }
    added->count = kept;
}

soda_status added_tokens_read(const tokenizer_files *files, const token_mention *mentions,
                              size_t count, added_tokens *added)
{
    soda_status s = SODA_OK;
    soda_json decoder;
    const json_t *list = json_object_get(files->whole.object, "added_tokens");
    *added = (added_tokens){0};
    TRY(soda_json_child(&files->config, "added_tokens_decoder", &decoder));
    const size_t most = json_object_size(decoder.object) + json_object_size(files->added.object) +
                        json_array_size(list);
    added->token = calloc(most + 1, sizeof *added->token);
    if (!added->token) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", files->vocab.file);
    if (decoder.object) {
        TRY_TO(failed, append_decoder(added, &decoder));
    } else {
        TRY_TO(failed, append_map(added, &files->added, mentions, count));
        TRY_TO(failed, append_list(added, &files->whole, list));
    }
    sort(added);
    return SODA_OK;
failed:
    added_tokens_free(added);
    return s;
}

void added_tokens_free(added_tokens *added)
{
    free(added->token);
    *added = (added_tokens){0};
}
