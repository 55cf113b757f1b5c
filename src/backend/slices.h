/* slices.h: the parts of forms that the ranks of a group keep: sent once, gathered often. On one
 * node ranks read each other's memory, elsewhere they send. */
#pragma once

#include "backend/device.h"
#include "comm/comm.h"

/* Memory of one size on every rank of the group. */
typedef struct {
    size_t bytes;
    char *own;
    int *files; /* of all ranks, where they can be read; NULL: they cannot */
} slices_block;

typedef struct {
    soda_device *device;
    soda_comm *group;
    slices_block *blocks;
    int count;
    bool apart;  /* the ranks must send */
    char *stage; /* on the host, where that cannot write to the device: room for what is received,
                    set by the caller while slices are sent */
} soda_slices;

/* `bytes` of each rank, at offset `at` of block `block`. */
typedef struct {
    int block;
    size_t at, bytes;
} slices_part;

void slices_start(soda_slices *slices, soda_device *device, soda_comm *group);

/* A block more: number slices->count - 1. Collective over the group. */
soda_status slices_add(soda_slices *slices, size_t bytes);

/* This rank's slice. */
static inline char *slices_own(const soda_slices *slices, const slices_part *part)
{
    return slices->blocks[part->block].own + part->at;
}

/* Cuts `whole`, which rank `owner` has, into slices. Collective over the group; before they are
 * gathered, the ranks must agree on something. */
soda_status slices_send(const soda_slices *slices, const slices_part *part, const void *whole,
                        int owner);

/* The same for what every rank keeps whole: the `bytes` that rank `owner` has at `whole`. */
soda_status slices_copy(const soda_slices *slices, const slices_part *part, size_t bytes,
                        const void *whole, int owner);

/* Puts the slices of all ranks together, where the device is the host. Collective over the group
 * after slices_meet, which returns when the others are ready. */
soda_status slices_meet(const soda_slices *slices);
soda_status slices_gather(const soda_slices *slices, const comm_parts *parts, int count);

void slices_free(soda_slices *slices); /* accepts a zeroed struct */
