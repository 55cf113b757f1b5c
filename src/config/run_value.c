#include "config/run_value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/targets.h"
#include "config/run_path.h"

enum { MOST_TEXT = 4096, MOST_ENTRIES = 1024, MOST_WIDTHS = 64 };
enum { EXPECTED_BYTES = 128, NAME_BYTES = 160, PLACE_BYTES = 1024 };

static void *field_of(const run_key *key, run_config *config)
{
    return (char *)config + key->field;
}

/* Digits with a point, an exponent or neither. No hexadecimals, no infinities, and no 010, which
 * is 8 for YAML 1.1 and 10 for YAML 1.2. */
static bool is_number(const char *text)
{
    static const char digits[] = "0123456789";
    const char *c = text + (*text == '+' || *text == '-');
    const size_t whole = strspn(c, digits);
    if (whole > 1 && *c == '0') return false;
    c += whole;
    const size_t fraction = *c == '.' ? strspn(c + 1, digits) : 0;
    if (*c == '.') c += 1 + fraction;
    if (whole + fraction == 0) return false;
    if (*c == 'e' || *c == 'E') {
        c += 1 + (c[1] == '+' || c[1] == '-');
        const size_t exponent = strspn(c, digits);
        if (!exponent) return false;
        c += exponent;
    }
    return *c == '\0';
}

static bool in_range(const run_range *range, double x)
{
    return isfinite(x) && (range->above ? x > range->least : x >= range->least) &&
           (range->below ? x < range->most : x <= range->most);
}

/* Whole numbers with a point or an exponent are taken while a double holds them exactly. */
static bool to_int(const char *text, int64_t *x)
{
    if (!text || !is_number(text)) return false;
    errno = 0;
    if (!strpbrk(text, ".eE")) {
        *x = strtoll(text, NULL, 10);
        return errno == 0;
    }
    const double real = strtod(text, NULL);
    if (!(fabs(real) <= 0x1p53) || floor(real) != real) return false;
    *x = (int64_t)real;
    return true;
}

static bool to_double(const char *text, double *x)
{
    if (!text || !is_number(text)) return false;
    *x = strtod(text, NULL);
    return true;
}

static soda_status refuse(const run_key *key, const run_value *value, const char *what)
{
    char expected[EXPECTED_BYTES];
    snprintf(expected, sizeof expected, "%s%s", what, key->allowed);
    return run_tree_refuse(value, key->name, expected);
}

static soda_status read_int(const run_key *key, const run_value *value, int64_t *x)
{
    const run_range range = run_keys_range(key);
    if (range.null && run_tree_is_null(value)) {
        *x = 0;
        return SODA_OK;
    }
    int64_t found;
    if (!to_int(run_tree_plain(value), &found) || !in_range(&range, (double)found))
        return refuse(key, value, "an integer in ");
    *x = found;
    return SODA_OK;
}

static soda_status read_number(const run_key *key, const run_value *value, double *x)
{
    const run_range range = run_keys_range(key);
    const char *text = run_tree_plain(value);
    double found;
    if (range.null && (run_tree_is_null(value) || (text && !strcmp(text, "none")))) {
        *x = 0;
    } else if (range.automatic && text && !strcmp(text, "auto")) {
        *x = key->type == RUN_SECONDS ? RUN_TIME_AUTO : 0;
    } else {
        if (!to_double(text, &found) || !in_range(&range, found))
            return refuse(key, value, "a number in ");
        *x = found;
    }
    return SODA_OK;
}

/* Two numbers, in neighbouring fields. */
static soda_status read_betas(const run_key *key, const run_value *value, void *field)
{
    const run_range range = run_keys_range(key);
    const yaml_node_t *list = value->node;
    double beta[2];
    _Static_assert(
        offsetof(stiefel_options, beta2) == offsetof(stiefel_options, beta1) + sizeof *beta &&
            offsetof(adamw_options, beta2) == offsetof(adamw_options, beta1) + sizeof *beta,
        "beta1 and beta2 are written as one array");
    if (!list || list->type != YAML_SEQUENCE_NODE ||
        list->data.sequence.items.top - list->data.sequence.items.start != 2)
        return refuse(key, value, "a list of two numbers in ");
    for (int i = 0; i < 2; i++) {
        const run_value entry = run_tree_child(value, list->data.sequence.items.start[i]);
        if (!to_double(run_tree_plain(&entry), &beta[i]) || !in_range(&range, beta[i]))
            return refuse(key, &entry, "two numbers in ");
    }
    memcpy(field, beta, sizeof beta);
    return SODA_OK;
}

