/* hash.h: the identity of a component: the same for the same weights and values,
 * however files hold them. */
#pragma once

#include "comm/comm.h"
#include "core/sha256.h"
#include "model/folder.h"

/* The SHA-256 of a line "NAME DTYPE [SHAPE]\n" and the tensor's bytes, whose pages are then given
 * back. */
soda_status model_hash_tensor(const safetensors_tensor *tensor, uint8_t digest[SHA256_BYTES]);

/* Ways to compute the identity: this version's, and those that adapters and checkpoints of earlier
 * ones hold. */
typedef enum {
    MODEL_HASH,       /* the SHA-256 of the digests of all tensors, by rising name, and the text of
                         the configuration's values (config_text.h) */
    MODEL_HASH_WHOLE, /* builds before 0.2.0: of what the digests are of, one behind the other */
    MODEL_HASH_0_1,   /* soda 0.1: the same, with the bytes of config.json in place of the values */
    MODEL_HASH_VERSIONS
} model_hash_version;

/* The identity in lower-case hex. Shards, the order within files and the spelling of config.json do
 * not matter; a cast to another type does. Reads all weights, on all OpenMP threads for MODEL_HASH,
 * the first time that it is asked about a component of `folder` and a version. */
soda_status model_hash(const soda_folder *folder, folder_component component,
                       model_hash_version version, char hex[SHA256_HEX]);

/* Makes MODEL_HASH known for `component` of a folder that folder_open made. Ranks of a node that
 * map the same files hash a part of the tensors each, others all of them, so each rank knows what
 * it reads itself. Collective: all ranks return an error if one does. */
soda_status model_hash_together(const soda_folder *folder, folder_component component,
                                soda_comm *comm);
