/* node_memory.h: memory that the ranks of a node share: one copy, with no name in any folder and,
 * unlike /dev/shm, with no limit of its own. */
#pragma once

#include "comm/comm.h"

/* `bytes` of zeros that all ranks of comm->node see, each at an address of its own that is aligned
 * to 64 bytes. They are there until the last of these ranks has closed them or has ended, however
 * it ended. SODA_ERR_MEMORY, or SODA_ERR_IO where ranks of a node cannot reach each other's
 * memory. Collective over `comm`: all ranks return an error if one does. */
soda_status node_memory_open(soda_comm *comm, size_t bytes, void **memory);

/* `bytes` of zeros of this rank at *own, aligned to 64 bytes, which the other ranks of comm->node
 * can read and write as files: files[i] is that of rank i of the node, its bytes at the same
 * offsets. What is read so is not mapped, and so counts as memory of one rank alone. The rest as
 * above; `bytes` may differ. node_memory_close and close end it. */
soda_status node_memory_lend(soda_comm *comm, size_t bytes, void **own, int *files);

/* From now on this rank may only read. */
soda_status node_memory_protect(void *memory, size_t bytes);

void node_memory_close(void *memory, size_t bytes); /* accepts NULL */