/* The words of YAML 1.1 for a truth value; YAML 1.2 has the first of the three only. */
static bool is_word_of(const char *text, bool truth)
{
    static const char *const words[2][9] = {
        {"false", "False", "FALSE", "no", "No", "NO", "off", "Off", "OFF"},
        {"true", "True", "TRUE", "yes", "Yes", "YES", "on", "On", "ON"},
    };
    for (size_t i = 0; text && i < sizeof words[0] / sizeof *words[0]; i++)
        if (!strcmp(text, words[truth][i])) return true;
    return false;
}

static soda_status read_bool(const run_key *key, const run_value *value, bool *x)
{
    const char *text = run_tree_plain(value);
    *x = is_word_of(text, true);
    if (*x || is_word_of(text, false)) return SODA_OK;
    return run_tree_refuse(value, key->name, "true or false");
}

static soda_status read_choice(const run_key *key, const run_value *value, unsigned *choice)
{
    const char *text = run_tree_scalar(value), *list = key->allowed;
    char word[NAME_BYTES];
    for (unsigned i = 0; text && run_keys_word(&list, word, sizeof word); i++) {
        if (strcmp(word, text) != 0) continue;
        *choice = i;
        return SODA_OK;
    }
    return refuse(key, value, "");
}

/* Enumerations are unsigned for gcc and clang, which the fields of choices rely on. */
static soda_status read_choice_field(const run_key *key, const run_value *value, void *field)
{
    unsigned choice = 0;
    _Static_assert(sizeof(run_loss) == sizeof choice && sizeof(soda_dtype) == sizeof choice,
                   "an enumeration is as wide as unsigned");
    TRY(read_choice(key, value, &choice));
    memcpy(field, &choice, sizeof choice);
    return SODA_OK;
}

static soda_status read_method(const run_key *key, const run_value *value,
                               const soda_method **method)
{
    const char *text = run_tree_scalar(value);
    const soda_method *found = text ? method_find(text) : NULL;
    if (!found) return refuse(key, value, "");
    *method = found;
    return SODA_OK;
}

static soda_status refuse_count(const char *name, const run_value *value, int most,
                                const char *what, int64_t count)
{
    char place[PLACE_BYTES];
    return FAIL(SODA_ERR_INPUT, "%s: expected at most %d %s, found %lld",
                run_tree_place(value, name, place, sizeof place), most, what, (long long)count);
}

/* A string for free(). */
static soda_status read_string(const char *name, const run_value *value, char **copy)
{
    const char *text = run_tree_scalar(value);
    if (!text || run_tree_is_null(value))
        return status_code(SODA_ERR_INPUT, run_tree_refuse(value, name, "a string"));
    if (strlen(text) > MOST_TEXT)
        return refuse_count(name, value, MOST_TEXT, "bytes", (int64_t)strlen(text));
    *copy = strdup(text);
    if (!*copy) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for a string", name);
    return SODA_OK;
}

static soda_status read_path(const run_key *key, const run_value *value, const char *folder,
                             char **path)
{
    char *text = NULL, expanded[RUN_PATH_BYTES], expected[EXPECTED_BYTES];
    soda_status s = SODA_OK;
    if (run_tree_is_null(value)) return SODA_OK;
    TRY(read_string(key->name, value, &text));
    if (!text[0]) {
        s = run_tree_refuse(value, key->name, "a path");
        goto done;
    }
    if (run_path_expand(text, expanded, expected, sizeof expected) != SODA_OK) {
        s = run_tree_refuse(value, key->name, expected);
        goto done;
    }
    if (expanded[0] == '/' || value->source->set) folder = "";
    if (asprintf(path, "%s%s", folder, expanded) < 0) {
        *path = NULL;
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for a path", key->name);
    }
done:
    free(text);
    return s;
}

static soda_status read_strings(const run_key *key, const run_value *value, run_strings *strings)
{
    const yaml_node_t *node = value->node;
    if (!node || node->type != YAML_SEQUENCE_NODE)
        return run_tree_refuse(value, key->name, "a list of strings");
    const yaml_node_item_t *items = node->data.sequence.items.start;
    const int64_t count = node->data.sequence.items.top - items;
    if (count > MOST_ENTRIES) return refuse_count(key->name, value, MOST_ENTRIES, "strings", count);
    if (!count) return SODA_OK;
    strings->list = calloc((size_t)count, sizeof *strings->list);
    if (!strings->list) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", key->name);
    for (int i = 0; i < (int)count; i++) {
        const run_value entry = run_tree_child(value, items[i]);
        char name[NAME_BYTES];
        snprintf(name, sizeof name, "%s[%d]", key->name, i);
        TRY(read_string(name, &entry, &strings->list[i]));
        strings->count = i + 1;
    }
    return SODA_OK;
}

