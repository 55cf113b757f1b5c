/* A run's folder: files that no run wrote stay as they are. */
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "output/run_folder.h"
#include "support/check.h"
#include "support/files.h"

static void open_and_close(const char *folder, bool overwrite)
{
    run_lock *lock = NULL;
    CHECK_OK(run_folder_open(folder, overwrite, &lock));
    run_lock_release(lock);
}

static void results_of_others_are_refused(void **state)
{
    static const char *const names[] = {"adapter.safetensors", "metrics.jsonl", "spectra.h5"};
    const char *folder = *state;
    run_lock *lock = NULL;
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
    run_lock *first = NULL, *second = NULL;
    CHECK_OK(run_folder_open(folder, false, &first));
    CHECK_FAILS(run_folder_open(folder, true, &second), SODA_ERR_INPUT);
    check_message_has("another run is writing to this folder");
    run_lock_release(first);
    open_and_close(folder, false);
}

static void be(const char *job, const char *attempt)
{
    setenv("SODA_JOB", job, 1);
    setenv("SODA_ATTEMPT", attempt, 1);
}

static void forget(void)
{
    unsetenv("SODA_JOB");
    unsetenv("SODA_ATTEMPT");
}

/* The lock of an attempt on a node that was cut off. */
static void a_later_attempt_of_the_job_takes_over(void **state)
{
    const char *folder = *state;
    run_lock *old = NULL, *new = NULL, *other = NULL;
    be("job 7", "1");
    CHECK_OK(run_folder_open(folder, false, &old));
    CHECK_OK(run_lock_check(old));
    CHECK_FAILS(run_folder_open(folder, false, &other),
                SODA_ERR_INPUT); /* the same attempt twice */
    check_message_has("attempt 1 of job job_7 on ");
    be("job 7", "2");
    CHECK_OK(run_folder_open(folder, false, &new));
    CHECK_OK(run_lock_check(new));
    CHECK_FAILS(run_lock_check(old), SODA_ERR_INPUT);
    check_message_has("attempt 2 of job job_7 on ");
    check_message_has("stops without writing");
    be("job 7", "1");
    CHECK_FAILS(run_folder_open(folder, false, &other), SODA_ERR_INPUT); /* never backwards */
    be("job 8", "3");
    CHECK_FAILS(run_folder_open(folder, false, &other), SODA_ERR_INPUT);
    check_message_has("another run is writing to this folder: attempt 2 of job job_7 on ");
    forget();
    CHECK_FAILS(run_folder_open(folder, false, &other), SODA_ERR_INPUT);
    run_lock_release(old);
    CHECK_OK(run_lock_check(new));
    run_lock_release(new);
    open_and_close(folder, false);
    assert_int_equal(files_count(folder), 2); /* .lock, checkpoints */
}

/* File systems without locks: the line tells who writes. */
static void a_line_of_a_later_attempt_is_noticed(void **state)
{
    const char *folder = *state;
    run_lock *lock = NULL;
    be("7", "1");
    CHECK_OK(run_folder_open(folder, false, &lock));
    const int fd = open(files_path(folder, ".lock"), O_WRONLY | O_TRUNC);
    assert_int_equal(write(fd, "7 2 elsewhere\n", 14), 14);
    close(fd);
    CHECK_FAILS(run_lock_check(lock), SODA_ERR_INPUT);
    check_message_has("attempt 2 of job 7 on elsewhere");
    assert_int_equal(unlink(files_path(folder, ".lock")), 0);
    CHECK_OK(run_lock_check(lock));
    run_lock_release(lock);
    forget();
}

