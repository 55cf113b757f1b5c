/* memory_limit.h: how much memory this process may use. */
#pragma once

#include <stddef.h>

/* Bytes that one of `ranks` processes on this node may have resident: the smallest of
 *
 *   shared, so divided by ranks: the machine's memory; the limits of this process's control group
 *   and of all above it (v1 memory.limit_in_bytes, v2 memory.max); SLURM_MEM_PER_NODE, or
 *   SLURM_MEM_PER_CPU times SLURM_CPUS_ON_NODE, both in MiB; PBS_VMEM in bytes;
 *   its own: RLIMIT_AS and RLIMIT_DATA, less what is mapped but not resident.
 *
 * root: "", or a folder that stands for / in a test. What cannot be read limits nothing. */
size_t memory_limit_bytes(const char *root, int ranks);
