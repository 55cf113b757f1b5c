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
