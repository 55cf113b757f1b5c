/* Saves in the background: the bytes of a save that was waited for, while training moves on; what
 * fails is tried again, and is no failure of the run. */
#include "output/run_state_case.h"

#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "output/run_saver.h"
#include "support/caught_log.h"

static const double FOREVER = (double)INFINITY;

typedef struct {
    run run;
    run_saver *saver;
    char checkpoints[1024], spectra[1024];
} saving;

static void open_saving(saving *s, const char *folder, const char *name, const run_lock *lock)
{
    char spectra[64];
    static float Q[M * N];
    memset(s, 0, sizeof *s);
    run_start(&s->run);
    for (int i = 0; i < M; i++) Q[i * N + i] = 1; /* rows of the identity */
    for (int i = 0; i < layers_count(s->run.layers); i++)
        layers_at(s->run.layers, i)->basis[0].source.data = Q;
    run_on(&s->run, 3);
    snprintf(s->checkpoints, sizeof s->checkpoints, "%s", files_path(folder, name));
    snprintf(spectra, sizeof spectra, "%s.spectra.h5", name);
    snprintf(s->spectra, sizeof s->spectra, "%s", files_path(folder, spectra));
    CHECK_OK(newfile_make_folder(s->checkpoints));
    const run_saver_target target = {&s->run.state, &s->run.params, s->run.layers, lock,
                                     NULL,          s->checkpoints, s->spectra,    2};
    CHECK_OK(run_saver_create(&target, &s->saver));
}

static void close_saving(saving *s)
{
    run_saver_destroy(s->saver);
    run_close(&s->run);
}

static void check_same_file(const char *a, const char *b)
{
    size_t bytes[2];
    char *text[] = {files_read(a, &bytes[0]), files_read(b, &bytes[1])};
    assert_int_equal(bytes[0], bytes[1]);
    assert_memory_equal(text[0], text[1], bytes[0]);
    free(text[0]);
    free(text[1]);
}

static const char *checkpoint_of(const saving *s, int64_t step)
{
    static char path[2][1200];
    static int next;
    char *to = path[next = !next];
    snprintf(to, sizeof path[0], "%s/step-%08lld.h5", s->checkpoints, (long long)step);
    return to;
}

static bool is_there(const char *path) { return access(path, F_OK) == 0; }

/* Until the saver has nothing left to do that works: at most ten seconds. */
static void poll_until(const saving *s, const char *path)
{
    for (int i = 0; i < 1000 && !is_there(path); i++) {
        CHECK_OK(run_saver_poll(s->saver));
        usleep(10000);
    }
    assert_true(is_there(path));
}

/* The state changes while the thread writes its copy. */
static void the_bytes_are_those_of_the_moment(void **state)
{
    saving behind, waited;
    open_saving(&behind, *state, "behind", NULL);
    open_saving(&waited, *state, "waited", NULL);
    for (int i = 0; i < 5; i++) {
        CHECK_OK(run_saver_start(behind.saver, false));
        CHECK_OK(run_saver_save(waited.saver, FOREVER));
        run_on(&behind.run, 4);
        run_on(&waited.run, 4);
        CHECK_OK(run_saver_poll(behind.saver));
    }
    CHECK_OK(run_saver_wait(behind.saver));
    const int64_t last = behind.run.state.step - 4;
    check_same_file(checkpoint_of(&behind, last), checkpoint_of(&waited, last));
    check_same_file(checkpoint_of(&behind, last - 4), checkpoint_of(&waited, last - 4));
    check_same_file(behind.spectra, waited.spectra);
    assert_false(is_there(checkpoint_of(&behind, last - 8))); /* keep 2 */
    assert_true(run_saver_longest_s(behind.saver) > 0);
    spectra_about about;
    CHECK_OK(spectra_describe(behind.spectra, &about));
    assert_int_equal(about.records, 5);
    close_saving(&behind);
    close_saving(&waited);
}

/* Spectra that are still to be measured when the next save begins are in the file all the same. */
static void a_save_makes_way_for_the_next(void **state)
{
    saving behind, waited;
    int64_t step;
    open_saving(&behind, *state, "way", NULL);
    open_saving(&waited, *state, "waited", NULL);
    assert_true(run_saver_make_way(behind.saver, &step));
    for (int i = 0; i < 5; i++) {
        for (int ms = 0; !run_saver_make_way(behind.saver, &step); ms++) {
            assert_int_equal(step, behind.run.state.step - 4);
            assert_true(ms < 60000);
            usleep(1000);
        }
        CHECK_OK(run_saver_start(behind.saver, false));
        CHECK_OK(run_saver_save(waited.saver, FOREVER));
        run_on(&behind.run, 4);
        run_on(&waited.run, 4);
    }
    CHECK_OK(run_saver_wait(behind.saver));
    const int64_t last = behind.run.state.step - 4;
    check_same_file(checkpoint_of(&behind, last), checkpoint_of(&waited, last));
    check_same_file(behind.spectra, waited.spectra);
    close_saving(&behind);
    close_saving(&waited);
}

