/* preempt.h: when a run has to stop: a signal, or the end of its allocation is near.
 *
 * SIGUSR1 (what schedulers are told to send), SIGTERM, SIGINT and, unless it is ignored as nohup
 * has it, SIGHUP (of a terminal that is closed) ask for a stop at the end of the step; a second
 * SIGINT ends the process at once, as the first says on a terminal (schedulers may send SIGTERM
 * more than once). */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

/* Installs the handlers, for the life of the process: before it joins the other ranks, so that no
 * signal kills a run that is only starting. */
void preempt_install(void);

/* Whether a signal has come. */
bool preempt_requested(void);

/* Whether it was SIGTERM or SIGINT: whoever sends these waits for the end, or kills soon. */
bool preempt_urgent(void);

/* Seconds from now to the end of the allocation: `time_limit_s` since preempt_install, or with
 * RUN_TIME_AUTO what SODA_END_TIME says, else SLURM_JOB_END_TIME. INFINITY: none known. */
double preempt_seconds_left(double time_limit_s);

/* Whether that needs the clock of this node. */
bool preempt_reads_clock(double time_limit_s);

/* For the log: when that is and which variable gives it, or that none does. SODA_ERR_INPUT names
 * the variable if it holds no number. */
soda_status preempt_describe(double time_limit_s, char *text, size_t size);
