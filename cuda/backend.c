#include "cuda/backend.h"

#include <stdio.h>

#include "cuda/exchange.h"
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/solver.h"
#include "cuda/update.h"

/* The GPU, and the versions of CUDA that this was built with and that the driver has. */
static const char *describe(const soda_device *device)
{
    static char text[400];
    int runtime = 0, driver = 0;
    (void)cudaRuntimeGetVersion(&runtime);
    (void)cudaDriverGetVersion(&driver);
    snprintf(text, sizeof text, "%s, CUDA %d.%d, driver for CUDA %d.%d", device->name,
             runtime / 1000, runtime % 1000 / 10, driver / 1000, driver % 1000 / 10);
    return text;
}

soda_status cuda_open(int index, const soda_backend **backend)
{
    static soda_backend cuda = {
        .name = "cuda",
        .threads = 1,
        .close = cuda_close,
        .connect = gpu_connect,
        .open_lane = gpu_open_lane,
        .factorize = &solver_cusolver,
        .kernel =
            {
#define OP(name, ...) [OP_##name] = &cuda_##name,
#include "graph/ops.def"
#undef OP
            },
    };
    *backend = NULL;
    TRY(gpu_open(index, &cuda.device));
    cuda.description = describe(cuda.device);
    cuda.prices = prices_host();
    cuda.update = update_gpu();
    *backend = &cuda;
    return SODA_OK;
}

void cuda_close(const soda_backend *backend)
{
    if (backend) gpu_close(backend->device);
}
