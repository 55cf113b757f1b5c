#include "backend/slices.h"

#include <stdlib.h>
#include <string.h>

soda_status slices_add(soda_slices *slices, size_t bytes)
{
    void *block = NULL;
    char **grown = realloc(slices->blocks, ((size_t)slices->count + 1) * sizeof *grown);
    if (grown) slices->blocks = grown;
    const soda_status s = grown ? slices->device->alloc(slices->device, bytes, &block)
                                : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (block) slices->blocks[slices->count++] = block;
    return comm_agree(slices->group, s);
}

soda_status slices_send(const soda_slices *slices, const slices_part *part, const void *whole,
                        int owner)
{
    soda_comm *group = slices->group;
    char *own = slices_own(slices, part), *to = slices->device->host ? own : slices->stage;
    TRY(group->scatter(group, whole, part->bytes, to, owner));
    return to == own ? SODA_OK : slices->device->upload(slices->device, own, to, part->bytes);
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

void slices_free(soda_slices *slices)
{
    for (int i = 0; i < slices->count; i++)
        slices->device->release(slices->device, slices->blocks[i]);
    free(slices->blocks);
    *slices = (soda_slices){0};
}
