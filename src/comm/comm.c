#include "comm/comm.h"

static soda_status keep_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    (void)comm, (void)data, (void)count;
    return SODA_OK;
}

static soda_status keep_f32(soda_comm *comm, float *data, int64_t count)
{
    (void)comm, (void)data, (void)count;
    return SODA_OK;
}

static soda_status keep_bytes(soda_comm *comm, void *data, size_t bytes, int root)
{
    (void)comm, (void)data, (void)bytes, (void)root;
    return SODA_OK;
}

soda_comm *comm_self(void)
{
    static soda_comm self = {.rank = 0,
                             .size = 1,
                             .sum_i64 = keep_i64,
                             .sum_f32 = keep_f32,
                             .max_i64 = keep_i64,
                             .broadcast = keep_bytes};
    return &self;
}

soda_status comm_agree(soda_comm *comm, soda_status own)
{
    if (comm->size == 1) return own;
    /* worst status first, then the lowest rank that has it */
    int64_t worst = own == SODA_OK ? 0 : (int64_t)own * comm->size + (comm->size - 1 - comm->rank);
    const soda_status s = comm->max_i64(comm, &worst, 1);
    if (s != SODA_OK) return s;
    if (worst == 0) return SODA_OK;
    const soda_status agreed = (soda_status)(worst / comm->size);
    const int rank = comm->size - 1 - (int)(worst % comm->size);
    if (own != SODA_OK) return own;
    return FAIL(agreed, "rank %d of %d failed", rank, comm->size);
}
