/* hash.h: the identity of a component: the same for the same weights and values,
 * however files hold them. */
#pragma once

#include "core/sha256.h"
#include "model/folder.h"

/* Adds one tensor: a line "NAME DTYPE [SHAPE]\n" and its bytes, whose pages are then given back. */
soda_status model_hash_tensor(soda_sha256 *hash, const safetensors_tensor *tensor);

/* Lower-case hex of the SHA-256 of each tensor by rising name (model_hash_tensor), and last the
 * text of the configuration's values (config_text.h). Shards, the order within files and the
 * spelling of config.json do not matter; a cast to another type does. Reads all weights, the first
 * time that it is asked about a component of `folder`.
 *
 * former: the identity that soda 0.1 wrote into adapters and checkpoints, with the bytes of
 * config.json in the place of its values; NULL if not wanted. */
soda_status model_hash(const soda_folder *folder, folder_component component, char hex[SHA256_HEX],
                       char former[SHA256_HEX]);
