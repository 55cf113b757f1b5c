/* Keys that differ between two texts of a configuration, named in full with both values. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_config.h"
#include "config/run_config_diff.h"
#include "io/checkpoint.h"
#include "support/files.h"

/* The resolved text of a file. */
static char *text_of(const char *yaml)
{
    run_config *config;
    char *text;
    CHECK_OK(run_config_parse(yaml, strlen(yaml), "run.yaml", NULL, 0, &config));
    CHECK_OK(run_config_text(config, &text));
    run_config_destroy(config);
    return text;
}

static void expect(const run_config_diff *c, int i, const char *name, const char *before,
                   const char *after)
{
    assert_true(i < c->count);
    assert_string_equal(c->list[i].name, name);
    assert_string_equal(c->list[i].before, before);
    assert_string_equal(c->list[i].after, after);
}

static void changed_keys_have_both_values(void **state)
{
    (void)state;
    run_config_diff c;
    char *before = text_of("train: {steps: 10, optimizer: {spectrum: {lr: 0.001}}}\n"
                           "sample: {prompts: ['a  # b: c', d]}\n");
    char *after = text_of("train: {steps: 20, optimizer: {rotation: {lr: 0.001}}}\n"
                          "sample: {prompts: ['a  # b: e', d]}\n");
    CHECK_OK(run_config_diff_find(before, before, &c));
    assert_int_equal(c.count, 0);
    CHECK_OK(run_config_diff_find(before, after, &c));
    assert_int_equal(c.count, 4);
    expect(&c, 0, "train.steps", "10", "20");
    expect(&c, 1, "train.optimizer.rotation.lr", "5.0e-05", "0.001");
    expect(&c, 2, "train.optimizer.spectrum.lr", "0.001", "5.0e-05");
    expect(&c, 3, "sample.prompts", "[\"a  # b: c\", \"d\"]", "[\"a  # b: e\", \"d\"]");
    run_config_diff_free(&c);
    free(before);
    free(after);
}

/* Keys that apply to one of them only are named if they say more than the default does. */
static void keys_of_one_side_are_compared_with_defaults(void **state)
{
    (void)state;
    run_config_diff c;
    char *adam = text_of("train: {optimizer: {rotation: {betas: [0.8, 0.999]}}}\n");
    char *sgd = text_of("train: {optimizer: {rotation: {type: sgd, momentum: 0.5}}}\n");
    CHECK_OK(run_config_diff_find(adam, sgd, &c));
    assert_int_equal(c.count, 3);
    expect(&c, 0, "train.optimizer.rotation.type", "adam", "sgd");
    expect(&c, 1, "train.optimizer.rotation.momentum", "not set", "0.5");
    expect(&c, 2, "train.optimizer.rotation.betas", "[0.8, 0.999]", "not set");
    run_config_diff_free(&c);
    free(adam);
    free(sgd);
}

/* The text in a checkpoint of version 0.1: keys that it did not have, or called otherwise. */
static void older_texts_are_understood(void **state)
{
    (void)state;
    run_config_diff c;
    char *now = text_of("train: {recompute: full, steps: 7}\nsample: {scheduler: ddim}\n");
    const char *old =
        "adapter:\n  targets: [\"attn\"]\n"
        "train:\n  global_batch: 1\n  steps: 5  # [1, 1000000000]; updates\n  checkpointing: auto\n"
        "  optimizer:\n    rotation:\n      lr: 5e-5\n  forgotten: 3\n"
        "not a key\n";
    CHECK_OK(run_config_diff_find(old, now, &c));
    assert_int_equal(c.count, 3);
    expect(&c, 0, "train.steps", "5", "7");
    expect(&c, 1, "train.recompute", "auto", "full");
    expect(&c, 2, "sample.scheduler", "not set", "ddim");
    run_config_diff_free(&c);
    free(now);
}

/* The checkpoint of version 0.1 and the file that made it: only the folder is another. */
static void a_checkpoint_of_version_0_1_has_the_same_keys(void **state)
{
    (void)state;
    static const char folder[] = SODA_TEST_DIR "/golden/version-0.1/";
    const char *const sets[] = {"train.steps=3"};
    soda_checkpoint old;
    run_config *config;
    run_config_diff c;
    char *now, path[300];
    snprintf(path, sizeof path, "%sstep-00000002.h5", folder);
    CHECK_OK(checkpoint_read(path, &old));
    snprintf(path, sizeof path, "%srun.yaml", folder);
    CHECK_OK(run_config_read(path, sets, 1, &config));
    CHECK_OK(run_config_text(config, &now));
    CHECK_OK(run_config_diff_find(old.config, now, &c));
    for (int i = 0; i < c.count; i++) {
        const char *name = c.list[i].name;
        if (!strcmp(name, "train.steps"))
            expect(&c, i, "train.steps", "2", "3");
        else if (strcmp(name, "model") && strcmp(name, "data.path") && strcmp(name, "output"))
            fail_msg("%s: %s, %s", name, c.list[i].before, c.list[i].after);
    }
    assert_int_equal(c.count, 4);
    run_config_diff_free(&c);
    run_config_destroy(config);
    checkpoint_free(&old);
    free(now);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(changed_keys_have_both_values),
        cmocka_unit_test(keys_of_one_side_are_compared_with_defaults),
        cmocka_unit_test(older_texts_are_understood),
        cmocka_unit_test(a_checkpoint_of_version_0_1_has_the_same_keys),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
