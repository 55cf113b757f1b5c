/* wait.c: the host waits for the GPU here. Where a collective may hang because another rank is
 * lost, it asks now and then whether one failed. */
#include <time.h>

#include "core/pulse.h"
#include "cuda/gpu.h"

enum { SPINS = 1000, NAP_NS = 50000 };

static soda_status (*watcher)(void *context); /* NULL: nothing can hang */
static void *watched;

void gpu_watch(soda_status (*check)(void *context), void *context)
{
    watcher = check;
    watched = context;
}

static cudaError_t query(cudaEvent_t event)
{
    const cudaError_t code = event ? cudaEventQuery(event) : cudaStreamQuery(gpu_stream());
    if (code == cudaErrorNotReady) (void)cudaGetLastError();
    return code;
}

soda_status gpu_wait(cudaEvent_t event)
{
    soda_status s = SODA_OK;
    cudaError_t code;
    if (!watcher) {
        code = event ? cudaEventSynchronize(event) : cudaStreamSynchronize(gpu_stream());
        return gpu_check(code, "waiting for the GPU");
    }
    pulse_wait("the GPU");
    for (int spins = 0; (code = query(event)) == cudaErrorNotReady; spins++) {
        s = watcher(watched);
        if (s != SODA_OK) break;
        if (spins > SPINS) nanosleep(&(struct timespec){.tv_nsec = NAP_NS}, NULL);
    }
    pulse_wait(NULL);
    TRY(s);
    return gpu_check(code, "waiting for the GPU");
}
