#include "tokenizer/tokenizer.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/path.h"
#include "core/text_file.h"
#include "tokenizer/bpe.h"
#include "tokenizer/normalize.h"
#include "tokenizer/special_tokens.h"
#include "tokenizer/tokenizer_json.h"
#include "tokenizer/truncation.h"
#include "tokenizer/unicode.h"

struct soda_tokenizer {
    soda_bpe *bpe;
    special_tokens special;
    int length;
};

/* ---- opening ---- */

enum { MOST_TOKENS = 65536 };

static soda_status read_config(const soda_json *config, int *length)
{
    static const struct {
        const char *key, *expected;
    } fixed[] = {{"padding_side", "right"}, {"truncation_side", "right"}};
    double length_or_more;
    bool split;
    const char *text;
    TRY(soda_json_string(config, "tokenizer_class", "CLIPTokenizer", &text));
    if (strcmp(text, "CLIPTokenizer") != 0 && strcmp(text, "CLIPTokenizerFast") != 0)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: tokenizer_class: expected CLIPTokenizer, found %s",
                    config->file, text);
    for (int i = 0; i < 2; i++) {
        TRY(soda_json_string(config, fixed[i].key, fixed[i].expected, &text));
        if (strcmp(text, fixed[i].expected) != 0)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: %s: expected %s, found %s", config->file,
                        fixed[i].key, fixed[i].expected, text);
    }
    TRY(soda_json_bool(config, "split_special_tokens", false, &split));
    if (split)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: split_special_tokens: expected false, found true",
                    config->file);
    /* absent, or 1e30 as transformers writes it: no limit but the text encoder's */
    TRY(soda_json_double(config, "model_max_length", MOST_TOKENS, &length_or_more));
    if (length_or_more < 2 ||
        (length_or_more < MOST_TOKENS && length_or_more != floor(length_or_more)))
        return soda_json_refuse(config, "model_max_length", "2 tokens or more");
    *length = length_or_more < MOST_TOKENS ? (int)length_or_more : MOST_TOKENS;
    return SODA_OK;
}

soda_status tokenizer_read(const tokenizer_files *files, soda_tokenizer **tokenizer)
{
    soda_status s = SODA_OK;
    soda_tokenizer *t = calloc(1, sizeof *t);
    if (!t) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", files->vocab.file);
    TRY_TO(fail, read_config(&files->config, &t->length));
    TRY_TO(fail, bpe_check_vocab(&files->vocab));
    TRY_TO(fail, special_tokens_read(files, &t->special));
    TRY_TO(fail, bpe_read(&files->vocab, files->merges, files->merges_bytes, files->merges_file,
                          t->special.unknown, &t->bpe));
    t->special.unknown = NULL; /* it ends with the JSON */
    *tokenizer = t;
    return SODA_OK;
fail:
    tokenizer_close(t);
    return s;
}

enum { MAX_MERGES = 64 << 20 }; /* bytes: half a megabyte for CLIP */

enum { VOCAB, MERGES, CONFIG, SPECIAL, ADDED, WHOLE, FILES };
static const char *const file_names[FILES] = {
    "vocab.json",        "merges.txt",     "tokenizer_config.json", "special_tokens_map.json",
    "added_tokens.json", "tokenizer.json",
};

/* A folder's files, open. */
typedef struct {
    char *path[FILES];
    tokenizer_files files; /* its vocab is borrowed from tokenizer.json if that is there */
    char *merges;
} open_files;

static bool is_there(const open_files *o, int file) { return path_is_there(o->path[file]); }

/* The files that may be absent. */
static soda_status load_extras(open_files *o)
{
    TRY(is_there(o, CONFIG) ? soda_json_load(o->path[CONFIG], &o->files.config)
                            : soda_json_parse("{}", 2, o->path[CONFIG], &o->files.config));
    if (is_there(o, SPECIAL)) TRY(soda_json_load(o->path[SPECIAL], &o->files.special));
    if (is_there(o, ADDED)) TRY(soda_json_load(o->path[ADDED], &o->files.added));
    return SODA_OK;
}

