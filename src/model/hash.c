#include "model/hash.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/arena.h"
#include "core/file.h"
#include "core/round.h"
#include "model/config_text.h"

_Static_assert((int)MODEL_HASH_VERSIONS == (int)FOLDER_IDENTITIES, "see folder.h");

enum { MAX_CONFIG = 64 << 20 }; /* as core/json.h reads */

static soda_status add_tensor(soda_sha256 *hash, const safetensors_tensor *t)
{
    char line[64 + 24 * SAFETENSORS_MAX_RANK];
    int used = snprintf(line, sizeof line, " %s [", safetensors_dtype_name(t->dtype));
    for (int d = 0; d < t->rank; d++)
        used += snprintf(line + used, sizeof line - (size_t)used, d ? ",%lld" : "%lld",
                         (long long)t->dim[d]);
    used += snprintf(line + used, sizeof line - (size_t)used, "]\n");
    TRY(sha256_update(hash, t->name, strlen(t->name)));
    TRY(sha256_update(hash, line, (size_t)used));
    TRY(sha256_update(hash, t->data, t->bytes));
    arena_drop_pages(t->data, t->bytes);
    return SODA_OK;
}

soda_status model_hash_tensor(const safetensors_tensor *t, uint8_t digest[SHA256_BYTES])
{
    soda_sha256 *hash;
    soda_status s;
    TRY(sha256_create(&hash));
    TRY_TO(done, add_tensor(hash, t));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    return s;
}

static soda_status add_file(soda_sha256 *hash, const soda_folder *folder,
                            folder_component component)
{
    char path[4096];
    void *text;
    size_t bytes;
    TRY(folder_path(folder, folder_component_name(component), "config.json", path, sizeof path));
    TRY(file_read(path, MAX_CONFIG, &text, &bytes));
    const soda_status s = sha256_update(hash, text, bytes);
    free(text);
    return s;
}

static soda_status add_values(soda_sha256 *hash, const soda_folder *folder,
                              folder_component component)
{
    const int encoder = component == FOLDER_TEXT_ENCODER_2;
    char text[CONFIG_TEXT_BYTES];
    if (component == FOLDER_UNET)
        config_text_unet(&folder->unet, text);
    else if (component == FOLDER_VAE)
        config_text_vae(&folder->vae, text);
    else
        config_text_clip(&folder->text[encoder], folder->text_projection[encoder], text);
    return sha256_update(hash, text, strlen(text));
}

static soda_status finish(soda_sha256 *hash, char hex[SHA256_HEX])
{
    uint8_t digest[SHA256_BYTES];
    TRY(sha256_finish(hash, digest));
    sha256_hex(digest, hex);
    return SODA_OK;
}

/* Whether the ranks of this node map the same files. Collective over `comm`. */
static soda_status is_shared(const soda_safetensors *set, soda_comm *comm, bool *shared)
{
    uint8_t identity[SHA256_BYTES] = {0};
    TRY(comm_agree(comm, safetensors_identity(set, identity)));
    return comm_all_same(comm->node, identity, sizeof identity, shared);
}

/* Whether this rank hashes tensor i: each has an equal part of the bytes. By number would not do:
 * sorted by name, every second tensor is a bias, and one of two ranks would have all matrices. */
static bool is_own(const soda_safetensors *set, int i, const size_t *before, const soda_comm *node)
{
    const size_t all = before[safetensors_count(set)];
    return part_of_middle(before[i], before[i + 1], all, node->size) == node->rank;
}

/* A thread hashes one tensor at a time: OpenMP's own loop, as model/ knows no backend. Collective
 * over `comm`. */
static soda_status add_digests(soda_sha256 *hash, const soda_safetensors *set, soda_comm *comm)
{
    enum { WORDS = SHA256_BYTES / sizeof(int64_t) };
    const int count = safetensors_count(set);
    bool shared = false;
    TRY(is_shared(set, comm, &shared));
    int64_t(*digests)[WORDS] = calloc((size_t)count + 1, sizeof *digests);
    size_t *before = calloc((size_t)count + 1, sizeof *before); /* bytes of those before it */
    status_slot slot = {0};
    soda_status s = SODA_OK;
    if (!digests || !before)
        s = FAIL(SODA_ERR_MEMORY, "out of memory for the hashes of %d tensors", count);
    s = comm_agree(comm, s);
    if (s != SODA_OK || !digests || !before) goto done; /* which failed everywhere, then */
    for (int i = 0; i < count; i++) before[i + 1] = before[i] + safetensors_at(set, i)->bytes;
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < count; i++)
        if (!shared || is_own(set, i, before, comm->node))
            status_keep(&slot, model_hash_tensor(safetensors_at(set, i), (uint8_t *)digests[i]));
    TRY_TO(done, comm_agree(comm, status_take(&slot)));
    if (shared) /* what others hashed is zero here */
        TRY_TO(done, comm->node->sum_i64(comm->node, digests[0], (int64_t)count * WORDS));
    s = sha256_update(hash, digests, (size_t)count * SHA256_BYTES);
done:
    free(before);
    free(digests);
    return s;
}

static soda_status add_tensors(soda_sha256 *hash, const soda_safetensors *set)
{
    for (int i = 0; i < safetensors_count(set); i++) /* sorted by name */
        TRY(add_tensor(hash, safetensors_at(set, i)));
    return SODA_OK;
}

/* Collective over `comm`. */
static soda_status identify(const soda_folder *folder, folder_component component,
                            model_hash_version version, soda_comm *comm, char hex[SHA256_HEX])
{
    soda_safetensors *set = NULL;
    soda_sha256 *hash = NULL;
    soda_status s = SODA_OK;
    TRY_TO(done, comm_agree(comm, folder_tensors_open(folder, component, &set)));
    TRY_TO(done, comm_agree(comm, sha256_create(&hash)));
    TRY_TO(done, version == MODEL_HASH ? add_digests(hash, set, comm) : add_tensors(hash, set));
    TRY_TO(done, version == MODEL_HASH_0_1 ? add_file(hash, folder, component)
                                           : add_values(hash, folder, component));
    TRY_TO(done, finish(hash, hex));
done:
    sha256_destroy(hash);
    safetensors_close(set);
    return s;
}

soda_status model_hash(const soda_folder *folder, folder_component component,
                       model_hash_version version, char hex[SHA256_HEX])
{
    char own[SHA256_HEX] = "";
    char *known = folder->identity ? folder->identity[component].sha256[version] : own;
    if (!known[0]) TRY(identify(folder, component, version, comm_self(), known));
    memcpy(hex, known, SHA256_HEX);
    return SODA_OK;
}

soda_status model_hash_together(const soda_folder *folder, folder_component component,
                                soda_comm *comm)
{
    char *known = folder->identity[component].sha256[MODEL_HASH];
    int64_t missing = !known[0];
    TRY(comm->max_i64(comm, &missing, 1));
    if (!missing) return SODA_OK;
    return comm_agree(comm, identify(folder, component, MODEL_HASH, comm, known));
}
