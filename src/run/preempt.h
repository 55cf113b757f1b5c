/* preempt.h: when a run has to stop: a signal, or the end of its allocation is near.
 *
 * SIGUSR1 (what schedulers are told to send), SIGTERM and SIGINT ask for a stop at the end of the
 * step; a second SIGINT ends the process at once (schedulers may send SIGTERM more than once). */
#pragma once

#include <stdbool.h>

/* Installs the handlers, for the life of the process. */
void preempt_install(void);

/* Whether a signal has come. */
bool preempt_requested(void);

/* Seconds from now to the end of the allocation: `time_limit_s` since the process started, or with
 * RUN_TIME_AUTO what SLURM_JOB_END_TIME says. INFINITY: none known. */
double preempt_seconds_left(double time_limit_s);
