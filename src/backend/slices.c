#include "backend/slices.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/stream_copy.h"
#include "comm/node_memory.h"

void slices_start(soda_slices *slices, soda_device *device, soda_comm *group)
{
    *slices = (soda_slices){.device = device,
                            .group = group,
                            .apart = !device->host || group->node->size != group->size};
}

/* Memory that the others can read. Where the system forbids that, the ranks send: all of them, as
 * the failure is agreed on. */
static soda_status lend(soda_slices *slices, slices_block *block)
{
    block->files = malloc((size_t)slices->group->size * sizeof *block->files);
    soda_status s = block->files ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    s = comm_agree(slices->group, s);
    if (s != SODA_OK || !block->files) {
        free(block->files);
        return s;
    }
    s = node_memory_lend(slices->group, block->bytes, (void **)&block->own, block->files);
    if (s == SODA_OK) return SODA_OK;
    free(block->files);
    block->files = NULL;
    if (slices->count > 0) return s;
    status_clear();
    slices->group->failed_rank = -1;
    slices->apart = true;
    return SODA_OK;
}

soda_status slices_add(soda_slices *slices, size_t bytes)
{
    slices_block block = {.bytes = bytes};
    slices_block *grown =
        realloc(slices->blocks, ((size_t)slices->count + 1) * sizeof *slices->blocks);
    if (grown) slices->blocks = grown;
    TRY(comm_agree(slices->group, grown ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory")));
    if (!slices->apart) TRY(lend(slices, &block));
    if (slices->apart)
        TRY(comm_agree(slices->group,
                       slices->device->alloc(slices->device, bytes, (void **)&block.own)));
    slices->blocks[slices->count++] = block;
    return SODA_OK;
}

/* All of `bytes`, in as many calls as it takes. */
static soda_status write_all(int file, const char *from, size_t bytes, size_t at)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = pwrite(file, from + done, bytes - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return FAIL(SODA_ERR_MEMORY, "memory of another rank: %s", strerror(errno));
        done += (size_t)n;
    }
    return SODA_OK;
}

static soda_status read_all(int file, char *to, size_t bytes, size_t at)
{
    for (size_t done = 0; done < bytes;) {
        const ssize_t n = pread(file, to + done, bytes - done, (off_t)(at + done));
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return FAIL(SODA_ERR_IO, "memory of another rank: %s", strerror(errno));
        done += (size_t)n;
    }
    return SODA_OK;
}

soda_status slices_send(const soda_slices *slices, const slices_part *part, const void *whole,
                        int owner)
{
    soda_comm *group = slices->group;
    const slices_block *block = &slices->blocks[part->block];
    if (!slices->device->host) {
        TRY(group->scatter(group, whole, part->bytes, slices->stage, owner));
        return slices->device->upload(slices->device, slices_own(slices, part), slices->stage,
                                      part->bytes);
    }
    if (slices->apart)
        return group->scatter(group, whole, part->bytes, slices_own(slices, part), owner);
    if (group->rank != owner) return SODA_OK;
    for (int i = 0; i < group->size; i++)
        TRY(write_all(block->files[i], (const char *)whole + (size_t)i * part->bytes, part->bytes,
                      part->at));
    return SODA_OK;
}

soda_status slices_copy(const soda_slices *slices, const slices_part *part, size_t bytes,
                        const void *whole, int owner)
{
    soda_comm *group = slices->group;
    char *own = slices_own(slices, part), *to = slices->device->host ? own : slices->stage;
    if (group->rank == owner) memcpy(to, whole, bytes);
    TRY(group->broadcast(group, to, bytes, owner));
    return to == own ? SODA_OK : slices->device->upload(slices->device, own, to, bytes);
}

soda_status slices_meet(const soda_slices *slices)
{
    return slices->apart ? slices->group->meet(slices->group) : SODA_OK;
}

/* Rank i's part of what this rank has at `own`, which is in some block. */
static soda_status read_parts(const soda_slices *slices, const comm_parts *parts)
{
    const int own = slices->group->rank;
    const slices_block *block = slices->blocks;
    const char *from = parts->own;
    char *to = parts->all;
    while (from < block->own || from >= block->own + block->bytes) block++;
    for (int i = 0; i < slices->group->size; i++, to += parts->bytes) {
        if (i == own)
            stream_copy(to, from, parts->bytes);
        else
            TRY(read_all(block->files[i], to, parts->bytes, (size_t)(from - block->own)));
    }
    return SODA_OK;
}

soda_status slices_gather(const soda_slices *slices, const comm_parts *parts, int count)
{
    soda_comm *group = slices->group;
    if (slices->apart) return group->gather(group, parts, count);
    for (int i = 0; i < count; i++) TRY(read_parts(slices, &parts[i]));
    return SODA_OK;
}

void slices_free(soda_slices *slices)
{
    for (int i = 0; i < slices->count; i++) {
        slices_block *block = &slices->blocks[i];
        if (!block->files) {
            slices->device->release(slices->device, block->own);
            continue;
        }
        node_memory_close(block->own, block->bytes);
        for (int k = 0; k < slices->group->size; k++) close(block->files[k]);
        free(block->files);
    }
    free(slices->blocks);
    *slices = (soda_slices){0};
}
