/* libFuzzer harness of the tokenizer. An input that starts with 'P' is a prompt for the quickstart
 * model; any other is vocab.json, merges.txt, tokenizer_config.json, special_tokens_map.json,
 * added_tokens.json and a prompt, separated by bytes 0xFF, which UTF-8 does not have; without
 * merges, tokenizer.json stands in the place of vocab.json. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/status.h"
#include "tokenizer/tokenizer_json.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for any prompt: ids are in range, and a shorter result is a prefix. */
static void encode(const soda_tokenizer *tokenizer, const char *prompt)
{
    enum { SHORT = 7, LONG = 600 };
    int32_t few[SHORT], many[LONG];
    bool few_cut, many_cut;
    if (tokenizer_encode(tokenizer, prompt, many, LONG, &many_cut) != SODA_OK) return;
    if (tokenizer_encode(tokenizer, prompt, few, SHORT, &few_cut) != SODA_OK) abort();
    if (many[0] != tokenizer_bos(tokenizer) || (many_cut && !few_cut)) abort();
    for (int i = 0; i < LONG; i++) {
        if (many[i] < 0 || many[i] >= tokenizer_id_count(tokenizer)) abort();
    }
    if (memcmp(few, many, (SHORT - 1) * sizeof *few) != 0) abort();
    if (few_cut && few[SHORT - 1] != tokenizer_eos(tokenizer)) abort();
}

/* Cuts the part up to the next separator off *rest. */
static char *next_part(char **rest)
{
    char *part = *rest, *end = strchr(part, 0xFF);
    *rest = end ? end + 1 : part + strlen(part);
    if (end) *end = '\0';
    return part;
}

/* vocab.json or tokenizer.json. */
static soda_status take_first(const soda_json *first, tokenizer_files *files, char **merges)
{
    files->vocab = *first;
    if (files->merges_bytes) return SODA_OK;
    files->whole = *first;
    return tokenizer_json_split(files, merges);
}

/* A file that is not there is an empty part. */
static soda_status parse_if_any(const char *text, const char *file, soda_json *json)
{
    return *text ? soda_json_parse(text, strlen(text), file, json) : SODA_OK;
}

static void read_and_encode(char *text)
{
    char *part[5], *merges = NULL;
    tokenizer_files files = {0};
    soda_json first = {0};
    soda_tokenizer *tokenizer = NULL;
    for (int i = 0; i < 5; i++) part[i] = next_part(&text);
    files.merges = part[1];
    files.merges_bytes = strlen(part[1]);
    files.merges_file = "merges";
    if (soda_json_parse(part[0], strlen(part[0]), "vocab", &first) == SODA_OK &&
        soda_json_parse(part[2], strlen(part[2]), "config", &files.config) == SODA_OK &&
        take_first(&first, &files, &merges) == SODA_OK &&
        parse_if_any(part[3], "special", &files.special) == SODA_OK &&
        parse_if_any(part[4], "added", &files.added) == SODA_OK &&
        tokenizer_read(&files, &tokenizer) == SODA_OK)
        encode(tokenizer, text);
    tokenizer_close(tokenizer);
    soda_json_free(&first);
    free(merges);
    soda_json_free(&files.config);
    soda_json_free(&files.special);
    soda_json_free(&files.added);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static soda_tokenizer *nano;
    if (!nano &&
        tokenizer_open(SODA_SOURCE_DIR "/configs/quickstart/model/tokenizer", &nano) != SODA_OK)
        abort();
    char *text = malloc(size + 1);
    if (!text) return 0;
    memcpy(text, data, size);
    text[size] = '\0';
    if (text[0] == 'P')
        encode(nano, text + 1);
    else
        read_and_encode(text);
    free(text);
    return 0;
}
