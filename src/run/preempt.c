#include "run/preempt.h"

#include <math.h>
#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "config/run_config.h"
#include "core/log.h"

static volatile sig_atomic_t requested;
static double started_s;

static void request(int signal_number)
{
    requested = 1;
    if (signal_number == SIGINT) signal(SIGINT, SIG_DFL);
}

void preempt_install(void)
{
    const int signals[] = {SIGUSR1, SIGTERM, SIGINT};
    started_s = log_seconds();
    for (int i = 0; i < 3; i++) {
        struct sigaction action = {.sa_handler = request, .sa_flags = SA_RESTART};
        sigemptyset(&action.sa_mask);
        sigaction(signals[i], &action, NULL);
    }
}

bool preempt_requested(void) { return requested != 0; }

double preempt_seconds_left(double time_limit_s)
{
    if (time_limit_s > 0) return started_s + time_limit_s - log_seconds();
    const char *end = getenv("SLURM_JOB_END_TIME");
    if (time_limit_s != RUN_TIME_AUTO || !end) return (double)INFINITY;
    char *rest;
    const double end_s = strtod(end, &rest);
    if (rest == end || *rest) return (double)INFINITY;
    return end_s - (double)time(NULL);
}
