/* gpu.h: the GPU of this process, one at most, and the stream that all work on it goes through. */
#pragma once

#include <cuda_runtime_api.h>

#include "backend/device.h"

/* How many GPUs this process may use, at least one; SODA_ERR_UNSUPPORTED says why there is none:
 * no driver, one that is too old, or no GPU. */
soda_status gpu_count(int *count);

/* Opens GPU number `index` of those that CUDA shows. SODA_ERR_UNSUPPORTED says why there is none to
 * work with: no driver, no such GPU, or one older than compute capability 8.0. Close it with
 * gpu_close before another is opened. */
soda_status gpu_open(int index, soda_device **device);

/* Waits for its work and frees everything but what alloc gave. Accepts NULL. */
void gpu_close(soda_device *device);

/* The number of the open GPU: threads other than the one that opened it call cudaSetDevice. */
int gpu_index(void);

/* The stream of the open GPU: everything is enqueued on it, and kernels never wait for it. */
cudaStream_t gpu_stream(void);

/* Scratch on the device for the parts of a sum: GPU_SUM numbers of 8 bytes, undefined; what comes
 * later in the stream writes over it. */
enum { GPU_SUM = 128 };
void *gpu_sum(void);

/* mark and elapsed of device.h; and what ends all marks. */
soda_status gpu_mark(soda_device *device, int number);
soda_status gpu_elapsed(soda_device *device, int from, int to, double *seconds);
void gpu_forget_marks(void);

/* Waits for the event, or with NULL for the whole stream. */
soda_status gpu_wait(cudaEvent_t event);

/* From now on whoever waits calls `check` now and then, and gives up when it fails; NULL: nobody.
 */
void gpu_watch(soda_status (*check)(void *context), void *context);

/* SODA_OK, or what CUDA says about `code`, with `what` before it. */
soda_status gpu_check(cudaError_t code, const char *what);

/* Returns CUDA's failure as this function's. */
#define GPU_TRY(call) TRY(gpu_check(call, #call))
