#include "adapter/targets.h"

#include <ctype.h>
#include <regex.h>
#include <stdlib.h>
#include <string.h>

struct soda_targets {
    int count;
    regex_t expression[];
};

/* diffusers, then transformers. */
static const char attn[] = "\\.(to_q|to_k|to_v|to_out\\.0|self_attn\\.(q|k|v|out)_proj)$";

/* POSIX leaves "\d" undefined and the C library reads it as "d": refused, not misread. The GNU
 * extensions \w \W \s \S \b \B \< \> are what people expect. */
static soda_status refuse_foreign_escapes(const char *text)
{
    for (const char *p = text; *p; p++) {
        if (*p != '\\') continue;
        p++;
        if (!*p) break; /* regcomp has a message for this */
        if (isalnum((unsigned char)*p) && !strchr("wWsSbB", *p))
            return FAIL(SODA_ERR_INPUT,
                        "adapter.targets: \"%s\": \\%c means nothing in a POSIX extended regular "
                        "expression (a digit is [0-9])",
                        text, *p);
    }
    return SODA_OK;
}

/* The C library writes repetitions out: a+ is aa*, a{2,5} is five of a, and those of repetitions
 * multiply. Forty plus signs in a row would fill any memory. */
static soda_status refuse_explosions(const char *text)
{
    enum { MOST_COPIES = 4096 };
    long copies = 1;
    for (const char *p = text; *p; p++) {
        if (*p == '\\' && p[1]) {
            p++;
        } else if (*p == '+') {
            copies *= 2;
        } else if (*p == '{') {
            char *end;
            const long least = strtol(p + 1, &end, 10);
            const long most = *end == ',' ? strtol(end + 1, NULL, 10) : least;
            const long times = most > least ? most : least + 1;
            copies *= times < 1 ? 1 : times > MOST_COPIES ? MOST_COPIES + 1 : times;
        }
        if (copies > MOST_COPIES)
            return FAIL(SODA_ERR_INPUT,
                        "adapter.targets: \"%s\": expected repetitions (+ is 2, {m,n} is n) whose "
                        "product is at most %d",
                        text, MOST_COPIES);
    }
    return SODA_OK;
}

static soda_status compile(soda_targets *targets, const char *text, const char *source)
{
    regex_t *expression = &targets->expression[targets->count];
    const int code = regcomp(expression, source, REG_EXTENDED | REG_NOSUB);
    if (code) {
        char reason[128];
        regerror(code, expression, reason, sizeof reason);
        return FAIL(SODA_ERR_INPUT,
                    "adapter.targets: \"%s\": expected attn or a regular expression: %s", text,
                    reason);
    }
    targets->count++;
    return SODA_OK;
}

soda_status targets_create(const char *const *list, int count, soda_targets **targets)
{
    soda_status s = SODA_OK;
    *targets = NULL;
    if (count < 1)
        return FAIL(SODA_ERR_INPUT, "adapter.targets: expected attn or regular expressions on "
                                    "module names, found an empty list");
    soda_targets *t = calloc(1, sizeof *t + (size_t)count * sizeof *t->expression);
    if (!t) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < count; i++) {
        const bool named = strcmp(list[i], "attn") == 0;
        if (!named && !list[i][0]) {
            s = FAIL(SODA_ERR_INPUT, "adapter.targets: an empty expression matches every layer");
            goto failed;
        }
        if (!named) TRY_TO(failed, refuse_foreign_escapes(list[i]));
        if (!named) TRY_TO(failed, refuse_explosions(list[i]));
        TRY_TO(failed, compile(t, list[i], named ? attn : list[i]));
    }
    *targets = t;
    return SODA_OK;
failed:
    targets_destroy(t);
    return s;
}

void targets_destroy(soda_targets *targets)
{
    if (!targets) return;
    for (int i = 0; i < targets->count; i++) regfree(&targets->expression[i]);
    free(targets);
}

bool targets_match_one(const soda_targets *targets, int index, const char *name)
{
    const regex_t *expression = &targets->expression[index];
    const char *bare = strchr(name, '.'); /* without "unet." */
    if (regexec(expression, name, 0, NULL, 0) == 0) return true;
    return bare && regexec(expression, bare + 1, 0, NULL, 0) == 0;
}

bool targets_match(const soda_targets *targets, const char *name)
{
    for (int i = 0; i < targets->count; i++)
        if (targets_match_one(targets, i, name)) return true;
    return false;
}
