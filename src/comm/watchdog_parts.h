/* watchdog_parts.h: what the files of the watchdog share. */
#pragma once

#include <pthread.h>
#include <stdatomic.h>

#include "comm/datagram.h"
#include "comm/watchdog.h"

enum { WATCHDOG_NAME_BYTES = 32, WATCHDOG_HOST_BYTES = 64 };

/* What ranks tell rank 0, and it them. */
typedef struct {
    uint64_t token; /* of this run: who does not know it is not heard */
    int32_t rank, waits, saved;
    uint64_t beats, collectives;
    int64_t step;
    char phase[WATCHDOG_NAME_BYTES], collective[WATCHDOG_NAME_BYTES], host[WATCHDOG_HOST_BYTES];
} watchdog_report;

/* Those that this process judges: itself; once ranks have joined, rank 0 all, the others rank 0. */
typedef struct {
    soda_comm *comm; /* NULL: not joined yet */
    uint64_t token;
    datagram_socket socket;
    int count;
    watchdog_view *view;   /* [count] */
    watchdog_report *last; /* [count] */
} watchdog_team;

/* The thread that saves beside training. */
typedef struct {
    pulse_saver last;
    double moved_s; /* when it last made progress; always now, if there is none */
} watchdog_saver;

struct watchdog {
    int rank;
    pthread_mutex_t lock; /* of what follows */
    double limit_s;       /* INFINITY: none */
    double clock_s, looked_s, sent_s, doubted_s;
    watchdog_team team;
    watchdog_saver saver; /* of this process, which rank 0 alone has */
    bool warned, ends;
    atomic_bool met; /* rank 0 was heard of */
    int wake[2];     /* a pipe */
    pthread_t thread;
    bool runs;
    int error; /* why there is no thread */
};

/* Told to end, and waiting for others: what rank 0 does alone at the end is not cut short because
 * they are gone. */
bool watchdog_is_held_up(void);

/* The exit code of all ranks, if they ended now. */
int watchdog_exit_code(const watchdog *dog);

/* The message that names `rank`. */
void watchdog_describe(const watchdog *dog, watchdog_verdict verdict, int rank, char *text,
                       size_t size);
