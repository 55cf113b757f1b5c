#include <string.h>

#include "model/hash.h"
#include "run/same_model.h"
#include "run/trainer_internal.h"

/* What the run learns from: its pictures and captions, and what makes latents and states of them.
 */
static soda_status hash_data(const soda_trainer *t, model_hash_version version,
                             char hex[SHA256_HEX])
{
    const soda_dataset *const sets[] = {t->data, t->prior};
    char all[(2 + 3) * SHA256_HEX] = "", part[SHA256_HEX];
    uint8_t digest[SHA256_BYTES];
    for (int i = 0; i < 2; i++)
        if (sets[i]) strcat(all, dataset_describe(sets[i])->sha256);
    for (int i = -1; i < t->folder->texts; i++) {
        TRY(model_hash(t->folder, i < 0 ? FOLDER_VAE : (folder_component)(FOLDER_TEXT_ENCODER + i),
                       version, part));
        strcat(all, part);
    }
    TRY(sha256_memory(all, strlen(all), digest));
    sha256_hex(digest, hex);
    return SODA_OK;
}

/* For run_state.earlier. */
static soda_status identify_as(const void *trainer, int version, bool *known,
                               char model[SHA256_HEX], char data[SHA256_HEX])
{
    const soda_trainer *t = trainer;
    *known = version < MODEL_HASH_VERSIONS;
    if (!*known) return SODA_OK;
    TRY(adapter_base_hash(t->folder, t->config->adapter.text_encoder, (model_hash_version)version,
                          model));
    return hash_data(t, (model_hash_version)version, data);
}

/* What is trained, as each rank reads it. */
static soda_status hash_model(soda_trainer *t)
{
    const bool texts = t->config->adapter.text_encoder;
    TRY(model_hash_together(t->folder, FOLDER_UNET, t->comm));
    for (int i = 0; texts && i < t->folder->texts; i++)
        TRY(model_hash_together(t->folder, FOLDER_TEXT_ENCODER + i, t->comm));
    return adapter_base_hash(t->folder, texts, MODEL_HASH, t->state.model_sha256);
}

/* Hashing the rest is the work of one rank. */
soda_status trainer_identify(soda_trainer *t)
{
    const run_config *c = t->config;
    t->state.seed = c->train.seed;
    t->state.method = c->adapter.method->name;
    t->state.config = t->stored_text;
    t->state.schedule = t->schedule.text;
    t->state.earlier = identify_as;
    t->state.earlier_context = t;
    soda_status s = hash_model(t);
    if (s == SODA_OK && t->comm->rank == 0) s = hash_data(t, MODEL_HASH, t->state.data_sha256);
    TRY(comm_agree(t->comm, s));
    TRY(same_model_check(t->comm, t->folder, c->adapter.text_encoder, t->state.model_sha256));
    return t->comm->broadcast(t->comm, t->state.data_sha256, SHA256_HEX, 0);
}
