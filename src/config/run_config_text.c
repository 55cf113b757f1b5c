/* The resolved configuration as YAML, for people too: every key has its help as a comment. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <utf8proc.h>

#include "config/run_keys.h"

/* The fewest digits that read back as x, with a point and a sign in the exponent: readers of YAML
 * 1.1 take 5e-05 for a string. */
static void write_number(FILE *f, double x)
{
    char text[40];
    int digits = 15; /* zeros at the end are not written */
    do snprintf(text, sizeof text, "%.*g", digits, x);
    while (strtod(text, NULL) != x && ++digits <= 17);
    const size_t mantissa = strcspn(text, "e");
    const char *point = memchr(text, '.', mantissa) ? "" : ".0";
    fprintf(f, "%.*s%s%s", (int)mantissa, text, point, text + mantissa);
}

/* What YAML would not read back inside quotes: control characters, its line breaks, the byte order
 * mark and what is no character. */
static bool must_escape(utf8proc_int32_t c)
{
    return c < ' ' || (c >= 0x7F && c < 0xA0) || c == 0x2028 || c == 0x2029 || c == 0xFEFF ||
           c == 0xFFFE || c == 0xFFFF;
}

/* In double quotes, where YAML takes everything. Paths get each dollar sign twice: see run_path.h.
 */
static soda_status write_string(FILE *f, const char *name, const char *text, bool is_path)
{
    const utf8proc_uint8_t *c = (const utf8proc_uint8_t *)text;
    fputc('"', f);
    while (*c) {
        utf8proc_int32_t point;
        const utf8proc_ssize_t bytes = utf8proc_iterate(c, -1, &point);
        if (bytes < 1)
            return FAIL(SODA_ERR_INPUT, "%s: expected text in UTF-8, found byte 0x%02x", name, *c);
        if (must_escape(point))
            fprintf(f, "\\u%04x", (unsigned)point);
        else
            fprintf(f, "%s%.*s",
                    point == '"' || point == '\\' ? "\\"
                    : is_path && point == '$'     ? "$"
                                                  : "",
                    (int)bytes, (const char *)c);
        c += bytes;
    }
    fputc('"', f);
    return SODA_OK;
}

static soda_status write_strings(FILE *f, const char *name, const run_strings *strings)
{
    fputc('[', f);
    for (int i = 0; i < strings->count; i++) {
        if (i) fputs(", ", f);
        TRY(write_string(f, name, strings->list[i], false));
    }
    fputc(']', f);
    return SODA_OK;
}

static void write_choice(FILE *f, const run_key *key, unsigned choice)
{
    const char *list = key->allowed;
    char word[32];
    for (unsigned i = 0; run_keys_word(&list, word, sizeof word) && i < choice; i++) continue;
    fputs(word, f);
}

static void write_factors(FILE *f, const run_key *key, const factors_choice *factors)
{
    if (!factors->entries) {
        write_choice(f, key, factors->rule);
        return;
    }
    for (int i = 0; i < factors->entries; i++) {
        const factors_entry *e = &factors->map[i];
        fprintf(f, "%s%lld: [%lld, %lld, %lld]", i ? ", " : "{", (long long)e->width,
                (long long)e->n[0], (long long)e->n[1], (long long)e->n[2]);
    }
    fputc('}', f);
}

/* The words stand for the values that run_config.def says. */
static void write_real(FILE *f, const run_key *key, double x)
{
    const run_range range = run_keys_range(key);
    const bool seconds = key->type == RUN_SECONDS;
    if (range.automatic && x == (seconds ? RUN_TIME_AUTO : 0))
        fputs("auto", f);
    else if (range.null && x == 0)
        fputs("null", f);
    else
        write_number(f, x);
}

static soda_status write_value(FILE *f, const run_key *key, const run_config *config)
{
    const void *field = (const char *)config + key->field;
    const char *path;
    double beta[2];
    switch (key->type) {
    case RUN_INT: fprintf(f, "%lld", (long long)*(const int64_t *)field); break;
    case RUN_NUMBER:
    case RUN_SECONDS: write_real(f, key, *(const double *)field); break;
    case RUN_BETAS:
        memcpy(beta, field, sizeof beta);
        fputc('[', f);
        write_number(f, beta[0]);
        fputs(", ", f);
        write_number(f, beta[1]);
        fputc(']', f);
        break;
    case RUN_BOOL: fputs(*(const bool *)field ? "true" : "false", f); break;
    case RUN_METHOD: fputs((*(const soda_method *const *)field)->name, f); break;
    case RUN_CHOICE: write_choice(f, key, *(const unsigned *)field); break;
    case RUN_CONSTANT: fputs(key->allowed, f); break;
    case RUN_FACTORS: write_factors(f, key, field); break;
    case RUN_STRINGS:
    case RUN_TARGETS: return write_strings(f, key->name, field);
    case RUN_PATH:
        path = *(char *const *)field;
        if (path) return write_string(f, key->name, path, true);
        fputs("null", f);
    }
    return SODA_OK;
}

/* Opens the sections of `name` that the key before it did not have open, and begins its line. */
static void write_name(FILE *f, const char *before, const char *name)
{
    size_t same = 0; /* bytes of the sections they share */
    for (size_t i = 0; name[i] && name[i] == before[i]; i++)
        if (name[i] == '.') same = i + 1;
    int depth = 0;
    for (const char *part = name;; depth++) {
        const char *dot = strchr(part, '.');
        const int length = dot ? (int)(dot - part) : (int)strlen(part);
        if ((size_t)(part - name) >= same && dot)
            fprintf(f, "%*s%.*s:\n", 2 * depth, "", length, part);
        if (!dot) {
            fprintf(f, "%*s%s: ", 2 * depth, "", part);
            return;
        }
        part = dot + 1;
    }
}

static soda_status write_all(FILE *f, const run_config *config)
{
    const char *before = "";
    for (int i = 0; i < RUN_KEYS; i++) {
        const run_key *key = &run_keys[i];
        if (run_keys_excluded_by(key, config)) continue;
        write_name(f, before, key->name);
        TRY(write_value(f, key, config));
        const char *joint = key->allowed[0] ? "; " : "";
        fprintf(f, "  # %s%s%s\n", key->allowed, joint, key->help);
        before = key->name;
    }
    return SODA_OK;
}

soda_status run_config_text(const run_config *config, char **text)
{
    size_t bytes;
    *text = NULL;
    FILE *f = open_memstream(text, &bytes);
    if (!f) return FAIL(SODA_ERR_MEMORY, "out of memory for the text of a configuration");
    soda_status s = write_all(f, config);
    const bool failed = ferror(f) != 0;
    if ((fclose(f) != 0 || failed) && s == SODA_OK)
        s = FAIL(SODA_ERR_MEMORY, "out of memory for the text of a configuration");
    if (s == SODA_OK) return SODA_OK;
    free(*text);
    *text = NULL;
    return s;
}
