/* lane.h: a queue of a device beside the one that its kernels run in. A group of ranks gathers in
 * it; marks, which have numbers, order the two queues. Nothing here waits on the host. */
#pragma once

#include "comm/comm.h"

typedef struct soda_lane soda_lane;

struct soda_lane {
    /* Makes marks 0 .. count - 1, unless they are there. Local. */
    soda_status (*reserve)(soda_lane *lane, int count);

    /* In the lane: puts together parts of all ranks, device memory; then mark `mark` is full.
     * Collective over the group, in the same order on all ranks. */
    soda_status (*gather)(soda_lane *lane, int mark, const comm_parts *list, int count);

    /* On the device: later work waits until the mark is full. */
    soda_status (*need)(soda_lane *lane, int mark);

    /* On the device: earlier work was the last to read what the mark stands for. */
    soda_status (*done)(soda_lane *lane, int mark);

    /* In the lane: later gathers wait until the mark, the last time that it was so, is done. */
    soda_status (*follow)(soda_lane *lane, int mark);

    /* After a failure: this rank queues no more gathers, and the others need not wait for it. */
    void (*give_up)(soda_lane *lane);

    void (*close)(soda_lane *lane); /* frees it; waits for nobody */
};
