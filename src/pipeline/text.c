#include "pipeline/text.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "model/clip.h"
#include "pipeline/network.h"
#include "tokenizer/tokenizer.h"

/* Where one encoder's states go: columns [column, column + width) of text->hidden. */
typedef struct {
    const soda_folder *folder;
    const soda_backend *backend;
    soda_dtype dtype;
    const adapter_uses *adapters;
    int index; /* 0: text_encoder, 1: text_encoder_2 */
    int64_t column;
} encoder_place;

static const char *const tokenizer_parts[2] = {"tokenizer", "tokenizer_2"};

static soda_status open_tokenizers(const soda_folder *folder, soda_tokenizer *tokenizer[2])
{
    char path[4096];
    for (int i = 0; i < folder->texts; i++) {
        /* NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage): texts is 1 or 2 */
        TRY(folder_path(folder, tokenizer_parts[i], "", path, sizeof path));
        TRY(tokenizer_open(path, &tokenizer[i]));
    }
    return SODA_OK;
}

/* The length of a prompt in tokens: the first tokenizer's, or an encoder's positions if fewer. */
static int64_t prompt_length(const soda_folder *folder, const soda_tokenizer *tokenizer)
{
    int64_t tokens = tokenizer_length(tokenizer);
    for (int i = 0; i < folder->texts; i++)
        if (folder->text[i].positions < tokens) tokens = folder->text[i].positions;
    return tokens;
}

static soda_status tokenize(const soda_tokenizer *tokenizer, int index, const char *const *texts,
                            soda_tokens *tokens)
{
    for (int64_t i = 0; i < tokens->count; i++) {
        bool is_cut = false;
        if (!texts[i]) continue;
        TRY(tokenizer_encode(tokenizer, texts[i], tokens->ids[index] + i * tokens->tokens,
                             (int)tokens->tokens, &is_cut));
        tokens->is_cut[i] |= is_cut;
    }
    return SODA_OK;
}

/* A tokenizer may have more tokens than its text encoder has embeddings. */
static soda_status check_ids(const soda_folder *folder, int index, const soda_tokens *tokens)
{
    const int64_t vocabulary = folder->text[index].vocabulary;
    char tokenizer[4096], config[4096];
    for (int64_t i = 0; i < tokens->count * tokens->tokens; i++) {
        const int32_t id = tokens->ids[index][i];
        if (id < vocabulary) continue;
        TRY(folder_path(folder, tokenizer_parts[index], "", tokenizer, sizeof tokenizer));
        TRY(folder_path(folder, folder_component_name(FOLDER_TEXT_ENCODER + index), "config.json",
                        config, sizeof config));
        return FAIL(SODA_ERR_INPUT, "%s: token id %d, expected below vocab_size (%lld) of %s",
                    tokenizer, id, (long long)vocabulary, config);
    }
    return SODA_OK;
}

/* Whether all tokens of the first `bytes` of `text` are read. `ids` and `prefix` are scratch. */
static soda_status fits(soda_tokenizer *const tokenizer[2], const char *text, size_t bytes,
                        int32_t *ids, int tokens, char *prefix, bool *yes)
{
    memcpy(prefix, text, bytes);
    prefix[bytes] = '\0';
    *yes = true;
    for (int i = 0; i < 2 && tokenizer[i] && *yes; i++) {
        bool is_cut = false;
        TRY(tokenizer_encode(tokenizer[i], prefix, ids, tokens, &is_cut));
        *yes = !is_cut;
    }
    return SODA_OK;
}

static bool is_space(char c) { return c && strchr(" \t\n\v\f\r", c); }

/* How many bytes of a text are read, by halving: up to the end of a word where there are words. */
static soda_status find_cut(soda_tokenizer *const tokenizer[2], const char *text, int tokens,
                            size_t *kept)
{
    size_t low = 0, high = strlen(text);
    soda_status s = SODA_OK;
    int32_t *ids = malloc((size_t)tokens * sizeof *ids);
    char *prefix = malloc(high + 1);
    if (!ids || !prefix) s = FAIL(SODA_ERR_MEMORY, "out of memory for a text");
    while (s == SODA_OK && high - low > 1) {
        size_t middle = low + (high - low) / 2;
        while (middle > low && (text[middle] & 0xc0) == 0x80) middle--; /* between characters */
        bool yes;
        if (middle == low) break;
        s = fits(tokenizer, text, middle, ids, tokens, prefix, &yes);
        if (yes)
            low = middle;
        else
            high = middle;
    }
    size_t word = low;
    while (word > 0 && !is_space(text[word])) word--;
    if (word > 0) low = word;
    free(ids);
    free(prefix);
    TRY(s);
    *kept = low;
    return SODA_OK;
}

