#include "core/loose_json.h"

#include <errno.h>
#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

enum { LONGEST = 512 }; /* of a number that is looked at */

typedef struct {
    const char *text, *file;
    size_t bytes;
    char *copy;
} loosening;

/* Writes `with` over `bytes` bytes from `at`, filled up with spaces. */
static soda_status replace(loosening *l, size_t at, size_t bytes, const char *with)
{
    if (!l->copy) {
        l->copy = malloc(l->bytes);
        if (!l->copy) return FAIL(SODA_ERR_MEMORY, "%s: out of memory while parsing JSON", l->file);
        memcpy(l->copy, l->text, l->bytes);
    }
    for (size_t i = 0; i < bytes; i++) l->copy[at + i] = *with ? *with++ : ' ';
    return SODA_OK;
}

/* A number without its sign. */
static soda_status check_number(loosening *l, size_t at, size_t length)
{
    char number[LONGEST + 1];
    if (length < 5 || length > LONGEST) return SODA_OK; /* "1e309" is the shortest that overflows */
    memcpy(number, l->text + at, length);
    number[length] = '\0';
    const bool is_integer = strspn(number, "0123456789") == length;
    if (is_integer ? length < 19 : !strpbrk(number, "eE") && length < 309) return SODA_OK;
    if (isinf(strtod(number, NULL))) return replace(l, at, length, "9e307");
    errno = 0;
    if (!is_integer || (strtoll(number, NULL, 10) >= 0 && errno != ERANGE)) return SODA_OK;
    return replace(l, at + length - 2, 2, "e2");
}

static bool is_word(const loosening *l, size_t at, const char *word)
{
    const size_t length = strlen(word);
    return l->bytes - at >= length && !memcmp(l->text + at, word, length);
}

/* Behind the closing quote of the string that starts at `at`. */
static size_t skip_string(const loosening *l, size_t at)
{
    for (at++; at < l->bytes && l->text[at] != '"'; at++) at += l->text[at] == '\\';
    return at + 1;
}

soda_status loose_json(const char *text, size_t bytes, const char *file, char **copy)
{
    loosening l = {.text = text, .file = file, .bytes = bytes};
    soda_status s = SODA_OK;
    *copy = NULL;
    for (size_t at = 0; at < bytes && s == SODA_OK;) {
        size_t length = 1;
        if (text[at] == '"') {
            at = skip_string(&l, at);
            continue;
        }
        if (is_word(&l, at, "Infinity")) {
            s = replace(&l, at, length = strlen("Infinity"), "1.7e308");
        } else if (is_word(&l, at, "NaN")) {
            s = replace(&l, at, length = strlen("NaN"), "\"" LOOSE_JSON_NAN "\"");
        } else if (text[at] >= '0' && text[at] <= '9') {
            while (at + length < bytes && text[at + length] &&
                   strchr("0123456789.eE+-", text[at + length]))
                length++;
            s = check_number(&l, at, length);
        }
        at += length;
    }
    if (s != SODA_OK) free(l.copy);
    TRY(s);
    *copy = l.copy;
    return SODA_OK;
}
