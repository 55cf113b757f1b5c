/* spare_cores.h: what training leaves of a core's time, for a thread that saves beside it.
 *
 * Training has the cores, and saving what training leaves: where all are busy, or other processes
 * want them, as little as the scheduler gives to a thread. Threads of a step wait for each other,
 * so what saving takes from one of them the step takes longer. */
#pragma once

#include <stdbool.h>

typedef struct {
    bool crowded;              /* a save came late: the gaps of training do not suffice */
    bool contended;            /* other processes wanted the cores since the last look */
    double since_s, delayed_s; /* when that was, and how long training had waited for a core */
} spare_cores;

/* From the thread that trains: once at the start, then before each save. */
void spare_cores_watch(spare_cores *cores);
void spare_cores_look(spare_cores *cores);

/* From the thread that saves: the rest of its life it takes what training leaves. */
void spare_cores_use(const spare_cores *cores);

/* Learns from a save that took `took_s` seconds so. */
void spare_cores_sufficed(spare_cores *cores, double took_s);

/* Of the calling thread: seconds on a core, and seconds in which it was ready and had none (0 where
 * the system does not tell). */
double spare_cores_used_s(void);
double spare_cores_delayed_s(void);