/* The files that transformers 4 reads. */
static soda_status load_parts(open_files *o)
{
    TRY(soda_json_load(o->path[VOCAB], &o->files.vocab));
    TRY(text_file_read(o->path[MERGES], MAX_MERGES, &o->merges, &o->files.merges_bytes));
    o->files.merges = o->merges;
    o->files.merges_file = o->path[MERGES];
    return SODA_OK;
}

/* Those that transformers 5 writes. */
static soda_status load_whole(open_files *o)
{
    TRY(soda_json_load(o->path[WHOLE], &o->files.whole));
    return tokenizer_json_split(&o->files, &o->merges);
}

static soda_status open_folder(const char *folder, open_files *o)
{
    size_t length = strlen(folder);
    while (length > 1 && folder[length - 1] == '/') length--;
    for (int i = 0; i < FILES; i++) {
        if (asprintf(&o->path[i], "%.*s/%s", (int)length, folder, file_names[i]) >= 0) continue;
        o->path[i] = NULL;
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", folder);
    }
    /* transformers 5, which writes the one file, leaves the older ones of the same folder as they
     * were, and takes the one file first. */
    TRY(load_extras(o));
    return is_there(o, WHOLE) ? load_whole(o) : load_parts(o);
}

soda_status tokenizer_open(const char *folder, soda_tokenizer **tokenizer)
{
    open_files o = {0};
    soda_status s = open_folder(folder, &o);
    if (s == SODA_OK) s = tokenizer_read(&o.files, tokenizer);
    if (!o.files.whole.object) soda_json_free(&o.files.vocab);
    soda_json_free(&o.files.whole);
    soda_json_free(&o.files.config);
    soda_json_free(&o.files.special);
    soda_json_free(&o.files.added);
    free(o.merges);
    for (int i = 0; i < FILES; i++) free(o.path[i]);
    return s == SODA_OK ? s : status_pass(s, __FILE__, __LINE__);
}

void tokenizer_close(soda_tokenizer *tokenizer)
{
    if (!tokenizer) return;
    bpe_close(tokenizer->bpe);
    special_tokens_free(&tokenizer->special);
    free(tokenizer);
}

int tokenizer_length(const soda_tokenizer *tokenizer) { return tokenizer->length; }
int32_t tokenizer_bos(const soda_tokenizer *tokenizer) { return tokenizer->special.bos; }
int32_t tokenizer_eos(const soda_tokenizer *tokenizer) { return tokenizer->special.eos; }
int32_t tokenizer_pad(const soda_tokenizer *tokenizer) { return tokenizer->special.pad; }
int32_t tokenizer_id_count(const soda_tokenizer *tokenizer) { return tokenizer->special.id_count; }

/* ---- encoding ---- */

/* The ids of a prompt so far. */
typedef struct {
    const soda_tokenizer *tokenizer;
    truncation row;
    void *scratch;
    size_t scratch_bytes;
} encoding;

static soda_status add_word(encoding *e, const char *word, size_t bytes)
{
    const size_t need = bpe_scratch_bytes(bytes);
    if (need > e->scratch_bytes) {
        void *larger = realloc(e->scratch, 2 * need);
        if (!larger) return FAIL(SODA_ERR_MEMORY, "out of memory for a word of %zu bytes", bytes);
        e->scratch = larger;
        e->scratch_bytes = 2 * need;
    }
    size_t count;
    const int32_t *ids = bpe_encode(e->tokenizer->bpe, word, bytes, e->scratch, &count);
    for (size_t i = 0; i < count; i++) truncation_add(&e->row, ids[i]);
    return SODA_OK;
}

typedef enum { SPACE, LETTER, NUMBER, OTHER } character;

static character classify(const char *text, size_t bytes, size_t *used)
{
    int32_t point = 0;
    *used = unicode_decode(text, bytes, &point);
    if (!*used) *used = 1; /* not reached: the text was checked */
    if (unicode_is_space(point)) return SPACE;
    if (unicode_is_letter(point)) return LETTER;
    return unicode_is_number(point) ? NUMBER : OTHER;
}

/* The word at the start of text[0..bytes): the first of CLIP's alternatives that fits,
 *     's|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+
 * Returns its bytes; *is_word is false for white space, which is dropped. */
