/* counters.h: what the simulator counts, for tests that ask what a piece of work costs: waits as
 * they are made (one that asks again and again as it ends), launches and copies as they are done.
 */
#ifndef SIM_COUNTERS_H
#define SIM_COUNTERS_H

#include <stdint.h>

typedef struct {
    uint64_t launches, copies, waits, instructions, copied_bytes;
    uint64_t graph_launches, graph_kernels; /* graph_kernels: those of launches that a graph made */
    uint64_t queued; /* kernels and graphs, as the host launches or captures them */
    uint64_t downloaded_bytes, allocations; /* allocations: of device or pinned memory */
    double seconds;
    double clock_s; /* of the simulated GPU: what events read */
} sim_counters;

extern sim_counters sim_count;

/* Moves the clock on by counted work: kernels and library calls, instructions of threads,
 * operations within a library, bytes copied. At round rates of an A100's data sheet, one thing
 * after the other: equal work takes equal time, whatever the host is doing. Nothing here predicts a
 * GPU. */
typedef struct {
    double launches, instructions, flops, bytes;
} sim_counted;
void sim_clock_add(const sim_counted *work);

#endif
