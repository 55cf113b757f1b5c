/* The example with every key that users were promised is read as it stands, and what it gives as
 * defaults are the defaults. */
#include "run_config_case.h"

#include <stdlib.h>

#include "config/run_config_diff.h"

#define FOLDER SODA_SOURCE_DIR "/tests/fuzz/corpus/run_config/"

static run_config *read_example(void)
{
    run_config *c;
    CHECK_OK(run_config_read(FOLDER "interface", NULL, 0, &c));
    return c;
}

static void the_example_is_read(void **state)
{
    (void)state;
    run_config *c = read_example();
    assert_string_equal(c->file, FOLDER "interface");
    assert_string_equal(c->model, FOLDER "../models/sd15");
    assert_string_equal(c->data.path, FOLDER "images");
    assert_string_equal(c->data.prior_path, FOLDER "class_images");
    assert_int_equal(c->train.global_batch, 4);
    assert_int_equal(c->sample.every, 200);
    assert_int_equal(c->sample.prompts.count, 1);
    assert_string_equal(c->sample.prompts.list[0], "...");
    assert_string_equal(c->validation.path, FOLDER "held_out");
    assert_string_equal(c->output, FOLDER "runs/dog");
    run_config_destroy(c);
}

static void its_other_values_are_the_defaults(void **state)
{
    (void)state;
    static const char *const own[] = {"model",        "data.path",      "data.prior.path",
                                      "sample.every", "sample.prompts", "train.global_batch",
                                      "output",       "validation.path"};
    const size_t count = sizeof own / sizeof *own;
    run_config *example = read_example(), *defaults = parse("{}", NULL);
    char *text[2];
    run_config_diff c;
    CHECK_OK(run_config_text(defaults, &text[0]));
    CHECK_OK(run_config_text(example, &text[1]));
    CHECK_OK(run_config_diff_find(text[0], text[1], &c));
    for (int i = 0; i < c.count; i++) {
        size_t k = 0;
        while (k < count && strcmp(own[k], c.list[i].name) != 0) k++;
        if (k == count)
            fail_msg("%s: the default is %s, not %s", c.list[i].name, c.list[i].before,
                     c.list[i].after);
    }
    assert_int_equal(c.count, count);
    run_config_diff_free(&c);
    for (int i = 0; i < 2; i++) free(text[i]);
    run_config_destroy(example);
    run_config_destroy(defaults);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_example_is_read),
        cmocka_unit_test(its_other_values_are_the_defaults),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
