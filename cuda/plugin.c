/* plugin.c: the one symbol of libsoda_cuda.so, which the program opens on demand. */
#include "backend/plugin.h"

#include <stdio.h>

#include "backend/build_id.h"
#include "cuda/backend.h"
#include "cuda/gpu.h"

static soda_status open_plugin(int rank, plugin_device *device, const soda_backend **backend)
{
    struct cudaDeviceProp properties;
    *backend = NULL;
    TRY(gpu_count(&device->shown));
    device->number = rank % device->shown;
    TRY(cuda_open(device->number, backend));
    GPU_TRY(cudaGetDeviceProperties(&properties, device->number));
    GPU_TRY(cudaDeviceGetPCIBusId(device->address, sizeof device->address, device->number));
    snprintf(device->model, sizeof device->model, "%.95s", properties.name);
    return SODA_OK;
}

extern const backend_plugin soda_backend_plugin;
const backend_plugin soda_backend_plugin = {PLUGIN_ABI, PLUGIN_BUILD, open_plugin};
