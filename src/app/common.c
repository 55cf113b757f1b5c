#include "app/common.h"

#include <string.h>

#include "core/isa.h"

static soda_comm *ranks;
static int threads_each;

void common_set_comm(soda_comm *comm, int threads)
{
    ranks = comm;
    threads_each = threads;
}

soda_comm *common_comm(void) { return ranks; }

soda_status common_dtype(const char *text, soda_dtype *dtype)
{
    if (strcmp(text, "fp32") == 0)
        *dtype = SODA_F32;
    else if (strcmp(text, "bf16") == 0)
        *dtype = SODA_BF16;
    else
        return FAIL(SODA_ERR_USAGE, "--dtype: expected fp32 or bf16, found '%s'", text);
    return SODA_OK;
}

option_row common_backend_row(machine_options *machine)
{
    return (option_row){.name = "backend",
                        .kind = OPTION_TEXT,
                        .target = &machine->backend,
                        .argument = "NAME",
                        .fallback = "cpu",
                        .help = "cpu"};
}

option_row common_threads_row(machine_options *machine)
{
    return (option_row){.name = "threads",
                        .kind = OPTION_INT,
                        .target = &machine->threads,
                        .argument = "N",
                        .fallback = "all cores",
                        .help = "threads per process",
                        .least = 1,
                        .most = 1024};
}

option_row common_isa_row(machine_options *machine)
{
    return (option_row){.name = "isa",
                        .kind = OPTION_TEXT,
                        .target = &machine->isa,
                        .argument = "LEVEL",
                        .fallback = "SODA_ISA, or the highest of this CPU",
                        .help = "highest instruction set to use: base, avx2, avx512, avx512bf16 "
                                "or amx"};
}

soda_status common_backend(const machine_options *machine, const soda_backend **backend)
{
    if (machine->backend && strcmp(machine->backend, "cpu") != 0)
        return FAIL(SODA_ERR_USAGE, "--backend: expected cpu, found '%s'", machine->backend);
    TRY(isa_choose(machine->isa));
    *backend = backend_cpu(machine->threads ? (int)machine->threads : threads_each);
    return SODA_OK;
}

soda_status common_method(const char *text, bool *adapts, soda_method *method)
{
    *adapts = strcmp(text, "none") != 0;
    if (!*adapts) return SODA_OK;
    if (strcmp(text, "soda_svd") == 0)
        *method = SODA_METHOD_SVD;
    else if (strcmp(text, "soda_lq") == 0)
        *method = SODA_METHOD_LQ;
    else
        return FAIL(SODA_ERR_USAGE, "--method: expected none, soda_svd or soda_lq, found '%s'",
                    text);
    return SODA_OK;
}
