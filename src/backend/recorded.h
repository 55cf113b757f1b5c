/* recorded.h: work that is queued again and again: plainly at first, since libraries load kernels
 * when they are first used and cannot do so in a recording; then it is recorded, and from there on
 * replayed. On devices that do not record, plainly each time. */
#pragma once

#include "backend/device.h"

/* Starts as zeros. */
typedef struct {
    bool queued; /* once at least */
    device_recording *recording;
} recorded_work;

/* Queues all of `works`, which are the same in each call, in their order. */
soda_status recorded_queue(recorded_work *recorded, soda_device *device, const device_work *works,
                           int count);

/* Forgets the recording; the next call of recorded_queue is the first one again. */
void recorded_forget(recorded_work *recorded, soda_device *device);
