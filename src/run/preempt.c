#include "run/preempt.h"

#include <math.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "config/run_config.h"
#include "core/log.h"
#include "core/pulse.h"

static volatile sig_atomic_t requested, has_reader; /* stderr is a terminal */
static double started_s;

/* Seconds since 1970 at which the job ends, from the batch scripts of jobs/ and from Slurm (which
 * sets its variable from version 23.02 on). */
static const char *const end_names[] = {"SODA_END_TIME", "SLURM_JOB_END_TIME"};

static void request(int signal_number)
{
    static const char line[] =
        "\nsoda: stopping after the next step; press Ctrl-C again to end at once\n";
    requested = 1;
    if (signal_number != SIGUSR1) pulse_hurry();
    if (signal_number != SIGINT) return;
    signal(SIGINT, SIG_DFL);
    if (has_reader && write(STDERR_FILENO, line, sizeof line - 1) < 0) has_reader = 0;
}

void preempt_install(void)
{
    const int signals[] = {SIGUSR1, SIGTERM, SIGINT, SIGHUP};
    struct sigaction before;
    started_s = log_seconds();
    has_reader = isatty(STDERR_FILENO);
    for (int i = 0; i < 4; i++) {
        sigaction(signals[i], NULL, &before);
        if (signals[i] == SIGHUP && before.sa_handler == SIG_IGN) continue;
        struct sigaction action = {.sa_handler = request, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(signals[i], &action, NULL);
    }
}

bool preempt_requested(void) { return requested != 0; }
bool preempt_urgent(void) { return pulse_read().hurried; }

/* The variable that tells the end, and what it says; NULL if none is set. */
static const char *end_of_job(const char **text)
{
    for (int i = 0; i < 2; i++) {
        *text = getenv(end_names[i]);
        if (*text && **text) return end_names[i];
    }
    return NULL;
}

static bool read_end(const char *text, double *end_s)
{
    char *rest;
    *end_s = strtod(text, &rest);
    return rest != text && !*rest && isfinite(*end_s);
}

bool preempt_reads_clock(double time_limit_s)
{
    const char *end;
    return time_limit_s == RUN_TIME_AUTO && end_of_job(&end);
}

soda_status preempt_describe(double time_limit_s, char *text, size_t size)
{
    const char *end;
    double end_s;
    const char *name = end_of_job(&end);
    if (time_limit_s != RUN_TIME_AUTO || !name) {
        snprintf(text, size, "%s",
                 time_limit_s != RUN_TIME_AUTO
                     ? "as checkpoint.time_limit says"
                     : "none is known: neither SODA_END_TIME nor SLURM_JOB_END_TIME is set");
        return SODA_OK;
    }
    if (!read_end(end, &end_s))
        return FAIL(SODA_ERR_INPUT, "%s: expected seconds since 1970, found \"%s\"", name, end);
    snprintf(text, size, "%.0f s from now, as %s says", end_s - (double)time(NULL), name);
    return SODA_OK;
}

double preempt_seconds_left(double time_limit_s)
{
    const char *end;
    double end_s;
    if (time_limit_s > 0) return started_s + time_limit_s - log_seconds();
    if (time_limit_s != RUN_TIME_AUTO || !end_of_job(&end) || !read_end(end, &end_s))
        return (double)INFINITY;
    return end_s - (double)time(NULL);
}
