/* The CUDA runtime's devices: SODA_CUSIM_GPUS of one model, each process with memory of its own.
 * Prototypes and error codes: NVIDIA, CUDA Runtime API 13.0. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cuda_runtime_api.h"

enum { MOST = 64 }; /* GPUs */
/* The current one, of each host thread. */
static _Thread_local int device;

extern const char cusim_stands_in;
const char cusim_stands_in = 1; /* cuda/device.c */

static int present(void)
{
    const char *count = getenv("SODA_CUSIM_GPUS");
    return count ? atoi(count) : 1;
}

/* Fills shown[] with the numbers of the GPUs that CUDA_VISIBLE_DEVICES leaves, in its order and up
 * to the first that is none (CUDA C++ Programming Guide, "CUDA Environment Variables"); how many
 * they are. */
static int visible(int shown[MOST])
{
    const char *list = getenv("CUDA_VISIBLE_DEVICES");
    const int all = present() < MOST ? present() : MOST;
    int count = 0;
    for (; !list && count < all; count++) shown[count] = count;
    while (list && count < MOST) {
        char *end;
        const long number = strtol(list, &end, 10);
        if (end == list || number < 0 || number >= all) break;
        shown[count++] = (int)number;
        if (*end != ',') break;
        list = end + 1;
    }
    return count;
}

static int device_count(void)
{
    int shown[MOST] = {0};
    return visible(shown);
}

/* CUDA's version that the driver is made for; 0: there is none. */
static int driver(void)
{
    const char *version = getenv("CUSIM_DRIVER");
    return getenv("CUSIM_NO_DRIVER") ? 0 : version ? atoi(version) : CUDART_VERSION;
}

cudaError_t cudaGetDeviceCount(int *count)
{
    if (driver() / 1000 < CUDART_VERSION / 1000) return sim_fail(cudaErrorInsufficientDriver);
    *count = device_count();
    return *count > 0 ? cudaSuccess : sim_fail(cudaErrorNoDevice);
}

cudaError_t cudaSetDevice(int index)
{
    if (index < 0 || index >= device_count()) return sim_fail(cudaErrorInvalidDevice);
    device = index;
    return cudaSuccess;
}
cudaError_t cudaGetDevice(int *index)
{
    *index = device;
    return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int *version)
{
    *version = driver();
    return cudaSuccess;
}
cudaError_t cudaRuntimeGetVersion(int *version)
{
    *version = CUDART_VERSION;
    return cudaSuccess;
}
cudaError_t cudaDeviceReset(void)
{
    sim_stream_drain();
    return cudaSuccess;
}

/* Limits are those of compute capability 8.0 where another GPU allows more. */
enum { OPT_IN = 163 * 1024, PER_SM = 164 * 1024, SMS = 108 };

cudaError_t cudaGetDeviceProperties(struct cudaDeviceProp *p, int index)
{
    int shown[MOST] = {0};
    if (index < 0 || index >= visible(shown)) return sim_fail(cudaErrorInvalidDevice);
    memset(p, 0, sizeof *p);
    const char *model = getenv("CUSIM_MODEL");
    snprintf(p->name, sizeof p->name, "%s", model ? model : "simulated GPU");
    p->totalGlobalMem = sim_memory_total_bytes();
    p->sharedMemPerBlock = 48 * 1024;
    p->sharedMemPerBlockOptin = OPT_IN;
    p->sharedMemPerMultiprocessor = PER_SM;
    p->regsPerBlock = p->regsPerMultiprocessor = 65536;
    p->warpSize = SIM_LANES;
    p->maxThreadsPerBlock = 1024;
    p->maxThreadsPerMultiProcessor = 2048;
    p->maxThreadsDim[0] = p->maxThreadsDim[1] = 1024;
    p->maxThreadsDim[2] = 64;
    p->maxGridSize[0] = 0x7fffffff;
    p->maxGridSize[1] = p->maxGridSize[2] = 65535;
    const char *capability = getenv("CUSIM_CAPABILITY");
    p->major = capability ? atoi(capability) : 8;
    p->multiProcessorCount = SMS;
    p->pciBusID = shown[index] + 1;
    p->unifiedAddressing = 1;
    return cudaSuccess;
}

cudaError_t cudaDeviceGetAttribute(int *value, enum cudaDeviceAttr attribute, int index)
{
    struct cudaDeviceProp p = {.major = 0};
    const cudaError_t error = cudaGetDeviceProperties(&p, index);
    if (error) return error;
    switch (attribute) {
    case cudaDevAttrMaxThreadsPerBlock: *value = p.maxThreadsPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlock: *value = (int)p.sharedMemPerBlock; break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin: *value = OPT_IN; break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor: *value = PER_SM; break;
    case cudaDevAttrMultiProcessorCount: *value = SMS; break;
    case cudaDevAttrWarpSize: *value = SIM_LANES; break;
    case cudaDevAttrComputeCapabilityMajor: *value = p.major; break;
    case cudaDevAttrComputeCapabilityMinor: *value = p.minor; break;
    case cudaDevAttrMaxGridDimX: *value = p.maxGridSize[0]; break;
    case cudaDevAttrMaxGridDimY: *value = p.maxGridSize[1]; break;
    case cudaDevAttrMaxGridDimZ: *value = p.maxGridSize[2]; break;
    default: sim_die("cudaDeviceGetAttribute: attribute %d is not simulated", (int)attribute);
    }
    return cudaSuccess;
}

cudaError_t cudaDeviceGetPCIBusId(char *text, int size, int index)
{
    int shown[MOST] = {0};
    if (index < 0 || index >= visible(shown)) return sim_fail(cudaErrorInvalidDevice);
    snprintf(text, (size_t)size, "0000:%02X:00.0", shown[index] + 1);
    return cudaSuccess;
}
