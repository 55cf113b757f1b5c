#include "backend/exchange_staged.h"

#include <stdlib.h>

typedef struct {
    soda_exchange base;
    soda_device *device;
    soda_comm *comm;
    void *room; /* on the host, as large as the largest sum so far */
    size_t room_bytes;
} staged;

static soda_status fetch(staged *x, const void *data, size_t bytes)
{
    if (bytes > x->room_bytes) {
        void *room = realloc(x->room, bytes);
        if (!room) return FAIL(SODA_ERR_MEMORY, "out of memory");
        x->room = room;
        x->room_bytes = bytes;
    }
    return x->device->download(x->device, x->room, data, bytes);
}

/* Of count int64, or fp32. A rank that has no numbers to give may not leave the others waiting. */
static soda_status sum(soda_exchange *exchange, void *data, int64_t count, bool fp32)
{
    staged *x = (staged *)exchange;
    soda_comm *comm = x->comm;
    const size_t bytes = (size_t)count * (fp32 ? sizeof(float) : sizeof(int64_t));
    if (comm->size == 1) return SODA_OK;
    TRY(comm_agree(comm, fetch(x, data, bytes)));
    TRY(fp32 ? comm->sum_f32(comm, x->room, count) : comm->sum_i64(comm, x->room, count));
    return x->device->upload(x->device, data, x->room, bytes);
}

static soda_status sum_i64(soda_exchange *exchange, int64_t *data, int64_t count)
{
    return sum(exchange, data, count, false);
}

static soda_status sum_f32(soda_exchange *exchange, float *data, int64_t count)
{
    return sum(exchange, data, count, true);
}

static void close_staged(soda_exchange *exchange)
{
    free(((staged *)exchange)->room);
    free(exchange);
}

soda_status exchange_staged(soda_device *device, soda_comm *comm, soda_exchange **exchange)
{
    staged *x = calloc(1, sizeof *x);
    *exchange = NULL;
    if (!x) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *x = (staged){.base = {.sum_i64 = sum_i64, .sum_f32 = sum_f32, .close = close_staged},
                  .device = device,
                  .comm = comm};
    *exchange = &x->base;
    return SODA_OK;
}
