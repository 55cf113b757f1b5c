#include "run/same_model.h"

#include <string.h>

#include "model/hash.h"

/* Fails on ranks whose tensor number i is not rank 0's. A set that has no such tensor counts as one
 * of zeros. */
static soda_status compare_tensor(soda_comm *comm, const soda_safetensors *set, int i)
{
    const safetensors_tensor *t = i < safetensors_count(set) ? safetensors_at(set, i) : NULL;
    uint8_t own[SHA256_BYTES] = {0}, first[SHA256_BYTES];
    TRY(comm_agree(comm, t ? model_hash_tensor(t, own) : SODA_OK));
    memcpy(first, own, sizeof first);
    TRY(comm->broadcast(comm, first, sizeof first, 0));
    soda_status s = SODA_OK;
    if (memcmp(first, own, sizeof own) != 0)
        s = t ? FAIL(SODA_ERR_INPUT, "%s: %s: not the tensor that rank 0 read", t->file, t->name)
              : FAIL(SODA_ERR_INPUT, "tensor number %d is missing: rank 0 read another model", i);
    return comm_agree(comm, s);
}

static soda_status compare_component(soda_comm *comm, const soda_folder *folder,
                                     folder_component component)
{
    soda_safetensors *set = NULL;
    int64_t count = 0;
    soda_status s;
    TRY_TO(done, comm_agree(comm, folder_tensors_open(folder, component, &set)));
    if (set) count = safetensors_count(set);
    TRY_TO(done, comm->max_i64(comm, &count, 1));
    for (int i = 0; i < count; i++) TRY_TO(done, compare_tensor(comm, set, i));
done:
    safetensors_close(set);
    return s;
}

soda_status same_model_check(soda_comm *comm, const soda_folder *folder, bool texts,
                             const char hex[SHA256_HEX])
{
    char first[SHA256_HEX];
    memcpy(first, hex, SHA256_HEX);
    TRY(comm->broadcast(comm, first, SHA256_HEX, 0));
    int64_t differs = strcmp(first, hex) != 0;
    TRY(comm->max_i64(comm, &differs, 1));
    if (!differs) return SODA_OK;
    TRY(compare_component(comm, folder, FOLDER_UNET));
    for (int i = 0; texts && i < folder->texts; i++)
        TRY(compare_component(comm, folder, FOLDER_TEXT_ENCODER + i));
    return comm_agree(comm, strcmp(first, hex) == 0
                                ? SODA_OK
                                : FAIL(SODA_ERR_INPUT,
                                       "%s: the values in config.json differ from those that rank "
                                       "0 read",
                                       folder->root));
}
