/* The CPU backend: vector loops for several instruction sets, on threads of OpenMP. */
#include <stdio.h>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/parallel.h"
#include "core/isa.h"

const soda_backend *backend_cpu(int threads)
{
    static char description[128];
    static soda_backend backend = {
        .name = "cpu",
        .description = description,
        .connect = exchange_host,
        .kernel =
            {
#define OP(name, ...) [OP_##name] = &cpu_##name,
#include "graph/ops.def"
#undef OP
            },
    };
    backend.device = device_host();
    backend.update = update_host();
    backend.prices = prices_host();
    parallel_set_threads(threads);
    backend.threads = parallel_threads();
    snprintf(description, sizeof description, "%d threads, instruction set %s", backend.threads,
             isa_name(isa_now()));
    return &backend;
}

soda_status backend_open_cpu(int threads, soda_comm *comm, const soda_backend **backend)
{
    (void)comm;
    *backend = backend_cpu(threads);
    return SODA_OK;
}