/* The last bytes before text + kept, from the start of a word, on one line. */
static void last_words(const char *text, size_t kept, char *words, size_t size)
{
    size_t first = kept > size - 1 ? kept - (size - 1) : 0;
    if (first > 0) {
        size_t word = first;
        while (word < kept && !is_space(text[word])) word++;
        if (word < kept) first = word + 1;
        while (first < kept && (text[first] & 0xc0) == 0x80) first++;
    }
    for (size_t i = first; i < kept; i++) *words++ = text[i];
    *words = '\0';
    for (size_t i = first; i < kept; i++)
        if ((unsigned char)*--words < ' ') *words = ' ';
}

soda_status text_warn_cut(const soda_folder *folder, const soda_tokens *tokens, const char *noun,
                          const char *text, const char *place)
{
    soda_tokenizer *tokenizer[2] = {NULL, NULL};
    char words[60] = "";
    size_t kept = 0;
    long long cut = 0;
    for (int64_t i = 0; i < tokens->count; i++) cut += tokens->is_cut[i];
    soda_status s = open_tokenizers(folder, tokenizer);
    if (s == SODA_OK) s = find_cut(tokenizer, text, (int)tokens->tokens, &kept);
    for (int i = 0; i < 2; i++) tokenizer_close(tokenizer[i]);
    TRY(s);
    last_words(text, kept, words, sizeof words);
    log_warning("%lld of %lld %s %s longer than the %lld tokens that the text encoder reads; the "
                "first (%.120s) is truncated after \"%s\"",
                cut, (long long)tokens->count, noun, cut == 1 ? "is" : "are",
                (long long)tokens->tokens - 2, place, words);
    return SODA_OK;
}

soda_status text_tokenize(const soda_folder *folder, const char *const *texts, int64_t count,
                          soda_tokens *tokens)
{
    soda_tokenizer *tokenizer[2] = {NULL, NULL};
    soda_status s = SODA_OK;
    *tokens = (soda_tokens){.count = count};
    TRY_TO(done, open_tokenizers(folder, tokenizer));
    tokens->tokens = prompt_length(folder, tokenizer[0]);
    tokens->absent = calloc((size_t)count + 1, sizeof *tokens->absent);
    tokens->is_cut = calloc((size_t)count + 1, sizeof *tokens->is_cut);
    bool whole = tokens->absent && tokens->is_cut;
    for (int i = 0; i < folder->texts; i++) {
        tokens->ids[i] = calloc((size_t)(count * tokens->tokens) + 1, sizeof(int32_t));
        whole = whole && tokens->ids[i];
    }
    if (!whole) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for %lld texts", (long long)count);
        goto done;
    }
    for (int64_t i = 0; i < count; i++) tokens->absent[i] = !texts[i];
    for (int i = 0; i < folder->texts; i++) {
        TRY_TO(done, tokenize(tokenizer[i], i, texts, tokens));
        TRY_TO(done, check_ids(folder, i, tokens));
    }
done:
    for (int i = 0; i < 2; i++) tokenizer_close(tokenizer[i]);
    if (s != SODA_OK) text_tokens_free(tokens);
    return s;
}

void text_tokens_free(soda_tokens *tokens)
{
    for (int i = 0; i < 2; i++) free(tokens->ids[i]);
    free(tokens->absent);
    free(tokens->is_cut);
    *tokens = (soda_tokens){0};
}