/* Puts the place before the message of a failure that knows none. */
static soda_status at_place(soda_status s, const char *name, const run_value *value)
{
    char place[PLACE_BYTES];
    if (s == SODA_OK) return SODA_OK;
    return status_prefix(s, "%s", run_tree_place(value, name, place, sizeof place));
}

static soda_status read_targets(const run_key *key, const run_value *value, run_strings *strings)
{
    soda_targets *targets = NULL;
    TRY(read_strings(key, value, strings));
    const soda_status s =
        targets_create((const char *const *)strings->list, strings->count, &targets);
    targets_destroy(targets);
    return at_place(s, NULL, value); /* its messages begin with the key */
}

/* Entry `i` of a map: {width: [a, b, c]}. */
static soda_status read_factors_entry(const run_key *key, const run_value *map, int i,
                                      factors_entry *entries)
{
    static const char expected[] = "a width and its three factors, as 640: [8, 8, 10]";
    const yaml_node_pair_t *pair = map->node->data.mapping.pairs.start + i;
    const run_value width = run_tree_child(map, pair->key);
    const run_value list = run_tree_child(map, pair->value);
    factors_entry *entry = &entries[i];
    if (!to_int(run_tree_plain(&width), &entry->width))
        return run_tree_refuse(&width, key->name, expected);
    for (int j = 0; j < i; j++)
        if (entries[j].width == entry->width)
            return run_tree_refuse(&width, key->name, "every width once");
    if (list.node->type != YAML_SEQUENCE_NODE ||
        list.node->data.sequence.items.top - list.node->data.sequence.items.start != 3)
        return run_tree_refuse(&list, key->name, expected);
    for (int j = 0; j < 3; j++) {
        const run_value n = run_tree_child(&list, list.node->data.sequence.items.start[j]);
        if (!to_int(run_tree_plain(&n), &entry->n[j]))
            return run_tree_refuse(&n, key->name, expected);
    }
    return at_place(factors_check(entry), key->name, &width);
}

static soda_status read_factors(const run_key *key, const run_value *value, factors_choice *factors)
{
    unsigned rule = 0;
    if (!value->node || value->node->type != YAML_MAPPING_NODE) {
        TRY(read_choice(key, value, &rule));
        factors->rule = (factors_rule)rule;
        return SODA_OK;
    }
    factors->rule = FACTORS_BALANCED;
    const int64_t count =
        value->node->data.mapping.pairs.top - value->node->data.mapping.pairs.start;
    if (count > MOST_WIDTHS) return refuse_count(key->name, value, MOST_WIDTHS, "widths", count);
    if (!count) return SODA_OK;
    factors_entry *map = calloc((size_t)count, sizeof *map);
    if (!map) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", key->name);
    factors->map = map;
    factors->entries = (int)count;
    for (int i = 0; i < (int)count; i++) TRY(read_factors_entry(key, value, i, map));
    return SODA_OK;
}

soda_status run_value_read(const run_key *key, const run_value *value, const char *folder,
                           run_config *config)
{
    void *field = field_of(key, config);
    unsigned only = 0;
    switch (key->type) {
    case RUN_INT: return read_int(key, value, field);
    case RUN_NUMBER:
    case RUN_SECONDS: return read_number(key, value, field);
    case RUN_BETAS: return read_betas(key, value, field);
    case RUN_BOOL: return read_bool(key, value, field);
    case RUN_CHOICE: return read_choice_field(key, value, field);
    case RUN_METHOD: return read_method(key, value, field);
    case RUN_CONSTANT: return read_choice(key, value, &only);
    case RUN_PATH: return read_path(key, value, folder, field);
    case RUN_STRINGS: return read_strings(key, value, field);
    case RUN_TARGETS: return read_targets(key, value, field);
    case RUN_FACTORS: return read_factors(key, value, field);
    }
    return FAIL(SODA_ERR_INTERNAL, "%s: type %d", key->name, (int)key->type);
}

void run_value_free(const run_key *key, run_config *config)
{
    void *field = field_of(key, config);
    if (key->type == RUN_PATH) free(*(char **)field);
    if (key->type == RUN_FACTORS) free((void *)((factors_choice *)field)->map);
    if (key->type != RUN_STRINGS && key->type != RUN_TARGETS) return;
    run_strings *strings = field;
    for (int i = 0; i < strings->count; i++) free(strings->list[i]);
    free(strings->list);
}