static void a_save_in_flight_is_finished(void **state)
{
    saving s;
    open_saving(&s, *state, "flight", NULL);
    CHECK_OK(run_saver_start(s.saver, false));
    close_saving(&s);
    snprintf(s.checkpoints, sizeof s.checkpoints, "%s", files_path(*state, "flight"));
    assert_true(is_there(checkpoint_of(&s, 3)));
}

/* Whoever has to end in time hears of a slow save before it has ended. */
static void a_save_in_flight_counts_as_long_as_it_takes(void **state)
{
    saving s;
    open_saving(&s, *state, "long", NULL);
    assert_true(run_saver_longest_s(s.saver) == 0);
    CHECK_OK(run_saver_start(s.saver, false));
    usleep(200000);
    assert_true(run_saver_longest_s(s.saver) >= 0.2);
    close_saving(&s);
}

/* A folder that is gone for a while, as on a full disk: the copy of that step gets there. */
static void what_fails_is_tried_again(void **state)
{
    saving s;
    open_saving(&s, *state, "again", NULL);
    assert_int_equal(rmdir(s.checkpoints), 0);
    CHECK_OK(run_saver_start(s.saver, false));
    CHECK_OK(run_saver_wait(s.saver));
    CHECK_OK(run_saver_poll(s.saver)); /* too early for another try */
    run_on(&s.run, 4);
    assert_int_equal(mkdir(s.checkpoints, 0777), 0);
    poll_until(&s, checkpoint_of(&s, 3));
    CHECK_OK(run_saver_wait(s.saver));
    assert_false(is_there(checkpoint_of(&s, 7)));
    assert_int_equal(rmdir(s.checkpoints), -1);
    close_saving(&s);
}

/* The folder comes back just before the last save: there is a last chance for what failed, too,
 * unless the run has to end. */
static void what_fails_is_tried_before_the_last(void **state)
{
    const double spectra_s[] = {FOREVER, 0};
    saving s[2], plain;
    open_saving(&plain, *state, "plain", NULL);
    CHECK_OK(run_saver_save(plain.saver, FOREVER));
    for (int i = 0; i < 2; i++) {
        open_saving(&s[i], *state, i == 0 ? "patient" : "ended", NULL);
        assert_int_equal(rmdir(s[i].checkpoints), 0);
        CHECK_OK(run_saver_start(s[i].saver, false));
        CHECK_OK(run_saver_wait(s[i].saver));
        run_on(&s[i].run, 4);
        assert_int_equal(mkdir(s[i].checkpoints, 0777), 0);
        CHECK_OK(run_saver_save(s[i].saver, spectra_s[i]));
        assert_true(is_there(checkpoint_of(&s[i], 7)));
    }
    check_same_file(checkpoint_of(&s[0], 3), checkpoint_of(&plain, 3));
    assert_false(is_there(checkpoint_of(&s[1], 3)));
    close_saving(&s[0]);
    close_saving(&s[1]);
    close_saving(&plain);
}

/* The same at the end: here the caller tries again. */
static void a_save_that_is_waited_for_fails(void **state)
{
    saving s;
    open_saving(&s, *state, "last", NULL);
    assert_int_equal(rmdir(s.checkpoints), 0);
    CHECK_FAILS(run_saver_save(s.saver, FOREVER), SODA_ERR_IO);
    check_message_has("step-00000003.h5");
    assert_int_equal(mkdir(s.checkpoints, 0777), 0);
    CHECK_OK(run_saver_save(s.saver, FOREVER));
    assert_true(is_there(checkpoint_of(&s, 3)));
    close_saving(&s);
}

/* Entries for which there is no room come later, in their order; more than wait are given up. */
static void spectra_catch_up(void **state)
{
    saving s, plain;
    spectra_about about;
    open_saving(&s, *state, "late", NULL);
    open_saving(&plain, *state, "plain", NULL);
    assert_int_equal(mkdir(s.spectra, 0777), 0); /* in its way */
    for (int i = 0; i < 3; i++) {
        CHECK_OK(run_saver_save(s.saver, FOREVER));
        CHECK_OK(run_saver_save(plain.saver, FOREVER));
        run_on(&s.run, 1);
        run_on(&plain.run, 1);
    }
    assert_int_equal(rmdir(s.spectra), 0);
    run_saver_finish(s.saver);
    check_same_file(s.spectra, plain.spectra);

    assert_int_equal(unlink(s.spectra), 0);
    assert_int_equal(mkdir(s.spectra, 0777), 0);
    for (int i = 0; i < RUN_SPECTRA_WAITING + 2; i++) {
        CHECK_OK(run_saver_save(s.saver, FOREVER));
        run_on(&s.run, 1);
    }
    assert_int_equal(rmdir(s.spectra), 0);
    run_saver_finish(s.saver);
    CHECK_OK(spectra_describe(s.spectra, &about));
    assert_int_equal(about.records, RUN_SPECTRA_WAITING);
    assert_int_equal(about.first_step, 6 + 2);
    close_saving(&s);
    close_saving(&plain);
}

