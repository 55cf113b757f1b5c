#include "config/run_path.h"

#include <ctype.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    char *path;
    size_t used;
} builder;

static bool append(builder *b, const char *text, size_t bytes)
{
    if (b->used + bytes >= RUN_PATH_BYTES) return false;
    memcpy(b->path + b->used, text, bytes);
    b->used += bytes;
    b->path[b->used] = '\0';
    return true;
}

/* The name after a dollar sign, in braces or not; *end is behind it. 0 bytes: there is none. */
static size_t name_after(const char *dollar, const char **name, const char **end)
{
    const bool braces = dollar[1] == '{';
    size_t bytes = 0;
    *name = dollar + 1 + braces;
    if (!isdigit((unsigned char)(*name)[0]))
        while (isalnum((unsigned char)(*name)[bytes]) || (*name)[bytes] == '_') bytes++;
    if (braces && (*name)[bytes] != '}') bytes = 0;
    *end = *name + bytes + braces;
    return bytes;
}

/* Appends what stands at the dollar sign and returns where the text goes on; NULL with `expected`
 * set. An empty variable counts as unset: it would turn $SCRATCH/run into /run. */
static const char *expand_dollar(builder *b, const char *at, char *expected, size_t size)
{
    const char *name, *end;
    char variable[256];
    snprintf(expected, size, "at most %d bytes", RUN_PATH_BYTES - 1);
    if (at[1] == '$') return append(b, "$", 1) ? at + 2 : NULL;
    const size_t bytes = name_after(at, &name, &end);
    if (!bytes || bytes >= sizeof variable) {
        snprintf(expected, size,
                 "a name after each $, as in $SCRATCH (write $$ for the sign itself)");
        return NULL;
    }
    snprintf(variable, sizeof variable, "%.*s", (int)bytes, name);
    const char *value = getenv(variable);
    if (value && value[0]) return append(b, value, strlen(value)) ? end : NULL;
    snprintf(expected, size, "the environment variable %s to be set", variable);
    return NULL;
}

soda_status run_path_expand(const char *text, char *path, char *expected, size_t size)
{
    builder b = {.path = path};
    const char *at = text;
    path[0] = '\0';
    if (*at == '~') {
        const char *home = getenv("HOME");
        snprintf(expected, size, "~/..., an absolute path or one relative to this file");
        if (at[1] && at[1] != '/') return SODA_ERR_INPUT;
        snprintf(expected, size, "the environment variable HOME to be set");
        if (!home || !home[0]) return SODA_ERR_INPUT;
        snprintf(expected, size, "at most %d bytes", RUN_PATH_BYTES - 1);
        if (!append(&b, home, strlen(home))) return SODA_ERR_INPUT;
        at++;
    }
    while (*at) {
        const size_t plain = strcspn(at, "$");
        snprintf(expected, size, "at most %d bytes", RUN_PATH_BYTES - 1);
        if (!append(&b, at, plain)) return SODA_ERR_INPUT;
        at += plain;
        if (*at == '$') at = expand_dollar(&b, at, expected, size);
        if (!at) return SODA_ERR_INPUT;
    }
    return SODA_OK;
}
