/* tested.c: the backend is cuda, on the first GPU, open until the program ends. */
#include "support/tested.h"

#include <stdlib.h>

#include "cuda/backend.h"
#include "support/check.h"

const soda_backend *tested_backend(void)
{
    static const soda_backend *backend;
    if (!backend) CHECK_OK(cuda_open(0, &backend));
    return backend;
}

bool tested_all(void) { return getenv("SODA_TEST_ALL") != NULL; }

soda_device *tested_device(const soda_kernel *kernel)
{
    for (int i = 0; i < OP_COUNT; i++)
        if (tested_backend()->kernel[i] == kernel) return tested_backend()->device;
    return device_host();
}

const soda_update *tested_update(soda_device **device)
{
    *device = tested_backend()->device;
    return tested_backend()->update;
}

void tested_attention(soda_dtype dtype, tested_check *check, const void *context)
{
    check("cuda", dtype, context);
}
