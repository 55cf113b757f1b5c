/* exchange.h: collectives on the memory of a backend's device, done in the device's order. What
 * ranks say to each other for control stays with comm.h.
 *
 * Functions are collective: all ranks call them in the same order with the same count. */
#pragma once

#include "comm/comm.h"

struct soda_device;
typedef struct soda_exchange soda_exchange;

struct soda_exchange {
    /* In place: every rank ends with the sum over ranks. Integer sums are exact in any order; fp32
     * sums may differ in the last bits with the number of ranks. */
    soda_status (*sum_i64)(soda_exchange *exchange, int64_t *data, int64_t count);
    soda_status (*sum_f32)(soda_exchange *exchange, float *data, int64_t count);
    void (*close)(soda_exchange *exchange); /* frees it; ends what devices wait for */
    void *context;
};

/* By `comm`, which must outlive it, for a device whose memory is the host's. */
soda_status exchange_host(struct soda_device *device, soda_comm *comm, soda_exchange **exchange);
