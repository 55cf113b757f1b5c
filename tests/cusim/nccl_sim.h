/* NCCL between processes of one machine, by files that all of them see: one for each contribution
 * to a collective, one for each rank's process id. Prototypes and results: NVIDIA, NCCL 2.28 User
 * Guide. Between nccl.c (communicators) and nccl_collective.c.
 *
 * Of each communicator, with its ranks and numbers from 0:
 *
 *     CUSIM_NCCL_DELAY=MS    each collective takes up to so long, at random, another time on each
 *                            rank
 *     CUSIM_NCCL_DIE=R:N     rank R is killed in its N-th collective
 *     CUSIM_NCCL_STALL=R:N   rank R never gives its part of that
 *     CUSIM_NCCL_HALT=R:N    the stream of rank R stands still behind that
 *     CUSIM_NCCL_FAIL=R:N    call number N of rank R returns ncclSystemError */
#ifndef SIM_NCCL_H
#define SIM_NCCL_H

#include <nccl.h>
#include <sys/types.h>

#include "stream.h"

enum { NCCL_RANKS = 64, NCCL_FOLDER = 96, NCCL_PATH = NCCL_FOLDER + 64 };

struct ncclComm {
    int rank, size, references; /* work that is enqueued, and the communicator */
    uint64_t collectives, posted, calls;
    bool aborted, joined, late; /* late: another rank is, so that nobody waits for it again */
    ncclResult_t state;
    pid_t process[NCCL_RANKS];
    char folder[NCCL_FOLDER];
};

/* Whether variable `name` is "RANK:NUMBER" of these. */
bool nccl_chosen(const char *name, int rank, uint64_t number);
bool nccl_fails(struct ncclComm *c); /* counts the call */
void nccl_look_for_dead(struct ncclComm *c);
void nccl_release(struct ncclComm *c);

/* Other processes see the whole file or none. False if it cannot be written. */
bool nccl_publish(const char *path, const void *head, size_t head_bytes, const void *data,
                  size_t bytes);

#endif
