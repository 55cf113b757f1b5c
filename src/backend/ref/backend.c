#include "backend/backend.h"
#include "backend/ref/kernels.h"

const soda_backend *backend_ref(void)
{
    static soda_backend backend = {
        .name = "ref",
        .threads = 1,
        .description = "plain C in double precision",
        .connect = exchange_host,
        .kernel =
            {
#define OP(name, ...) [OP_##name] = &ref_##name,
#include "graph/ops.def"
#undef OP
            },
    };
    backend.device = device_host();
    backend.update = update_host();
    backend.prices = prices_host();
    return &backend;
}
