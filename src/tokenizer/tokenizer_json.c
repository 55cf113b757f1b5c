#include "tokenizer/tokenizer_json.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Entry `i` of model.merges as two tokens: ["LEFT", "RIGHT"], or "LEFT RIGHT" in `whole`. */
typedef struct {
    const char *left, *right, *whole;
} merge_entry;

static bool read_entry(const json_t *entry, merge_entry *m)
{
    *m = (merge_entry){.whole = json_string_value(entry)};
    if (m->whole) return !strchr(m->whole, '\n');
    if (json_array_size(entry) != 2) return false;
    m->left = json_string_value(json_array_get(entry, 0));
    m->right = json_string_value(json_array_get(entry, 1));
    return m->left && m->right && !strpbrk(m->left, " \n") && !strpbrk(m->right, " \n");
}

/* The text of a merges.txt with the same merges. */
static soda_status write_merges(const soda_json *model, char **merges, size_t *bytes)
{
    const json_t *list = json_object_get(model->object, "merges");
    const size_t count = json_array_size(list);
    size_t room = 1;
    merge_entry m;
    if (!json_is_array(list)) return soda_json_refuse(model, "merges", "a list");
    for (size_t i = 0; i < count; i++) {
        if (!read_entry(json_array_get(list, i), &m))
            return FAIL(SODA_ERR_INPUT,
                        "%s: model.merges[%zu]: expected two tokens, as [\"a\", \"b\"] or \"a b\"",
                        model->file, i);
        room += m.whole ? strlen(m.whole) + 1 : strlen(m.left) + strlen(m.right) + 2;
    }
    char *at = *merges = malloc(room);
    if (!at) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the merges", model->file);
    *at = '\0';
    for (size_t i = 0; i < count; i++) {
        read_entry(json_array_get(list, i), &m);
        at += m.whole ? sprintf(at, "%s\n", m.whole) : sprintf(at, "%s %s\n", m.left, m.right);
    }
    *bytes = (size_t)(at - *merges);
    return SODA_OK;
}

static soda_status check_model(const soda_json *model)
{
    const char *type, *suffix, *prefix;
    TRY(soda_json_string(model, "type", "BPE", &type));
    TRY(soda_json_string(model, "end_of_word_suffix", "", &suffix));
    TRY(soda_json_string(model, "continuing_subword_prefix", "", &prefix));
    if (!strcmp(type, "BPE") && !strcmp(suffix, "</w>") && !prefix[0]) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "%s: model: expected CLIP's byte pairs (BPE, with the suffix </w> at the end of a "
                "word), found %s with \"%s\"",
                model->file, type, suffix);
}

soda_status tokenizer_json_split(tokenizer_files *files, char **merges)
{
    soda_json model;
    *merges = NULL;
    TRY(soda_json_require(&files->whole, "model"));
    TRY(soda_json_child(&files->whole, "model", &model));
    TRY(check_model(&model));
    TRY(soda_json_require(&model, "vocab"));
    TRY(soda_json_child(&model, "vocab", &files->vocab));
    files->vocab.within = "model.vocab";
    TRY(write_merges(&model, merges, &files->merges_bytes));
    files->merges = *merges;
    files->merges_file = files->whole.file;
    return SODA_OK;
}
