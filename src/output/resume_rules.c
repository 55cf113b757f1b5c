#include "output/resume_rules.h"

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

soda_status resume_rules_check(const run_state *state, const soda_checkpoint *c, const char *path)
{
    char mine[32], theirs[32];
    if (strcmp(state->method, c->method) != 0)
        return other(path, "adapter.method", state->method, c->method);
    bool known = false;
    TRY(is_known(state, c, &known));
    if (!known && strcmp(state->model_sha256, c->model_sha256) != 0)
        return other(path, "model: model_sha256", state->model_sha256, c->model_sha256);
    if (!known) return other(path, "data: data_sha256", state->data_sha256, c->data_sha256);
    if (state->seed == c->seed) return SODA_OK;
    snprintf(mine, sizeof mine, "%llu", (unsigned long long)state->seed);
    snprintf(theirs, sizeof theirs, "%llu", (unsigned long long)c->seed);
    return other(path, "train.seed", mine, theirs);
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
