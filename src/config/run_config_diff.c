#include "config/run_config_diff.h"

#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_keys.h"

enum { MOST_NAME = 128, MOST_DEPTH = 8 };

static const char not_set[] = "not set";

/* One line of a text, as it is read from its start to its end. */
typedef struct {
    const char *at;                      /* the next line */
    size_t section[MOST_DEPTH + 1];      /* bytes of `path` that the sections of each depth take */
    char path[MOST_NAME + 1], name[160]; /* "train.optimizer.", "train.optimizer.lr" */
    const char *value;
    size_t length;
} reader;

/* The value without its help, which stands behind the last "  # ". */
static size_t without_help(const char *value, size_t length)
{
    for (size_t i = length; i >= 4; i--)
        if (memcmp(value + i - 4, "  # ", 4) == 0) return i - 4;
    return length;
}

/* The next key with a value; false at the end. */
static bool next_key(reader *r)
{
    while (*r->at) {
        const char *line = r->at;
        const size_t length = strcspn(line, "\n"), indent = strspn(line, " ");
        r->at += length + (line[length] == '\n');
        const char *word = line + indent, *colon = memchr(line, ':', length);
        const size_t depth = indent / 2;
        if (!colon || colon < word || depth >= MOST_DEPTH) continue;
        r->path[r->section[depth]] = '\0';
        snprintf(r->name, sizeof r->name, "%s%.*s", r->path, (int)(colon - word), word);
        const char *value = colon + 1 + strspn(colon + 1, " ");
        if (value >= line + length) { /* a section */
            const int used = snprintf(r->path, sizeof r->path, "%.*s.", MOST_NAME - 1, r->name);
            r->section[depth + 1] = (size_t)used;
            continue;
        }
        r->value = value;
        r->length = without_help(value, (size_t)(line + length - value));
        const char *now = run_keys_renamed(r->name);
        if (now) snprintf(r->name, sizeof r->name, "%s", now);
        return true;
    }
    return false;
}

/* Finds `name` in a text; false if it is not there. */
static bool find_key(const char *text, const char *name, reader *r)
{
    *r = (reader){.at = text};
    while (next_key(r))
        if (strcmp(r->name, name) == 0) return true;
    return false;
}

/* The number that a value of key `name` is; null is 0 where a number may be null. */
static bool is_number(const char *name, const char *value, size_t length, double *x)
{
    static const char null[] = "null";
    char *end;
    *x = strtod(value, &end);
    if (length && end == value + length) return true;
    const int row = run_keys_find(name);
    return row >= 0 && (run_keys[row].type == RUN_NUMBER || run_keys[row].type == RUN_INT) &&
           run_keys_range(&run_keys[row]).null && length == sizeof null - 1 &&
           memcmp(value, null, length) == 0;
}

static bool same_value(const char *name, const char *a, size_t a_length, const char *b,
                       size_t b_length)
{
    double x, y;
    if (a_length == b_length && memcmp(a, b, a_length) == 0) return true;
    return is_number(name, a, a_length, &x) && is_number(name, b, b_length, &y) && x == y;
}

static bool is_default(const reader *r)
{
    const int row = run_keys_find(r->name);
    if (row < 0) return true; /* nothing that this version knows */
    const char *fallback = run_keys[row].fallback;
    return same_value(r->name, r->value, r->length, fallback, strlen(fallback));
}

static soda_status add(run_config_diff *c, const char *name, const char *before,
                       size_t before_length, const char *after, size_t after_length)
{
    run_config_change *grown = realloc(c->list, ((size_t)c->count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of changed keys");
    c->list = grown;
    run_config_change *change = &c->list[c->count++];
    *change = (run_config_change){strdup(name), strndup(before, before_length),
                                  strndup(after, after_length)};
    if (change->name && change->before && change->after) return SODA_OK;
    return FAIL(SODA_ERR_MEMORY, "out of memory for a list of changed keys");
}

static soda_status find_all(const char *before, const char *after, run_config_diff *c)
{
    const size_t none = sizeof not_set - 1;
    reader old, new = {.at = after};
    while (next_key(&new)) {
        if (find_key(before, new.name, &old)) {
            if (!same_value(new.name, old.value, old.length, new.value, new.length))
                TRY(add(c, new.name, old.value, old.length, new.value, new.length));
        } else if (!is_default(&new)) {
            TRY(add(c, new.name, not_set, none, new.value, new.length));
        }
    }
    old = (reader){.at = before};
    while (next_key(&old))
        if (!find_key(after, old.name, &new) && !is_default(&old))
            TRY(add(c, old.name, old.value, old.length, not_set, none));
    return SODA_OK;
}

soda_status run_config_diff_find(const char *before, const char *after, run_config_diff *changes)
{
    *changes = (run_config_diff){0};
    const soda_status s = find_all(before, after, changes);
    if (s != SODA_OK) run_config_diff_free(changes);
    return s;
}

void run_config_diff_free(run_config_diff *changes)
{
    for (int i = 0; i < changes->count; i++) {
        free(changes->list[i].name);
        free(changes->list[i].before);
        free(changes->list[i].after);
    }
    free(changes->list);
    *changes = (run_config_diff){0};
}
