#include "cuda/backend.h"

#include "cuda/exchange.h"
#include "cuda/gpu.h"
#include "cuda/kernels.h"
#include "cuda/solver.h"
#include "cuda/update.h"

soda_status cuda_open(int index, const soda_backend **backend)
{
    static soda_backend cuda = {
        .name = "cuda",
        .threads = 1,
        .close = cuda_close,
        .connect = gpu_connect,
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
    cuda.description = cuda.device->name;
    cuda.prices = prices_host();
    cuda.update = update_gpu();
    *backend = &cuda;
    return SODA_OK;
}

void cuda_close(const soda_backend *backend)
{
    if (backend) gpu_close(backend->device);
}
