/* hash.h: the identity of a component: the same for the same weights, however files hold them. */
#pragma once

#include "core/sha256.h"
#include "model/folder.h"

/* Lower-case hex of the SHA-256 of, for each tensor by rising name, a line "NAME DTYPE [SHAPE]\n"
 * and its bytes, and last the bytes of config.json. Shards and the order within files do not
 * matter; a cast to another type does. Reads all weights once. */
soda_status model_hash(const soda_folder *folder, folder_component component, char hex[SHA256_HEX]);
