/* tested.c: the backend is cpu. tests/support/cuda/tested.c stands in its place in programs that
 * test cuda. */
#include "support/tested.h"

#include "backend/cpu/attention_internal.h"

const soda_backend *tested_backend(void) { return backend_cpu(0); }

bool tested_all(void) { return true; }

soda_device *tested_device(const soda_kernel *kernel)
{
    (void)kernel;
    return device_host();
}

const soda_update *tested_update(soda_device **device)
{
    *device = device_host();
    return update_host();
}

void tested_attention(soda_dtype dtype, tested_check *check, const void *context)
{
    for (const attention_path *const *path = attention_paths(); *path; path++) {
        if (!attention_usable(*path, dtype)) continue;
        attention_force(*path);
        check((*path)->name, dtype, context);
    }
    attention_force(NULL);
}
