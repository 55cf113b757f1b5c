#include "comm/exchange.h"

#include <stdlib.h>

static soda_status sum_i64(soda_exchange *exchange, int64_t *data, int64_t count)
{
    soda_comm *comm = exchange->context;
    return comm->sum_i64(comm, data, count);
}

static soda_status sum_f32(soda_exchange *exchange, float *data, int64_t count)
{
    soda_comm *comm = exchange->context;
    return comm->sum_f32(comm, data, count);
}

static void close_host(soda_exchange *exchange) { free(exchange); }

soda_status exchange_host(struct soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    (void)device;
    soda_exchange *x = *exchange = malloc(sizeof *x);
    if (!x) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *x = (soda_exchange){
        .sum_i64 = sum_i64, .sum_f32 = sum_f32, .close = close_host, .context = comm};
    return SODA_OK;
}
