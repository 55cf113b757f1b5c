/* node_memory.h: memory that the ranks of a node share: one copy, with no name in any folder and,
 * unlike /dev/shm, with no limit of its own. */
#pragma once

#include "comm/comm.h"

/* `bytes` of zeros that all ranks of comm->node see, each at an address of its own that is aligned
 * to 64 bytes. They are there until the last of these ranks has closed them or has ended, however
 * it ended. SODA_ERR_MEMORY, or SODA_ERR_IO where ranks of a node cannot reach each other's
 * memory. Collective over `comm`: all ranks return an error if one does. */
soda_status node_memory_open(soda_comm *comm, size_t bytes, void **memory);

/* Whether the ranks of comm->node can reach memory that they share: not where each is in a
 * container of its own. Collective over `comm`: the same answer on all ranks. */
bool node_memory_works(soda_comm *comm);

/* From now on this rank may only read. */
soda_status node_memory_protect(void *memory, size_t bytes);

void node_memory_close(void *memory, size_t bytes); /* accepts NULL */
