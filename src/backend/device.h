/* device.h: where a backend's tensors live, and the order in which work on them is done.
 *
 * Functions return when the work is queued, unless said otherwise; work is done in the order of the
 * calls, kernels included. Memory is addressed by plain pointers, which host code may follow only
 * where `host` is true. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/round.h"
#include "core/status.h"

typedef struct soda_device soda_device;
typedef struct device_recording device_recording;

/* Work that is always the same: `queue` queues it, on the same memory in each call, and neither
 * uploads, downloads, allocates nor waits. */
typedef struct {
    soda_status (*queue)(void *context);
    void *context;

    /* [memory_count] places in memory that somebody might release while the work is still known;
     * NULL among them: none. */
    void *const *memory;
    int64_t memory_count;
} device_work;

struct soda_device {
    const char *name;
    const char *model; /* of the hardware: two of one model give the same bits */
    bool host;         /* its memory is the host's */
    bool simulated;    /* by a program that counts time: rates say nothing */
    size_t alignment;  /* of every tensor, in bytes: a power of two, at least 64 */

    /* `bytes` of undefined contents. SODA_ERR_MEMORY says how much was wanted. */
    soda_status (*alloc)(soda_device *device, size_t bytes, void **memory);
    void (*release)(soda_device *device, void *memory); /* accepts NULL */

    /* How many bytes there are for this process, one of `ranks` on its node, and how many of them
     * are in use. */
    void (*memory)(soda_device *device, int ranks, size_t *all, size_t *used);

    /* upload has read `host` when it returns; download waits until `host` is written. */
    soda_status (*upload)(soda_device *device, void *to, const void *host, size_t bytes);
    soda_status (*download)(soda_device *device, void *host, const void *from, size_t bytes);
    soda_status (*clear)(soda_device *device, void *to, size_t bytes); /* to zero bytes */

    /* Until everything is done; the first failure of any of it. */
    soda_status (*wait)(soda_device *device);

    /* Mark number `number` is the moment when all earlier work is done; elapsed waits for the later
     * one of two, and gives the seconds between them. The executor's profile takes numbers from
     * DEVICE_PROFILE_MARKS on. */
    soda_status (*mark)(soda_device *device, int number);
    soda_status (*elapsed)(soda_device *device, int from, int to, double *seconds);

    /* record keeps what `works` queue, one after the other, and nothing of it is done; replay
     * queues all of that, in one call of the driver. SODA_ERR_INTERNAL if memory that the works
     * name was released in between. NULL, all three: there is nothing to gain. */
    soda_status (*record)(soda_device *device, const device_work *works, int count,
                          device_recording **recording);
    soda_status (*replay)(soda_device *device, device_recording *recording);
    void (*forget)(soda_device *device, device_recording *recording); /* accepts NULL */
};

enum { DEVICE_PROFILE_MARKS = 16 };

/* `bytes`, rounded up to where the next tensor may start. */
static inline size_t device_align(const soda_device *device, size_t bytes)
{
    return round_up(bytes, device->alignment);
}

/* The memory of this process, all work done at once. */
soda_device *device_host(void);
