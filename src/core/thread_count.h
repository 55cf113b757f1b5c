/* thread_count.h: how many threads each rank starts. */
#pragma once

#include <stdint.h>

/* The first of these that is a whole number from 1 to 1024: `option` (what --threads was given, or
 * 0), OMP_NUM_THREADS (the first of a list), SLURM_CPUS_PER_TASK, and NCPUS of PBS, which are
 * shared by the `node_ranks` ranks of a node. Else `share`, this rank's share of the cores that it
 * may use, where 0 stands for all of them. */
int thread_count(int64_t option, int node_ranks, int share);
