#include "config/run_config.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "config/run_value.h"
#include "core/text_file.h"

enum { MOST_BYTES = 1 << 20, EXPECTED_BYTES = 160, PLACE_BYTES = 1024 };

/* Keys whose values must fit each other; the message is at one that was given. */
static soda_status check_batches(const run_tree *tree, run_config *c)
{
    const run_value *given = run_tree_given(tree, "train.global_batch");
    char expected[EXPECTED_BYTES];
    if (!c->train.global_batch) c->train.global_batch = c->train.batch;
    if (c->train.global_batch % c->train.batch == 0) return SODA_OK;
    snprintf(expected, sizeof expected, "a multiple of train.batch, which is %lld",
             (long long)c->train.batch);
    return run_tree_refuse(given, "train.global_batch", expected);
}

static soda_status check_schedule(const run_tree *tree, run_config *c)
{
    const run_value *given = run_tree_given(tree, "train.schedule.warmup");
    char expected[EXPECTED_BYTES];
    c->train.schedule.steps = c->train.steps;
    if (c->train.schedule.warmup <= c->train.steps) return SODA_OK;
    snprintf(expected, sizeof expected, "at most train.steps, which is %lld",
             (long long)c->train.steps);
    return run_tree_refuse(given, "train.schedule.warmup", expected);
}

static soda_status check_prior(const run_tree *tree)
{
    const run_value *weight = run_tree_given(tree, "data.prior.weight");
    char place[PLACE_BYTES];
    if (!weight || run_tree_given(tree, "data.prior.path")) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: expected data.prior.path to be set as well, found nothing",
                run_tree_place(weight, "data.prior.weight", place, sizeof place));
}

/* Keys that mean nothing here. One of the file that a --set made so, as adapter.method=... of a
 * method without it, is left out: else a file would have to be edited to try another method. */
static soda_status check_conditions(const run_tree *tree, const run_config *c)
{
    for (int i = 0; i < RUN_KEYS; i++) {
        const run_value *given = run_tree_given(tree, run_keys[i].name);
        const char *reason = given ? run_keys_excluded_by(&run_keys[i], c) : NULL;
        char expected[EXPECTED_BYTES];
        if (!reason) continue;
        const run_value *decides = &tree->value[run_keys_find(reason)];
        if (decides->source->set && !given->source->set) continue;
        const char *word = run_tree_scalar(decides);
        snprintf(expected, sizeof expected, "no such key, since %s is %s", reason,
                 word ? word : "");
        return run_tree_refuse(given, run_keys[i].name, expected);
    }
    return SODA_OK;
}

static soda_status fill(const run_tree *tree, const char *folder, run_config *c)
{
    for (int i = 0; i < RUN_KEYS; i++)
        TRY(run_value_read(&run_keys[i], &tree->value[i], folder, c));
    TRY(check_batches(tree, c));
    TRY(check_schedule(tree, c));
    TRY(check_prior(tree));
    return check_conditions(tree, c);
}

static soda_status parse(const char *text, size_t bytes, const char *file, const char *folder,
                         const char *const *sets, int set_count, run_config **config)
{
    soda_status s = SODA_OK;
    run_tree tree = {0};
    *config = NULL;
    run_config *c = calloc(1, sizeof *c);
    if (c) c->file = strdup(file);
    if (!c || !c->file) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for a configuration", file);
        goto done;
    }
    TRY_TO(done, run_tree_read(&tree, text, bytes, file, sets, set_count));
    TRY_TO(done, fill(&tree, folder, c));
    *config = c;
    c = NULL;
done:
    run_tree_free(&tree);
    run_config_destroy(c);
    return s;
}

soda_status run_config_parse(const char *text, size_t bytes, const char *file,
                             const char *const *sets, int set_count, run_config **config)
{
    return parse(text, bytes, file, "", sets, set_count, config);
}

soda_status run_config_read(const char *path, const char *const *sets, int set_count,
                            run_config **config)
{
    soda_status s = SODA_OK;
    char *text = NULL;
    size_t bytes = 0;
    *config = NULL;
    const char *slash = strrchr(path, '/');
    char *folder = strndup(path, slash ? (size_t)(slash - path) + 1 : 0);
    if (!folder) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for its folder", path);
    TRY_TO(done, text_file_read(path, MOST_BYTES, &text, &bytes));
    TRY_TO(done, parse(text, bytes, path, folder, sets, set_count, config));
done:
    free(text);
    free(folder);
    return s;
}

soda_status run_config_make_absolute(run_config *config)
{
    char *folder = getcwd(NULL, 0);
    soda_status s = SODA_OK;
    if (!folder) return FAIL(SODA_ERR_IO, "the working folder has no name: %s", strerror(errno));
    for (int i = 0; i < RUN_KEYS && s == SODA_OK; i++) {
        char **field = (char **)((char *)config + run_keys[i].field), *path = NULL;
        if (run_keys[i].type != RUN_PATH || !*field || **field == '/') continue;
        if (asprintf(&path, "%s/%s", folder, *field) < 0) {
            s = FAIL(SODA_ERR_MEMORY, "out of memory for a path");
            continue;
        }
        free(*field);
        *field = path;
    }
    free(folder);
    return s;
}

soda_status run_config_group(const run_config *config, int64_t ranks, int *group)
{
    const int64_t shard = config->parallel.shard;
    const int64_t pieces = config->train.global_batch / config->train.batch;
    *group = 1;
    if (config->parallel.weights != WEIGHTS_SHARD) return SODA_OK;
    if (shard == 1)
        return FAIL(SODA_ERR_INPUT,
                    "%s: parallel.shard: expected at least 2, since parallel.weights is shard, "
                    "found 1",
                    config->file);
    if (ranks % shard != 0)
        return FAIL(
            SODA_ERR_INPUT,
            "%s: parallel.shard: expected a divisor of the number of ranks, %lld, found %lld",
            config->file, (long long)ranks, (long long)shard);
    if (ranks / shard > pieces)
        return FAIL(SODA_ERR_INPUT,
                    "%s: train.global_batch: expected a micro-batch of %lld for each of the %lld "
                    "groups of ranks that share weights, found %lld pictures per step",
                    config->file, (long long)config->train.batch, (long long)(ranks / shard),
                    (long long)config->train.global_batch);
    *group = (int)shard;
    return SODA_OK;
}

void run_config_destroy(run_config *config)
{
    if (!config) return;
    for (int i = 0; i < RUN_KEYS; i++) run_value_free(&run_keys[i], config);
    free(config->file);
    free(config);
}
