/* communicator.h: NCCL between the GPUs of some ranks: opened through MPI, watched, and given up
 * when something fails. It does not block, so that a rank that waits for lost ones can be told:
 * whatever waits for the GPU asks NCCL, now and then, whether a collective failed (gpu_watch).
 * NCCL, User Guide, "Fault Tolerance". A rank counts as being in a collective (core/pulse.h) once
 * its GPU has come to it, not when it is enqueued: so the watchdog finds a GPU that stands still.
 */
#pragma once

#include <nccl.h>

#include "comm/comm.h"
#include "cuda/gpu.h"

typedef struct communicator communicator;

/* Between the ranks of `group`, which are ranks of `comm`. Collective over `comm`: all open theirs,
 * or none. */
soda_status communicator_open(soda_comm *comm, soda_comm *group, communicator **made);

/* NCCL's handle, for collective `what`, a literal, in this stream; SODA_ERR_IO after it was given
 * up. */
soda_status communicator_enter(communicator *c, const char *what, cudaStream_t stream,
                               ncclComm_t *nccl);

/* Until the call of `what` that returned `code` is complete on the host's side. After a failure all
 * communicators of this process are given up: the streams that they work in may wait for each
 * other. */
soda_status communicator_finish(communicator *c, ncclResult_t code);

/* Ends what the GPU still waits for, of all communicators. */
void communicator_give_up(void);

/* The same where this rank failed before it took part in a collective: the other ranks are told,
 * whose GPUs would wait for it. */
void communicator_fail(void);

/* Never waits for other ranks: they may be gone. Accepts NULL. */
void communicator_close(communicator *c);
