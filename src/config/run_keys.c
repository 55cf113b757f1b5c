#include "config/run_keys.h"

#include <stdio.h>
#include <string.h>

#include "core/spelling.h"

/* What sample.scheduler allows: "null | ddim | ...". */
static const char run_keys_samplers[] = "null"
#define SAMPLER(name, class_name) " | " #name
#include "diffusion/samplers.def"
#undef SAMPLER
    ;

const char *const run_weights_names[WEIGHTS_POLICIES] = {
#define POLICY(NAME, name) #name,
#include "config/weight_policies.def"
#undef POLICY
};

/* What parallel.weights allows: " | replicate | ..." without the first bar. */
static const char run_keys_policies[] =
#define POLICY(NAME, name) " | " #name
#include "config/weight_policies.def"
#undef POLICY
    ;

const run_key run_keys[RUN_KEYS] = {
#define KEY(name, field, type, fallback, allowed, help)                                            \
    {#name, offsetof(run_config, field), RUN_##type, fallback, allowed, help, NULL, NULL},
#define KEY_IF(condition, words, name, field, type, fallback, allowed, help)                       \
    {#name, offsetof(run_config, field), RUN_##type, fallback, allowed, help, #condition, words},
#include "config/run_config.def"
#undef KEY_IF
#undef KEY
};

const char run_keys_defaults[] =
#define KEY(name, field, type, fallback, allowed, help) #name ": " fallback "\n"
#include "config/run_config.def"
#undef KEY
    ;

int run_keys_find(const char *name)
{
    for (int i = 0; i < RUN_KEYS; i++)
        if (!strcmp(run_keys[i].name, name)) return i;
    return -1;
}

const char *run_keys_renamed(const char *name)
{
    static const char *const renamed[][2] = {{"train.checkpointing", "train.recompute"}};
    for (size_t i = 0; i < sizeof renamed / sizeof *renamed; i++)
        if (!strcmp(renamed[i][0], name)) return renamed[i][1];
    return NULL;
}

bool run_keys_is_section(const char *name)
{
    const size_t length = strlen(name);
    for (int i = 0; i < RUN_KEYS; i++)
        if (!strncmp(run_keys[i].name, name, length) && run_keys[i].name[length] == '.')
            return true;
    return false;
}

void run_keys_choice(const run_key *key, const run_config *config, char *word, size_t size)
{
    const char *list = key->allowed;
    unsigned choice;
    memcpy(&choice, (const char *)config + key->field, sizeof choice);
    while (run_keys_word(&list, word, size) && choice-- > 0) continue;
}

const char *run_keys_excluded_by(const run_key *key, const run_config *config)
{
    char value[SPELLING_BYTES], word[SPELLING_BYTES];
    if (!method_has_key(config->adapter.method, key->name)) return "adapter.method";
    if (!key->condition) return NULL;
    run_keys_choice(&run_keys[run_keys_find(key->condition)], config, value, sizeof value);
    for (const char *list = key->words; run_keys_word(&list, word, sizeof word);)
        if (strcmp(word, value) == 0) return NULL;
    return key->condition;
}

bool run_keys_word(const char **list, char *word, size_t size)
{
    const size_t length = strcspn(*list, " ");
    if (!length) return false;
    snprintf(word, size, "%.*s", (int)length, *list);
    *list += length;
    *list += strspn(*list, " |");
    return true;
}

run_range run_keys_range(const run_key *key)
{
    run_range range = {0};
    char first = '[', last = ']';
    sscanf(key->allowed, "%c%lf, %lf%c", &first, &range.least, &range.most, &last);
    range.above = first == '(';
    range.below = last == ')';
    range.null = strstr(key->allowed, "null") != NULL;
    range.automatic = strstr(key->allowed, "auto") != NULL;
    return range;
}
