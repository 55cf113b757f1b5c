/* comm.h: communication between ranks. Implemented by `self` (one rank) and by mpi/.
 *
 * Every function here is collective unless it says otherwise: all ranks of the communicator call it
 * in the same order, with the same count. A lost rank ends the job (the launcher kills it); it does
 * not return. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef struct soda_comm soda_comm;

/* `bytes` of each rank, at `own`, that become size * bytes on every rank, in the order of ranks. */
typedef struct {
    const void *own;
    size_t bytes;
    void *all;
} comm_parts;

struct soda_comm {
    int rank, size;
    soda_comm *node; /* the ranks on this node, which share its memory; of a node's own: itself; of
                        a group: itself if it is on one node, else the rank alone */
    int failed_rank; /* whose failure comm_agree or given_up told last; -1: nobody's */
    /* In place: every rank ends with the sum over ranks. Integer sums are exact in any order; fp32
     * sums may differ in the last bits with the number of ranks. */
    soda_status (*sum_i64)(soda_comm *comm, int64_t *data, int64_t count);
    soda_status (*sum_f32)(soda_comm *comm, float *data, int64_t count);
    /* In place: every rank ends with the largest. */
    soda_status (*max_i64)(soda_comm *comm, int64_t *data, int64_t count);
    /* Every rank ends with the bytes of rank `root`. */
    soda_status (*broadcast)(soda_comm *comm, void *data, size_t bytes, int root);
    /* Part number i of `all` on rank `root`, of `bytes` each, goes to `own` on rank i. `all` is
     * read on the root alone. */
    soda_status (*scatter)(soda_comm *comm, const void *all, size_t bytes, void *own, int root);
    soda_status (*gather)(soda_comm *comm, const comm_parts *list, int count);
    /* Returns when all ranks are here; sleeps until then, where the others would spin. */
    soda_status (*meet)(soda_comm *comm);
    /* This rank's group of `ranks` consecutive ranks; `ranks` divides the size. While one thread
     * uses the group another one may use `comm`: SODA_ERR_UNSUPPORTED if that was not asked for at
     * the start or the library cannot do it. */
    soda_status (*split)(soda_comm *comm, int ranks, soda_comm **group);
    void (*leave)(soda_comm *group); /* frees what split made; not collective */
    /* Not collective, from the main thread: tells the other ranks that this one failed and leaves
     * them alone in what ranks do together elsewhere (NCCL); waits for nobody. */
    void (*give_up)(soda_comm *comm);
    /* Whether another rank gave up: true once for each. Not collective, and always false in other
     * threads. */
    bool (*given_up)(soda_comm *comm);
    /* Ends all ranks now, from any thread; the launcher returns `exit_code`. Not collective. */
    void (*end_all)(soda_comm *comm, int exit_code);
    void *context;
};

/* The communicator of a program that runs alone. */
soda_comm *comm_self(void);

enum { COMM_RANK_TEXT = 128 };

/* "rank 1 of 4 on node7: ", to begin what this rank says for all; "" of a program that runs alone.
 */
void comm_describe_rank(const soda_comm *comm, char text[COMM_RANK_TEXT]);

/* The worst status of all ranks, on every rank: SODA_OK only if all are; SODA_STOPPED is better
 * than a failure. Ranks whose own status is SODA_OK get a message that names the first rank with
 * the worst one, others keep theirs. Reached by failed ranks too. */
soda_status comm_agree(soda_comm *comm, soda_status own);

/* The same after `inner`, a part of the ranks, agreed on `own`: who failed is told by the rank that
 * did, and not by one that heard of it there. */
soda_status comm_agree_after(soda_comm *comm, const soda_comm *inner, soda_status own);

/* comm_agree, and flags[0..count), at most COMM_FLAGS, become the largest of all ranks: one
 * exchange. */
enum { COMM_FLAGS = 6 };
soda_status comm_agree_flags(soda_comm *comm, soda_status own, int64_t *flags, int count);

/* Whether all ranks have the same bytes, at most COMM_SAME_BYTES; the same answer on every rank. */
enum { COMM_SAME_BYTES = 256 };
soda_status comm_all_same(soda_comm *comm, const void *data, size_t bytes, bool *same);

/* SODA_ERR_INPUT on every rank unless all have the same bytes; `what` names them. */
soda_status comm_agree_same(soda_comm *comm, const void *data, size_t bytes, const char *what);
