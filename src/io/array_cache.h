/* array_cache.h: arrays that are expensive to compute, kept on disk between runs: factorisations of
 * weights, latents of pictures, states of captions.
 *
 * One safetensors file per item, FOLDER/KIND/KEY.safetensors: mapped when it is used again, so a
 * model's bases cost no memory beyond what a backend packs, and any tool can read it (HDF5 would
 * have to be copied into memory). KEY is the SHA-256 of what the arrays depend on. Files appear
 * whole or not at all, and carry a checksum that is verified on reading: processes may race, and a
 * damaged file is one that is not there. Files are removed by cache_limit.h alone; the user may
 * remove the whole folder at any time when no run uses it.
 */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/sha256.h"
#include "core/status.h"
#include "io/safetensors.h"

/* $SODA_CACHE, or $XDG_CACHE_HOME/soda, or ~/.cache/soda, whether it is there or not. */
soda_status array_cache_root(char *folder, size_t size);

/* The same, made if it is not there, with its folder `kind`. SODA_ERR_IO names it and the reason.
 */
soda_status array_cache_folder(const char *kind, char *folder, size_t size);

/* The key of `weight` factorised by `method`, version `version` of its code: lower-case hex of the
 * SHA-256 of a line "soda factors METHOD VERSION DTYPE SHAPE" and the weight's bytes as they are.
 */
soda_status array_cache_weight_key(const soda_tensor *weight, const char *method, int version,
                                   char key[SHA256_HEX]);

/* Whether there is a file under `key`. */
bool array_cache_has(const char *folder, const char *kind, const char *key);

/* Finds the arrays that were stored under `key`, which must have the names, types and shapes of
 * `expected`. *set is NULL if there is no such file, or, after a warning that names it, if it is
 * damaged. Close *set with safetensors_close when its data is not needed any more. Several threads
 * may load at a time. */
soda_status array_cache_load(const char *folder, const char *kind, const char *key,
                             const safetensors_tensor *expected, int count, soda_safetensors **set);

/* The same without reading the arrays, for a file whose checksum another process has just verified.
 */
soda_status array_cache_map(const char *folder, const char *kind, const char *key,
                            const safetensors_tensor *expected, int count, soda_safetensors **set);

/* The checksum of fp32 arrays with data, in the order given: metadata "sha256" of their file. */
soda_status array_cache_checksum(const safetensors_tensor *arrays, int count, char sum[SHA256_HEX]);

/* Stores fp32 arrays (with data) under `key`. SODA_ERR_IO on a full disk, for instance: then
 * nothing has changed. Several threads may store at a time, under different keys. */
soda_status array_cache_store(const char *folder, const char *kind, const char *key,
                              const safetensors_tensor *arrays, int count);
