#include "app/common.h"

#include <string.h>

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

soda_status common_backend(const char *name, int64_t threads, const soda_backend **backend)
{
    if (strcmp(name, "cpu") != 0)
        return FAIL(SODA_ERR_USAGE, "--backend: expected cpu, found '%s'", name);
    *backend = backend_cpu(threads ? (int)threads : threads_each);
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