static void what_dead_attempts_left_is_deleted(void **state)
{
    static const char *const dead[] = {"spectra.h5.tmp-n1-7",
                                       "adapter.safetensors.tmp-n2-1",
                                       "metrics.jsonl.tmp-n1-7",
                                       "config.yaml.tmp-n1-7",
                                       "checkpoints/step-00000004.h5.tmp-n1-7",
                                       "checkpoints/latest.tmp-n1-7",
                                       "samples/step-00000004-0.png.tmp-n1-7"};
    const char *folder = *state;
    open_and_close(folder, false);
    assert_int_equal(mkdir(files_path(folder, "samples"), 0777), 0);
    for (int i = 0; i < 7; i++) files_write(folder, dead[i], "x", 1);
    files_write(folder, "notes.tmp-1", "x", 1);
    files_write(folder, "adapter.safetensors", "x", 1);
    files_write(folder, "checkpoints/step-00000004.h5", "x", 1);
    open_and_close(folder, false);
    for (int i = 0; i < 7; i++) assert_int_not_equal(access(files_path(folder, dead[i]), F_OK), 0);
    assert_int_equal(access(files_path(folder, "notes.tmp-1"), F_OK), 0);
    assert_int_equal(access(files_path(folder, "adapter.safetensors"), F_OK), 0);
    assert_int_equal(access(files_path(folder, "checkpoints/step-00000004.h5"), F_OK), 0);
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

static void write_config(const char *folder, const char *given, const char *text)
{
    CHECK_OK(run_folder_write_config(folder, files_path(folder, given), text));
}

static void configurations_of_users_are_kept(void **state)
{
    const char *folder = *state;
    write_config(folder, "run.yaml", "a: 1\n");
    check_text(folder, "config.yaml", "a: 1\n");
    write_config(folder, "run.yaml", "a: 2\n"); /* its own */
    check_text(folder, "config.yaml", "a: 2\n");
    assert_int_equal(files_count(folder), 1);
    files_put(folder, "config.yaml", "# my notes\n");
    write_config(folder, "run.yaml", "a: 3\n");
    write_config(folder, "run.yaml", "a: 4\n");
    check_text(folder, "config.yaml", "# my notes\n");
    check_text(folder, "config.resolved.yaml", "a: 4\n");
    files_put(folder, "config.resolved.yaml", "# more notes\n");
    write_config(folder, "run.yaml", "a: 5\n");
    write_config(folder, "run.yaml", "a: 6\n");
    check_text(folder, "config.yaml", "# my notes\n");
    check_text(folder, "config.resolved.yaml", "# more notes\n");
    check_text(folder, "config.resolved-2.yaml", "a: 6\n");
    assert_int_equal(files_count(folder), 3);
}

/* It may be one that soda wrote and the user edited. */
static void the_configuration_that_was_given_is_kept(void **state)
{
    const char *folder = *state;
    write_config(folder, "run.yaml", "a: 1\n");
    write_config(folder, "config.yaml", "a: 2\n");
    check_text(folder, "config.yaml", "a: 1\n");
    check_text(folder, "config.resolved.yaml", "a: 2\n");
    write_config(folder, "run.yaml", "a: 3\n"); /* afterwards, too */
    check_text(folder, "config.yaml", "a: 1\n");
    check_text(folder, "config.resolved.yaml", "a: 3\n");
    write_config(folder, "config.resolved.yaml", "a: 4\n");
    check_text(folder, "config.resolved.yaml", "a: 3\n");
    check_text(folder, "config.resolved-2.yaml", "a: 4\n");
}

/* Not reading it once must not leave a second file beside it for good. */
static void a_configuration_that_cannot_be_read_is_an_error(void **state)
{
    const char *folder = *state;
    assert_int_equal(mkdir(files_path(folder, "config.yaml"), 0777), 0);
    CHECK_FAILS(run_folder_write_config(folder, "run.yaml", "a: 1\n"), SODA_ERR_IO);
    check_message_has("config.yaml: cannot read: Is a directory");
    assert_int_equal(files_count(folder), 1);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(results_of_others_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_makes_the_folder_a_run, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_second_run_is_kept_out, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_later_attempt_of_the_job_takes_over, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_line_of_a_later_attempt_is_noticed, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_dead_attempts_left_is_deleted, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(an_adapter_without_checkpoints_is_not_a_new_run,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_configuration_that_cannot_be_read_is_an_error,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(configurations_of_users_are_kept, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(the_configuration_that_was_given_is_kept, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
