/* tested.c: the backend is cuda, on the first GPU, open until the program ends. */
#include "support/tested.h"

#include "cuda/backend.h"
#include "support/check.h"

static const soda_backend *cuda(void)
{
    static const soda_backend *backend;
    if (!backend) CHECK_OK(cuda_open(0, &backend));
    return backend;
}

soda_device *tested_device(const soda_kernel *kernel)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (cuda()->kernel[i] == kernel) return cuda()->device;
    return device_host();
}

const soda_update *tested_update(soda_device **device)
{
    *device = cuda()->device;
    return cuda()->update;
}

void tested_attention(soda_dtype dtype, tested_check *check, const void *context)
{
    check("cuda", dtype, context);
}