/* A save that is waited for may be cut short before it comes to its spectra, and is finished by
 * whoever waits: only what is in the file is told as written. */
static void only_what_is_in_the_file_is_called_written(void **state)
{
    static const char after_all[] = "the entry in spectra.h5 is written after all";
    saving s;
    char path[1024];
    snprintf(path, sizeof path, "%s", files_path(*state, "log"));
    open_saving(&s, *state, "told", NULL);
    assert_int_equal(mkdir(s.spectra, 0777), 0); /* in its way */
    const int kept = log_catch(path);
    for (int i = 0; i < 4; i++) {
        CHECK_OK(run_saver_start(s.saver, false));
        CHECK_OK(run_saver_wait(s.saver));
        run_on(&s.run, 1);
    }
    const int failed = log_count(path, "continues without this entry in spectra.h5"),
              written = log_count(path, after_all);
    assert_int_equal(rmdir(s.spectra), 0);
    CHECK_OK(run_saver_save(s.saver, FOREVER));
    run_on(&s.run, 1);
    CHECK_OK(run_saver_save(s.saver, FOREVER));
    log_release(kept);
    assert_int_equal(failed, 1);
    assert_int_equal(written, 0);
    assert_int_equal(log_count(path, after_all), 1);
    assert_int_equal(log_count(path, "step 7: the entry"), 1);
    close_saving(&s);
}

/* A process that died between checkpoint and spectra. */
static void a_lost_entry_is_made_again(void **state)
{
    saving s, plain;
    open_saving(&s, *state, "lost", NULL);
    open_saving(&plain, *state, "whole", NULL);
    for (int i = 0; i < 2; i++) { /* the second time the entry is there */
        CHECK_OK(run_saver_mend(s.saver));
        CHECK_OK(run_saver_wait(s.saver));
        CHECK_OK(run_saver_save(plain.saver, FOREVER));
        check_same_file(s.spectra, plain.spectra);
        assert_false(is_there(checkpoint_of(&s, 3))); /* that one was there before */
    }
    close_saving(&s);
    close_saving(&plain);
}

/* A run that has to end does not wait for spectra, and the one that resumes it makes them. */
static void spectra_that_take_too_long_are_left_to_the_next(void **state)
{
    saving s, plain;
    open_saving(&s, *state, "ended", NULL);
    open_saving(&plain, *state, "patient", NULL);
    CHECK_OK(run_saver_save(s.saver, 0));
    CHECK_OK(run_saver_save(plain.saver, FOREVER));
    check_same_file(checkpoint_of(&s, 3), checkpoint_of(&plain, 3));
    assert_false(is_there(s.spectra));
    CHECK_OK(run_saver_poll(s.saver)); /* nothing is tried again */
    CHECK_OK(run_saver_wait(s.saver));
    assert_false(is_there(s.spectra));
    run_saver_destroy(s.saver);
    const run_saver_target target = {&s.run.state, &s.run.params, s.run.layers, NULL,
                                     NULL,         s.checkpoints, s.spectra,    2};
    CHECK_OK(run_saver_create(&target, &s.saver));
    CHECK_OK(run_saver_mend(s.saver));
    CHECK_OK(run_saver_wait(s.saver));
    check_same_file(s.spectra, plain.spectra);
    close_saving(&s);
    close_saving(&plain);
}

static void nothing_is_written_to_a_folder_that_is_lost(void **state)
{
    saving s;
    run_lock *lock = NULL;
    setenv("SODA_JOB", "7", 1);
    CHECK_OK(run_lock_take(*state, &lock));
    open_saving(&s, *state, "taken", lock);
    files_write(*state, ".lock", "7 2 elsewhere\n", 14);
    CHECK_FAILS(run_saver_save(s.saver, FOREVER), SODA_ERR_INPUT);
    CHECK_OK(run_saver_start(s.saver, false));
    CHECK_FAILS(run_saver_wait(s.saver), SODA_ERR_INPUT);
    check_message_has("attempt 2 of job 7 on elsewhere");
    assert_false(is_there(checkpoint_of(&s, 3)));
    assert_false(is_there(s.spectra));
    close_saving(&s);
    run_lock_release(lock);
    unsetenv("SODA_JOB");
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_bytes_are_those_of_the_moment, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_save_makes_way_for_the_next, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_save_in_flight_is_finished, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_save_in_flight_counts_as_long_as_it_takes, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_fails_is_tried_again, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_fails_is_tried_before_the_last, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_save_that_is_waited_for_fails, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(spectra_catch_up, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(only_what_is_in_the_file_is_called_written, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_lost_entry_is_made_again, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(spectra_that_take_too_long_are_left_to_the_next,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(nothing_is_written_to_a_folder_that_is_lost, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
