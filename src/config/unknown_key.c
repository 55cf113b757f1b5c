#include "config/unknown_key.h"

#include <stdio.h>
#include <string.h>

#include "core/spelling.h"

enum { PLACE_BYTES = 1024 };

static const char *last_part(const char *name)
{
    const char *dot = strrchr(name, '.');
    return dot ? dot + 1 : name;
}

/* The right key in the wrong section is one change away. */
static int unlikeness(const char *name, const char *candidate)
{
    const int whole = spelling_distance(name, candidate);
    const int part = 1 + spelling_distance(last_part(name), last_part(candidate));
    return part < whole ? part : whole;
}

/* The key for a name that diffusers' and kohya's scripts use, NULL if it is none of theirs. */
static const char *known_elsewhere(const char *name)
{
    static const char *const names[][2] = {
        {"learning_rate", "train.optimizer.rotation.lr"},
        {"lr_scheduler", "train.schedule.type"},
        {"lr_warmup_steps", "train.schedule.warmup"},
        {"warmup_steps", "train.schedule.warmup"},
        {"gradient_accumulation_steps", "train.global_batch"},
        {"mixed_precision", "train.dtype"},
        {"precision", "train.dtype"},
        {"max_grad_norm", "train.clip"},
        {"gradient_checkpointing", "train.recompute"},
        {"epochs", "train.steps"},
        {"num_epochs", "train.steps"},
        {"num_train_epochs", "train.steps"},
        {"pretrained_model_name_or_path", "model"},
        {"train_data_dir", "data.path"},
        {"output_dir", "output"},
    };
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (!strcmp(last_part(name), names[i][0])) return names[i][1];
    return NULL;
}

/* The key or section that is most like `name`, which is neither. */
static void find_nearest(const char *name, char *nearest, size_t size)
{
    const char *known = known_elsewhere(name);
    if (known) {
        snprintf(nearest, size, "%s", known);
        return;
    }
    int best = 2 * SPELLING_BYTES;
    for (int i = 0; i < RUN_KEYS; i++) {
        char candidate[SPELLING_BYTES];
        snprintf(candidate, sizeof candidate, "%s", run_keys[i].name);
        for (char *dot = candidate; dot; dot = strrchr(candidate, '.')) {
            if (dot != candidate) *dot = '\0'; /* the key itself, then its sections */
            const int now = unlikeness(name, candidate);
            if (now >= best) continue;
            best = now;
            snprintf(nearest, size, "%s", candidate);
        }
    }
}

soda_status unknown_key_refuse(const run_value *value, const char *name)
{
    char place[PLACE_BYTES], nearest[SPELLING_BYTES];
    const size_t length = strlen(name);
    if (length >= 2 && !strcmp(name + length - 2, "<<"))
        return FAIL(SODA_ERR_INPUT,
                    "%s: merge keys (<<) are not read: repeat the keys, or use an alias of the "
                    "whole section",
                    run_tree_place(value, NULL, place, sizeof place));
    find_nearest(name, nearest, sizeof nearest);
    return FAIL(SODA_ERR_INPUT, "%s: unknown key %s, did you mean %s?",
                run_tree_place(value, NULL, place, sizeof place), name, nearest);
}
