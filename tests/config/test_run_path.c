/* Paths of a configuration with a home folder and variables of the environment in them. */
#include <stdlib.h>
#include <string.h>

#include "config/run_config.h"
#include "support/check.h"
#include "support/files.h"

static void home_and_variables_are_expanded_in_paths(void **state)
{
    static const char text[] = "{model: ~/m, output: \"$SODA_TEST_A/run-${SODA_TEST_B}.$$5\",\n"
                               " sample: {prompts: [\"$5 for ~\"]}}";
    const char *path = files_write(*state, "run.yaml", text, strlen(text));
    char *again;
    run_config *c, *copy;
    setenv("HOME", "/home/ada", 1);
    setenv("SODA_TEST_A", "/scratch", 1);
    setenv("SODA_TEST_B", "7", 1);
    CHECK_OK(run_config_read(path, NULL, 0, &c));
    assert_string_equal(c->model, "/home/ada/m");
    assert_string_equal(c->output, "/scratch/run-7.$5");
    assert_string_equal(c->sample.prompts.list[0], "$5 for ~"); /* not a path */
    CHECK_OK(run_config_text(c, &again));
    CHECK_OK(run_config_parse(again, strlen(again), "again", NULL, 0, &copy));
    assert_string_equal(copy->output, "/scratch/run-7.$5");
    run_config_destroy(copy);
    run_config_destroy(c);
    free(again);
    setenv("SODA_TEST_B", "", 1); /* empty: as good as not set */
    CHECK_FAILS(run_config_read(path, NULL, 0, &c), SODA_ERR_INPUT);
    check_message_has(
        "run.yaml:1: output: expected the environment variable SODA_TEST_B to be set");
    unsetenv("SODA_TEST_A");
    unsetenv("SODA_TEST_B");
    const char *const sets[] = {"output=o", "model=~ada/m"};
    CHECK_FAILS(run_config_read(path, sets, 2, &c), SODA_ERR_INPUT);
    check_message_has("--set model: expected ~/..., an absolute path");
    const char *const signs[] = {"output=a$", "model=m"};
    CHECK_FAILS(run_config_read(path, signs, 2, &c), SODA_ERR_INPUT);
    check_message_has("--set output: expected a name after each $");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(home_and_variables_are_expanded_in_paths, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
