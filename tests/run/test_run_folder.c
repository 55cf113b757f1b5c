/* A run's folder: files that no run wrote stay as they are. */
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "run/run_folder.h"
#include "support/check.h"
#include "support/files.h"

static void open_and_close(const char *folder, bool overwrite)
{
    int lock = -1;
    CHECK_OK(run_folder_open(folder, overwrite, &lock));
    close(lock);
}

static void results_of_others_are_refused(void **state)
{
    static const char *const names[] = {"adapter.safetensors", "metrics.jsonl", "spectra.h5"};
    const char *folder = *state;
    int lock = -1;
    for (int i = 0; i < 3; i++) {
        files_write(folder, names[i], "mine", 4);
        CHECK_FAILS(run_folder_open(folder, false, &lock), SODA_ERR_INPUT);
        check_message_has(names[i]);
        check_message_has("--overwrite");
        assert_int_equal(unlink(files_path(folder, names[i])), 0);
    }
    assert_int_equal(files_count(folder), 0); /* refused before anything was made */
    files_write(folder, "metrics.jsonl", "mine", 4);
    open_and_close(folder, true);
    open_and_close(folder, false); /* a run was here */
}

static void a_checkpoint_makes_the_folder_a_run(void **state)
{
    const char *folder = *state;
    assert_int_equal(mkdir(files_path(folder, "checkpoints"), 0777), 0);
    files_write(folder, "checkpoints/step-00000001.h5", "x", 1);
    files_write(folder, "adapter.safetensors", "x", 1);
    open_and_close(folder, false); /* copied without its hidden lock file */
}

static void a_second_run_is_kept_out(void **state)
{
    const char *folder = *state;
    int first = -1, second = -1;
    CHECK_OK(run_folder_open(folder, false, &first));
    CHECK_FAILS(run_folder_open(folder, true, &second), SODA_ERR_INPUT);
    check_message_has("another run is writing to this folder");
    close(second);
    close(first);
    open_and_close(folder, false);
}

static void an_adapter_without_checkpoints_is_not_a_new_run(void **state)
{
    const char *folder = *state;
    open_and_close(folder, false);
    CHECK_OK(run_folder_check_new(folder));
    files_write(folder, "adapter.safetensors", "x", 1);
    CHECK_FAILS(run_folder_check_new(folder), SODA_ERR_INPUT);
    check_message_has("adapter.safetensors");
}

static void check_text(const char *folder, const char *name, const char *part)
{
    size_t bytes;
    char *text = files_read(files_path(folder, name), &bytes);
    assert_non_null(strstr(text, part));
    free(text);
}

static void configurations_of_users_are_kept(void **state)
{
    const char *folder = *state;
    CHECK_OK(run_folder_write_config(folder, "a: 1\n"));
    check_text(folder, "config.yaml", "a: 1\n");
    CHECK_OK(run_folder_write_config(folder, "a: 2\n")); /* its own */
    check_text(folder, "config.yaml", "a: 2\n");
    assert_int_equal(files_count(folder), 1);
    files_write(folder, "config.yaml", "# my notes\n", 11);
    CHECK_OK(run_folder_write_config(folder, "a: 3\n"));
    CHECK_OK(run_folder_write_config(folder, "a: 4\n"));
    check_text(folder, "config.yaml", "# my notes\n");
    check_text(folder, "config.resolved.yaml", "a: 4\n");
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_of_others_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_makes_the_folder_a_run, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_second_run_is_kept_out, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(an_adapter_without_checkpoints_is_not_a_new_run,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(configurations_of_users_are_kept, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
