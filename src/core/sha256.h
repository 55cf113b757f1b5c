/* sha256.h: SHA-256 by OpenSSL's libcrypto: identities of model files, data sets and caches. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { SHA256_BYTES = 32, SHA256_HEX = 65 };

typedef struct soda_sha256 soda_sha256;

/* An empty hash, fed by sha256_update as often as wanted, read once by sha256_finish. */
soda_status sha256_create(soda_sha256 **hash);
soda_status sha256_update(soda_sha256 *hash, const void *data, size_t bytes);
soda_status sha256_finish(soda_sha256 *hash, uint8_t digest[SHA256_BYTES]);
/* Another hash that has been fed the same. */
soda_status sha256_copy(const soda_sha256 *hash, soda_sha256 **copy);
void sha256_destroy(soda_sha256 *hash); /* accepts NULL */

/* The hash of `bytes` of memory. */
soda_status sha256_memory(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES]);

/* The hash of a whole file. SODA_ERR_IO names the file and the reason. */
soda_status sha256_file(const char *path, uint8_t digest[SHA256_BYTES]);

/* Lower-case hexadecimal with a final zero; returns text. */
char *sha256_hex(const uint8_t digest[SHA256_BYTES], char text[SHA256_HEX]);
