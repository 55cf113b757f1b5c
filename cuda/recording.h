/* recording.h: work that was captured once and is launched as one CUDA graph. */
#pragma once

#include "backend/device.h"

/* record, replay and forget of the device: see backend/device.h. */
soda_status recording_make(soda_device *device, const device_work *works, int count,
                           device_recording **recording);
soda_status recording_replay(soda_device *device, device_recording *recording);
void recording_forget(soda_device *device, device_recording *recording);

/* What the device gave out and got back, so that a recording that uses it is not replayed any more.
 */
soda_status recording_allocated(void *memory, size_t bytes);
void recording_released(const void *memory);
