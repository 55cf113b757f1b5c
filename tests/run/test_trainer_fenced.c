/* An attempt whose folder another one has taken over: it ends with that one error, and no warning
 * tells before that the run goes on. */
#include "output/run_state_case.h"

#include <fcntl.h>
#include <stdlib.h>
#include <unistd.h>

#include "core/log.h"
#include "run/trainer_internal.h"
#include "support/caught_log.h"
#include "support/own_open.h"

static const char lost[] = "attempt 2 of job 7 on elsewhere has taken this folder over";
static const char *watched; /* a lock */
static int looks;           /* after that many it is another attempt's; below 0: never */

static void take_over(void)
{
    const char line[] = "7 2 elsewhere\n";
    const int fd = (int)syscall(SYS_openat, AT_FDCWD, watched, O_WRONLY | O_TRUNC, 0);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, line, sizeof line - 1), sizeof line - 1);
    close(fd);
}

static int before_open(const char *path, int flags)
{
    (void)flags;
    if (watched && strcmp(path, watched) == 0 && looks-- == 0) take_over();
    return 0;
}

typedef struct {
    run run;
    run_config config;
    soda_trainer trainer;
    char checkpoints[1024], spectra[1024], log[1024];
} fenced;

/* An attempt that saves; its folder is taken over when it looks at the lock for the n-th time. */
static void open_fenced(fenced *f, const char *folder, int n)
{
    static float Q[M * N];
    *f = (fenced){.config = {.checkpoint = {.async = true, .retry_s = 600}}};
    setenv("SODA_JOB", "7", 1);
    run_start(&f->run);
    for (int i = 0; i < M; i++) Q[i * N + i] = 1; /* rows of the identity */
    for (int i = 0; i < layers_count(f->run.layers); i++)
        layers_at(f->run.layers, i)->basis[0].source.data = Q;
    run_on(&f->run, 3);
    snprintf(f->checkpoints, sizeof f->checkpoints, "%s/checkpoints", folder);
    snprintf(f->spectra, sizeof f->spectra, "%s/spectra.h5", folder);
    snprintf(f->log, sizeof f->log, "%s/log", folder);
    CHECK_OK(newfile_make_folder(f->checkpoints));
    f->trainer = (soda_trainer){.config = &f->config, .comm = comm_self()};
    CHECK_OK(run_lock_take(folder, &f->trainer.lock));
    const run_saver_target target = {&f->run.state, &f->run.params, f->run.layers, f->trainer.lock,
                                     NULL,          f->checkpoints, f->spectra,    2};
    CHECK_OK(run_saver_create(&target, &f->trainer.saver));
    watched = files_path(folder, ".lock");
    looks = n - 1;
}

static void close_fenced(fenced *f)
{
    watched = NULL;
    assert_int_equal(files_count(f->checkpoints), 0);
    assert_true(access(f->spectra, F_OK) != 0);
    run_saver_destroy(f->trainer.saver);
    run_lock_release(f->trainer.lock);
    run_close(&f->run);
    unsetenv("SODA_JOB");
}

/* The thread of the save in flight sees it first, the step that saves next hears of it. */
static void a_save_that_waits_for_a_lost_one_is_no_warning(void **state)
{
    fenced f;
    open_fenced(&f, *state, 1);
    const int kept = log_catch(f.log);
    trainer_save(&f.trainer);
    const soda_status first = f.trainer.pending;
    trainer_save(&f.trainer);
    log_release(kept);
    assert_int_equal(first, SODA_OK);
    assert_int_equal(f.trainer.pending, SODA_ERR_INPUT);
    check_message_has(lost);
    assert_int_equal(log_count(f.log, "warning"), 0);
    close_fenced(&f);
}

/* Between the look of all ranks and the writing. */
static void the_last_save_is_not_tried_again(void **state)
{
    fenced f;
    open_fenced(&f, *state, 2);
    const int kept = log_catch(f.log);
    const soda_status s = trainer_save_last(&f.trainer, false);
    log_release(kept);
    assert_int_equal(s, SODA_ERR_INPUT);
    check_message_has(lost);
    assert_int_equal(log_count(f.log, "warning"), 0);
    close_fenced(&f);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_save_that_waits_for_a_lost_one_is_no_warning, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(the_last_save_is_not_tried_again, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
