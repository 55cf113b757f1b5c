/* The CPU backend: oneDNN for matrices and convolutions, our own loops for everything else. */
#include <stdio.h>

#include "backend/backend.h"
#include "backend/cpu/kernels.h"
#include "backend/cpu/onednn.h"
#include "backend/cpu/parallel.h"
#include "core/isa.h"

const soda_backend *backend_cpu(int threads)
{
    static char description[128];
    char onednn[64];
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
    parallel_set_threads(threads);
    backend.threads = parallel_threads();
    onednn_text(onednn, sizeof onednn);
    snprintf(description, sizeof description, "%s, instruction set %s", onednn,
             isa_name(isa_now()));
    return &backend;
}
