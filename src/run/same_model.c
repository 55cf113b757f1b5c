#include "run/same_model.h"

#include <stdio.h>
#include <string.h>

#include "model/hash.h"

/* Tensor number i, by rising name, as ranks tell each other of it; zeros behind the last. */
typedef struct {
    uint8_t sha256[SHA256_BYTES];
    char name[512]; /* its start */
} tensor_about;

static soda_status refuse(const soda_folder *folder, folder_component component,
                          const safetensors_tensor *own, const tensor_about *first)
{
    const int order = !own ? 1 : !first->name[0] ? -1 : strcmp(own->name, first->name);
    if (order > 0)
        return FAIL(SODA_ERR_INPUT, "%s/%s: tensor %s is missing: rank 0 read it", folder->root,
                    folder_component_name(component), first->name);
    return FAIL(SODA_ERR_INPUT, "%s: %s: %s", own->file, own->name,
                order < 0 ? "rank 0 read no tensor of this name"
                          : "not the tensor that rank 0 read");
}

/* Fails on ranks whose tensor number i is not rank 0's. Collective. */
static soda_status compare_tensor(soda_comm *comm, const soda_folder *folder,
                                  folder_component component, const soda_safetensors *set, int i)
{
    const safetensors_tensor *t = i < safetensors_count(set) ? safetensors_at(set, i) : NULL;
    tensor_about own = {0}, first;
    if (t) snprintf(own.name, sizeof own.name, "%s", t->name);
    TRY(comm_agree(comm, t ? model_hash_tensor(t, own.sha256) : SODA_OK));
    first = own;
    TRY(comm->broadcast(comm, &first, sizeof first, 0));
    const bool same = memcmp(first.sha256, own.sha256, sizeof own.sha256) == 0;
    return comm_agree(comm, same ? SODA_OK : refuse(folder, component, t, &first));
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
    for (int i = 0; i < count; i++) TRY_TO(done, compare_tensor(comm, folder, component, set, i));
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
