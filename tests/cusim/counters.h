/* counters.h: what the simulator counts, for tests that ask what a piece of work costs: launches
 * and waits as they are made, copies as they are done. */
#ifndef SIM_COUNTERS_H
#define SIM_COUNTERS_H

#include <stdint.h>

typedef struct {
    uint64_t launches, copies, waits, instructions, copied_bytes;
    uint64_t downloaded_bytes, allocations; /* allocations: of device or pinned memory */
    double seconds;
} sim_counters;

extern sim_counters sim_count;

#endif
