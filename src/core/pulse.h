/* pulse.h: what this process is doing, for the watchdog that runs beside it (comm/watchdog.h). Any
 * thread may call these at any time; each costs a few relaxed atomic operations. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

typedef struct {
    uint64_t beats;         /* grows as long as work goes on */
    uint64_t collectives;   /* entered so far */
    const char *phase;      /* of the run */
    const char *collective; /* in which the process waits for others; NULL: in none */
    int64_t step;           /* of training; -1: before the first */
    bool saved;             /* there is a checkpoint of this run */
    bool hurried;           /* whoever asked for the end kills soon */
} pulse;

/* Some work is done: to be called at least once in half a minute of any long piece of work. */
void pulse_beat(void);

/* What begins now; `phase` is a literal. */
void pulse_phase(const char *phase, int64_t step);

/* Called around everything that waits for other ranks: a literal before, NULL after. pulse_wait is
 * for what some ranks wait for by chance: it does not count. */
void pulse_collective(const char *name);
void pulse_wait(const char *name);

/* A checkpoint of this run is complete. */
void pulse_saved(void);

/* The end was asked for by somebody who waits for it; also in a signal handler. */
void pulse_hurry(void);

pulse pulse_read(void);

/* A thread that saves while the process does something else. It is told apart from the rest, as
 * training leaves it little time: it makes progress as long as it uses a core or waits for one. */
typedef struct {
    const char *part; /* what it does; NULL: there is none */
    int64_t step;     /* whose state it saves */
    uint64_t used_ns; /* of a core */
} pulse_saver;

/* What the calling thread does to save; `part` is a literal, NULL: nothing more. One at a time. */
void pulse_save(const char *part, int64_t step);

pulse_saver pulse_read_saver(void);

/* Whether that thread has a core or waits for one, as far as the system tells. */
bool pulse_saver_is_ready(void);
