/* watchdog.h: ends a run in which a rank makes no progress, and says which.
 *
 * On every rank a thread sends its pulse (core/pulse.h) to rank 0 by UDP every two seconds; rank 0
 * answers with its own. Nothing else of the program waits for it, and it calls MPI for the end
 * alone. Rank 0 judges all ranks, the others judge rank 0. The time in which the judging process
 * itself stood still does not count.
 *
 * It begins before there is MPI: a rank watches itself until it has joined the others. One that
 * stands still then says so, and exits, upon which the launcher ends the others; one that waits for
 * others does so five seconds later than those could. The limit may change once the run's own is
 * known: the judge's counts, from when it was set.
 *
 * A rank is at fault if nothing was heard of it for the limit; else if a save beside its training
 * made no progress for the limit; else if the rank itself made none and waits for nobody; else,
 * where all ranks wait for each other, the one that entered the fewest collectives. A rank that was
 * never heard of is not watched, and nobody is behind then. GRACE_S seconds later all ranks are
 * ended, if that still holds then, with code 75 if a checkpoint is saved, else 1.
 *
 * Once SIGTERM or SIGINT has come (pulse_hurry), ten seconds of silence are enough for a rank that
 * waits for others: no step ends without the silent one, and what sent the signal kills soon. */
#pragma once

#include <stdbool.h>

#include "comm/comm.h"
#include "core/pulse.h"

typedef struct watchdog watchdog;

/* Starts the thread, for this process, which messages call `rank`, alone. limit_s <= 0: it does not
 * judge. What fails is watchdog_join's to say. Local. One at a time. */
void watchdog_start(int rank, double limit_s, watchdog **dog);

/* From now on the ranks watch each other. Where one of them has no thread there is none on any
 * rank, after a warning. Collective. */
void watchdog_join(watchdog *dog, soda_comm *comm);

/* The limit from now on; limit_s <= 0 ends the thread. Local: to be called once all ranks have
 * agreed that they know it. Accepts NULL. */
void watchdog_limit(watchdog *dog, double limit_s);

/* Ends the thread; local. Accepts NULL. */
void watchdog_stop(watchdog *dog);

/* What is known of a rank. Seconds are those of the judge's clock. */
typedef struct {
    bool heard; /* ever */
    bool waits; /* in a collective */
    uint64_t collectives;
    double heard_s, changed_s; /* when last heard of; when its pulse last changed */
} watchdog_view;

typedef enum {
    WATCHDOG_WELL,
    WATCHDOG_SILENT,
    WATCHDOG_SAVER, /* its save is stuck */
    WATCHDOG_STUCK,
    WATCHDOG_BEHIND
} watchdog_verdict;

/* The seconds after which a rank is at fault: that is silent; that makes no progress. */
typedef struct {
    double silent_s, still_s;
} watchdog_limits;

/* The verdict on `count` ranks, but for their saves, and in *rank the one at fault. */
watchdog_verdict watchdog_judge(const watchdog_view *view, int count, double now_s,
                                watchdog_limits limits, int *rank);