static size_t next_word(const char *text, size_t bytes, bool *is_word)
{
    static const char *const endings[] = {"'s", "'t", "'re", "'ve", "'m", "'ll", "'d"};
    *is_word = true;
    for (int i = 0; i < 7; i++) {
        const size_t n = strlen(endings[i]);
        if (n <= bytes && memcmp(text, endings[i], n) == 0) return n;
    }
    size_t end, used;
    const character kind = classify(text, bytes, &end);
    *is_word = kind != SPACE;
    if (kind == SPACE || kind == NUMBER) return end;
    while (end < bytes && classify(text + end, bytes - end, &used) == kind) end += used;
    return end;
}

/* Words of normalised text without special tokens. The two names below are alternatives of CLIP's
 * pattern even when they are not special (in capitals, say), before they fall into words again:
 * what follows the name starts a new word. */
static soda_status add_words(encoding *e, const char *text, size_t bytes)
{
    static const char *const names[] = {"<|startoftext|>", "<|endoftext|>"};
    size_t at = 0, name_end = 0;
    while (at < bytes && !truncation_is_cut(&e->row)) {
        for (int i = 0; i < 2; i++) {
            const size_t n = strlen(names[i]);
            if (n <= bytes - at && memcmp(text + at, names[i], n) == 0) name_end = at + n;
        }
        bool is_word;
        const size_t end = at < name_end ? name_end : bytes;
        const size_t used = next_word(text + at, end - at, &is_word);
        if (is_word) TRY(add_word(e, text + at, used));
        at += used;
    }
    return SODA_OK;
}

/* Text without special tokens of the first kind: normalise it, then cut out those of the second. */
static soda_status add_text(encoding *e, const char *text, size_t bytes)
{
    soda_status s = SODA_OK;
    char *normal;
    size_t left;
    TRY(normalize_text(text, bytes, &normal, &left));
    for (const char *rest = normal; left > 0 && !truncation_is_cut(&e->row);) {
        size_t at;
        const special_token *token =
            special_tokens_find(&e->tokenizer->special, true, rest, left, &at);
        TRY_TO(done, add_words(e, rest, at));
        if (token) truncation_add(&e->row, token->id);
        const size_t used = at + (token ? token->bytes : 0);
        rest += used;
        left -= used;
    }
done:
    free(normal);
    return s;
}

static soda_status add_prompt(encoding *e, const char *text, size_t bytes)
{
    while (bytes > 0 && !truncation_is_cut(&e->row)) {
        size_t at;
        const special_token *token =
            special_tokens_find(&e->tokenizer->special, false, text, bytes, &at);
        if (at > 0) TRY(add_text(e, text, at));
        if (token) truncation_add(&e->row, token->id);
        const size_t used = at + (token ? token->bytes : 0);
        text += used;
        bytes -= used;
    }
    return SODA_OK;
}

static soda_status check_utf8(const char *text, size_t bytes)
{
    for (size_t at = 0, used; at < bytes; at += used) {
        int32_t point;
        used = unicode_decode(text + at, bytes - at, &point);
        if (!used)
            return FAIL(SODA_ERR_INPUT, "prompt: byte %zu (0x%02X) is not UTF-8", at,
                        (unsigned)(uint8_t)text[at]);
    }
    return SODA_OK;
}

soda_status tokenizer_encode(const soda_tokenizer *tokenizer, const char *text, int32_t *ids,
                             int length, bool *truncated)
{
    if (length < 2)
        return FAIL(SODA_ERR_INTERNAL, "expected room for 2 tokens or more, found %d", length);
    const size_t bytes = strlen(text);
    encoding e = {.tokenizer = tokenizer, .row = truncation_begin(ids, length)};
    TRY(check_utf8(text, bytes));
    const soda_status s = add_prompt(&e, text, bytes);
    free(e.scratch);
    TRY(s);
    truncation_finish(&e.row, tokenizer->special.bos, tokenizer->special.eos,
                      tokenizer->special.pad);
    if (truncated) *truncated = truncation_is_cut(&e.row);
    return SODA_OK;
}
