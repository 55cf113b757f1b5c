/* same_model.h: ranks that read different models under one path train an adapter of neither. */
#pragma once

#include "comm/comm.h"
#include "core/sha256.h"
#include "model/folder.h"

/* SODA_ERR_INPUT on every rank unless all ranks found the identity `hex`; the rank that found
 * another says in which file, and names the first tensor that differs from rank 0's. Components:
 * the U-Net, and with `texts` the text encoders. Collective. */
soda_status same_model_check(soda_comm *comm, const soda_folder *folder, bool texts,
                             const char hex[SHA256_HEX]);
