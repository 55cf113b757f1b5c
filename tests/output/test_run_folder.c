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

static const char this_run[] = "train:\n  seed: 1\n  lr: 2\n";

static soda_status open_folder(const char *folder, bool overwrite, run_lock **lock)
{
    return run_folder_open(folder, this_run, overwrite, lock);
}

static void open_and_close(const char *folder, bool overwrite)
{
    run_lock *lock = NULL;
    CHECK_OK(open_folder(folder, overwrite, &lock));
    run_lock_release(lock);
}

static void check_refused(const char *folder, const char *name)
{
    run_lock *lock = NULL;
    CHECK_FAILS(open_folder(folder, false, &lock), SODA_ERR_INPUT);
    check_message_has(name);
    check_message_has("--overwrite");
}

static const char *const result_names[] = {"adapter.safetensors", "metrics.jsonl", "spectra.h5",
                                           "checkpoints/latest"};
enum { RESULTS = sizeof result_names / sizeof *result_names };

static void results_of_others_are_refused(void **state)
{
    const char *folder = *state;
    assert_int_equal(mkdir(files_path(folder, "checkpoints"), 0777), 0);
    files_put(folder, "checkpoints/step-100.ckpt", "mine");
    files_put(folder, "checkpoints/global_step100", "mine");
    for (int i = 0; i < RESULTS; i++) {
        files_put(folder, result_names[i], "mine");
        check_refused(folder, result_names[i]);
        assert_int_equal(unlink(files_path(folder, result_names[i])), 0);
    }
    assert_int_equal(files_count(folder), 1); /* refused before anything was made */
    files_put(folder, "metrics.jsonl", "mine");
    open_and_close(folder, true);
}

static void a_lock_file_of_others_is_refused(void **state)
{
    const char *folder = *state;
    files_put(folder, ".lock", "12345\n");
    check_refused(folder, ".lock");
    open_and_close(folder, true);
    open_and_close(folder, false);
}

/* All but its checkpoints, and of those what was moved away is not missed. */
static void what_an_earlier_run_left_is_refused(void **state)
{
    const char *folder = *state, *given = files_path(folder, "run.yaml");
    open_and_close(folder, false);
    CHECK_OK(run_folder_write_config(folder, given, "train:\n  seed: 1\n  lr: 3\n"));
    for (int i = 0; i < RESULTS; i++) {
        files_put(folder, result_names[i], "x");
        check_refused(folder, result_names[i]);
        assert_int_equal(unlink(files_path(folder, result_names[i])), 0);
    }
    assert_int_equal(mkdir(files_path(folder, "samples"), 0777), 0);
    check_refused(folder, "samples");
}

static void a_run_that_ended_before_its_first_checkpoint_starts_again(void **state)
{
    const char *folder = *state, *given = files_path(folder, "run.yaml");
    open_and_close(folder, false);
    CHECK_OK(run_folder_write_config(
        folder, given, "train:\n  seed: 1\n  lr: 2\n  memory_limit: 5\nparallel:\n  shard: 2\n"));
    files_put(folder, "metrics.jsonl", "{\"step\": 0}\n");
    files_put(folder, "attempts", "7 1 0 here\n");
    assert_int_equal(mkdir(files_path(folder, "samples"), 0777), 0);
    open_and_close(folder, false);
    files_put(folder, "spectra.h5", "x"); /* comes with a checkpoint only */
    check_refused(folder, "spectra.h5");
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
    CHECK_OK(open_folder(folder, false, &first));
    CHECK_FAILS(open_folder(folder, true, &second), SODA_ERR_INPUT);
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
    CHECK_OK(open_folder(folder, false, &old));
    CHECK_OK(run_lock_check(old));
    CHECK_FAILS(open_folder(folder, false, &other), SODA_ERR_INPUT); /* the same attempt twice */
    check_message_has("attempt 1 of job job_7 on ");
    be("job 7", "2");
    CHECK_OK(open_folder(folder, false, &new));
    CHECK_OK(run_lock_check(new));
    CHECK_FAILS(run_lock_check(old), SODA_ERR_INPUT);
    check_message_has("attempt 2 of job job_7 on ");
    check_message_has("stops without writing");
    be("job 7", "1");
    CHECK_FAILS(open_folder(folder, false, &other), SODA_ERR_INPUT); /* never backwards */
    be("job 8", "3");
    CHECK_FAILS(open_folder(folder, false, &other), SODA_ERR_INPUT);
    check_message_has("another run is writing to this folder: attempt 2 of job job_7 on ");
    forget();
    CHECK_FAILS(open_folder(folder, false, &other), SODA_ERR_INPUT);
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
    CHECK_OK(open_folder(folder, false, &lock));
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
        cmocka_unit_test_setup_teardown(a_lock_file_of_others_is_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_an_earlier_run_left_is_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_run_that_ended_before_its_first_checkpoint_starts_again,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_checkpoint_makes_the_folder_a_run, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_second_run_is_kept_out, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_later_attempt_of_the_job_takes_over, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_line_of_a_later_attempt_is_noticed, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_dead_attempts_left_is_deleted, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_configuration_that_cannot_be_read_is_an_error,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(configurations_of_users_are_kept, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(the_configuration_that_was_given_is_kept, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
