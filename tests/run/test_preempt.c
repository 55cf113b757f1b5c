/* When a run has to stop: the end of the job, as the batch scripts or the scheduler tell it. */
#include <fcntl.h>
#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "config/run_config.h"
#include "run/preempt.h"
#include "support/check.h"

/* Sets NAME to `seconds` from now. */
static void end_in(const char *name, int seconds)
{
    char text[32];
    snprintf(text, sizeof text, "%lld", (long long)time(NULL) + seconds);
    setenv(name, text, 1);
}

static void check_left(double time_limit_s, double want)
{
    const double left = preempt_seconds_left(time_limit_s);
    assert_true(left > want - 5 && left <= want + 1); /* the clock goes on */
}

static void described(double time_limit_s, const char *part)
{
    char text[128];
    CHECK_OK(preempt_describe(time_limit_s, text, sizeof text));
    assert_non_null(strstr(text, part));
}

static void the_scripts_are_asked_before_the_scheduler(void **state)
{
    (void)state;
    end_in("SLURM_JOB_END_TIME", 500);
    check_left(RUN_TIME_AUTO, 500);
    described(RUN_TIME_AUTO, "SLURM_JOB_END_TIME");
    end_in("SODA_END_TIME", 300);
    check_left(RUN_TIME_AUTO, 300);
    described(RUN_TIME_AUTO, "s from now, as SODA_END_TIME says");
    unsetenv("SLURM_JOB_END_TIME");
    check_left(RUN_TIME_AUTO, 300);
    assert_true(isinf(preempt_seconds_left(0))); /* no limit is wanted */
    preempt_install();
    check_left(60, 60);
    described(60, "checkpoint.time_limit");
}

/* What a scheduler sends ahead of the end leaves time to try again; SIGTERM does not. */
static void sigterm_is_urgent_and_sigusr1_is_not(void **state)
{
    (void)state;
    signal(SIGHUP, SIG_IGN); /* nohup */
    preempt_install();
    raise(SIGHUP);
    assert_false(preempt_requested());
    signal(SIGHUP, SIG_DFL); /* a terminal that is closed ends no run where it is */
    preempt_install();
    raise(SIGUSR1);
    assert_true(preempt_requested());
    assert_false(preempt_urgent());
    raise(SIGTERM);
    assert_true(preempt_urgent());
    raise(SIGHUP);
}

/* On a terminal, whoever presses Ctrl-C sees that it was heard. */
static void a_terminal_is_told_of_the_stop(void **state)
{
    (void)state;
    char text[256] = "";
    const int terminal = posix_openpt(O_RDWR | O_NOCTTY), kept = dup(2);
    assert_true(terminal >= 0 && grantpt(terminal) == 0 && unlockpt(terminal) == 0);
    const int other = open(ptsname(terminal), O_RDWR | O_NOCTTY);
    assert_true(other >= 0);
    dup2(other, 2);
    preempt_install();
    raise(SIGINT);
    dup2(kept, 2);
    assert_true(preempt_requested());
    assert_true(read(terminal, text, sizeof text - 1) > 0);
    assert_non_null(strstr(text, "press Ctrl-C again to end at once"));
    close(other);
    close(terminal);
    close(kept);
}

static void nobody_tells(void **state)
{
    (void)state;
    unsetenv("SODA_END_TIME");
    assert_true(isinf(preempt_seconds_left(RUN_TIME_AUTO)));
    described(RUN_TIME_AUTO, "none is known: neither SODA_END_TIME nor SLURM_JOB_END_TIME is set");
    setenv("SODA_END_TIME", "", 1);
    described(RUN_TIME_AUTO, "none is known");
}

static void what_is_no_time_is_refused(void **state)
{
    char text[128];
    (void)state;
    setenv("SODA_END_TIME", "2026-11-28T12:00", 1);
    CHECK_FAILS(preempt_describe(RUN_TIME_AUTO, text, sizeof text), SODA_ERR_INPUT);
    check_message_has("SODA_END_TIME: expected seconds since 1970, found \"2026-11-28T12:00\"");
    unsetenv("SODA_END_TIME");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_scripts_are_asked_before_the_scheduler),
        cmocka_unit_test(sigterm_is_urgent_and_sigusr1_is_not),
        cmocka_unit_test(a_terminal_is_told_of_the_stop),
        cmocka_unit_test(nobody_tells),
        cmocka_unit_test(what_is_no_time_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
