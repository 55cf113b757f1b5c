/* slices.h: the parts of forms that the ranks of a group keep. */
#pragma once

#include "backend/device.h"
#include "comm/comm.h"

typedef struct {
    soda_device *device;
    soda_comm *group;
    char **blocks; /* of memory of the device */
    int count;
    char *stage; /* on the host, where that cannot write to the device: room for what is received,
                    set by the caller while slices are sent */
} soda_slices;

/* `bytes` of each rank, at offset `at` of block `block`. */
typedef struct {
    int block;
    size_t at, bytes;
} slices_part;

/* A block more: number slices->count - 1. Collective over the group. */
soda_status slices_add(soda_slices *slices, size_t bytes);

/* This rank's slice. */
static inline char *slices_own(const soda_slices *slices, const slices_part *part)
{
    return slices->blocks[part->block] + part->at;
}

/* Cuts `whole`, which rank `owner` has, into slices. Collective over the group. */
soda_status slices_send(const soda_slices *slices, const slices_part *part, const void *whole,
                        int owner);

/* The same for what every rank keeps whole: the `bytes` that rank `owner` has at `whole`. */
soda_status slices_copy(const soda_slices *slices, const slices_part *part, size_t bytes,
                        const void *whole, int owner);

void slices_free(soda_slices *slices); /* accepts a zeroed struct */