/* Runs one encoder on one text and spreads its states over the columns that it owns. */
static soda_status encode_one(const encoder_place *at, soda_network *net, const int32_t *ids,
                              int64_t i, float *states, soda_text *text)
{
    const soda_clip_config *config = &at->folder->text[at->index];
    const bool xl = at->folder->xl;
    const int64_t width = config->width;
    TRY(clip_write(net->exec, net->graph, NULL, config, ids, 1, text->tokens));
    TRY(exec_run(net->exec));
    TRY(exec_read_f32(net->exec, xl ? "penultimate" : "last_hidden_state", states,
                      text->tokens * width));
    for (int64_t t = 0; t < text->tokens; t++)
        memcpy(text->hidden + ((i * text->tokens + t) * text->width + at->column),
               states + t * width, (size_t)width * sizeof *states);
    if (xl && at->index == 1)
        TRY(exec_read_f32(net->exec, "text_embeds", text->pooled + i * text->pooled_width,
                          text->pooled_width));
    return SODA_OK;
}

static soda_status encode_with(const encoder_place *at, const soda_tokens *tokens, soda_text *text)
{
    const soda_clip_config *config = &at->folder->text[at->index];
    float *states = malloc((size_t)(text->tokens * config->width) * sizeof *states);
    soda_network net = {0};
    soda_status s = SODA_OK;
    if (!states) return FAIL(SODA_ERR_MEMORY, "out of memory for the states of a text");
    TRY_TO(done, network_open(at->folder, at->index ? FOLDER_TEXT_ENCODER_2 : FOLDER_TEXT_ENCODER,
                              at->dtype, at->adapters, &net));
    soda_builder builder = network_builder(&net);
    const unsigned wanted = !at->folder->xl  ? CLIP_LAST
                            : at->index == 0 ? CLIP_PENULTIMATE
                                             : CLIP_PENULTIMATE | CLIP_TEXT_EMBEDS;
    TRY_TO(done, clip_build(&builder, config, 1, text->tokens, wanted));
    TRY_TO(done, network_ready(&net, at->backend, NULL));
    for (int64_t i = 0; i < tokens->count; i++)
        if (!tokens->absent[i])
            TRY_TO(done, encode_one(at, &net, tokens->ids[at->index] + i * tokens->tokens, i,
                                    states, text));
done:
    network_close(&net);
    free(states);
    return s;
}

soda_status text_states(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                        const adapter_uses *adapters, const soda_tokens *tokens, soda_text *text)
{
    const int64_t count = tokens->count;
    soda_status s = SODA_OK;
    *text = (soda_text){.count = count, .tokens = tokens->tokens};
    for (int i = 0; i < folder->texts; i++) text->width += folder->text[i].width;
    if (folder->xl) text->pooled_width = folder->text[1].projection;
    text->hidden = calloc((size_t)(count * text->tokens * text->width), sizeof *text->hidden);
    text->pooled = calloc((size_t)(count * text->pooled_width + 1), sizeof *text->pooled);
    if (!text->hidden || !text->pooled) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for the states of %lld texts", (long long)count);
        goto done;
    }
    encoder_place at = {.folder = folder, .backend = backend, .dtype = dtype, .adapters = adapters};
    for (at.index = 0; at.index < folder->texts; at.index++) {
        TRY_TO(done, encode_with(&at, tokens, text));
        at.column += folder->text[at.index].width;
    }
done:
    if (s != SODA_OK) text_free(text);
    return s;
}

/* Prompts have no file: the first words say which one it is. */
static soda_status warn_prompts(const soda_folder *folder, const char *const *texts,
                                const soda_tokens *tokens)
{
    char place[80];
    for (int64_t i = 0; i < tokens->count; i++) {
        if (!tokens->is_cut[i]) continue;
        size_t bytes = strnlen(texts[i], 40);
        while (bytes > 0 && (texts[i][bytes] & 0xc0) == 0x80) bytes--;
        snprintf(place, sizeof place, "number %lld, \"%.*s...\"", (long long)i + 1, (int)bytes,
                 texts[i]);
        return text_warn_cut(folder, tokens, "prompts", texts[i], place);
    }
    return SODA_OK;
}

soda_status text_encode(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                        const adapter_uses *adapters, const char *const *texts, int count,
                        soda_text *text)
{
    soda_tokens tokens;
    *text = (soda_text){0};
    TRY(text_tokenize(folder, texts, count, &tokens));
    soda_status s = warn_prompts(folder, texts, &tokens);
    if (s == SODA_OK) s = text_states(folder, backend, dtype, adapters, &tokens, text);
    text_tokens_free(&tokens);
    TRY(s);
    return SODA_OK;
}

void text_free(soda_text *text)
{
    free(text->hidden);
    free(text->pooled);
    *text = (soda_text){0};
}
