#include "output/resume_rules.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "config/run_config_diff.h"
#include "core/isa.h"
#include "core/log.h"

static soda_status other(const char *path, const char *what, const char *expected,
                         const char *found)
{
    return FAIL(SODA_ERR_INPUT,
                "%s: %s: this run has %s, the checkpoint has %s; choose another output folder",
                path, what, expected, found);
}

/* Whether model and data are those of the checkpoint, as this version or an earlier one has it. */
static soda_status is_known(const run_state *state, const soda_checkpoint *c, bool *known)
{
    char model[SHA256_HEX], data[SHA256_HEX];
    bool more = state->earlier != NULL;
    *known = strcmp(state->model_sha256, c->model_sha256) == 0 &&
             strcmp(state->data_sha256, c->data_sha256) == 0;
    for (int version = 1; !*known && more; version++) {
        TRY(state->earlier(state->earlier_context, version, &more, model, data));
        *known = more && strcmp(model, c->model_sha256) == 0 && strcmp(data, c->data_sha256) == 0;
    }
    return SODA_OK;
}

/* What a checkpoint belongs to, and the keys that decide about it; "data." stands for all of a
 * section. From the model come latents and text states, too. */
typedef enum { OF_MODEL, OF_DATA, OF_LAYERS } belonging;
enum { MOST_KEYS = 2 };
static const char *const deciding_keys[][MOST_KEYS] = {
    [OF_MODEL] = {"model", "adapter.text_encoder"},
    [OF_DATA] = {"model", "data."},
    [OF_LAYERS] = {"adapter.targets", "adapter.factors"},
};

static bool decides(belonging what, const char *name)
{
    for (int i = 0; i < MOST_KEYS; i++) {
        const char *key = deciding_keys[what][i];
        const size_t length = strlen(key);
        if (key[length - 1] == '.' ? strncmp(name, key, length) == 0 : strcmp(name, key) == 0)
            return true;
    }
    return false;
}

/* "data.path: /a, data.resolution: 32" of the keys that differ and that decide, in both
 * configurations. */
typedef struct {
    char now[800], then[800];
} changed_keys;

static void add_key(char *text, size_t size, const char *name, const char *value)
{
    const size_t used = strlen(text);
    snprintf(text + used, size - used, "%s%s: %s", used ? ", " : "", name, value);
}

static soda_status find_changed(const run_state *state, const soda_checkpoint *c, belonging what,
                                changed_keys *keys)
{
    run_config_diff changes;
    *keys = (changed_keys){0};
    TRY(run_config_diff_find(c->config, state->config, &changes));
    for (int i = 0; i < changes.count; i++) {
        const run_config_change *change = &changes.list[i];
        if (!decides(what, change->name)) continue;
        add_key(keys->now, sizeof keys->now, change->name, change->after);
        add_key(keys->then, sizeof keys->then, change->name, change->before);
    }
    run_config_diff_free(&changes);
    return SODA_OK;
}

/* Another model or data set. */
static soda_status other_files(const run_state *state, const soda_checkpoint *c, const char *path)
{
    const bool of_data = strcmp(state->model_sha256, c->model_sha256) == 0;
    changed_keys keys;
    TRY(find_changed(state, c, of_data ? OF_DATA : OF_MODEL, &keys));
    if (*keys.now) return other(path, of_data ? "data" : "model", keys.now, keys.then);
    return FAIL(SODA_ERR_INPUT,
                "%s: %s changed since this checkpoint was written, under the same path; choose "
                "another output folder, or bring the old files back",
                path,
                of_data ? "pictures, captions, or the model's encoders" : "the model's files");
}

soda_status resume_rules_check(const run_state *state, const soda_checkpoint *c, const char *path)
{
    char mine[32], theirs[32];
    bool known = false;
    if (strcmp(state->method, c->method) != 0)
        return other(path, "adapter.method", state->method, c->method);
    snprintf(mine, sizeof mine, "%llu", (unsigned long long)state->seed);
    snprintf(theirs, sizeof theirs, "%llu", (unsigned long long)c->seed);
    /* before the data, which random crops make depend on the seed */
    if (state->seed != c->seed) return other(path, "train.seed", mine, theirs);
    TRY(is_known(state, c, &known));
    if (!known) return other_files(state, c, path);
    if (*c->schedule && strcmp(state->schedule, c->schedule) != 0)
        return other(path, "scheduler_config.json of the model", state->schedule, c->schedule);
    return SODA_OK;
}

soda_status resume_rules_explain(const run_state *state, const soda_checkpoint *c, const char *path)
{
    changed_keys keys;
    TRY(find_changed(state, c, OF_LAYERS, &keys));
    return *keys.now ? other(path, "adapted layers", keys.now, keys.then) : SODA_OK;
}

static soda_status warn_about_changes(const char *path, const char *now, const char *stored)
{
    run_config_diff changes;
    TRY(run_config_diff_find(stored, now, &changes));
    if (changes.count)
        log_warning("%s was written with another configuration; %d key%s changed:", path,
                    changes.count, changes.count == 1 ? "" : "s");
    for (int i = 0; i < changes.count; i++)
        log_warning("%s: %s in the checkpoint, %s now", changes.list[i].name,
                    changes.list[i].before, changes.list[i].after);
    run_config_diff_free(&changes);
    return SODA_OK;
}

static void warn_about_isa(const char *path, const char *isa)
{
    const char *now = isa_name(isa_now());
    if (*isa && strcmp(isa, now) != 0)
        log_warning(
            "%s was written with instruction set %s, this run uses %s: the last bits will differ "
            "from those of an uninterrupted run (--isa %s avoids that)",
            path, isa, now, isa);
}

soda_status resume_rules_warn(const run_state *state, const soda_checkpoint *c, const char *path)
{
    TRY(warn_about_changes(path, state->config, c->config));
    warn_about_isa(path, c->isa);
    return SODA_OK;
}
