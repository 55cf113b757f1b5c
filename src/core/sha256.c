#include "core/sha256.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/pulse.h"

struct soda_sha256 {
    EVP_MD_CTX *context;
};

soda_status sha256_create(soda_sha256 **hash)
{
    soda_sha256 *h = calloc(1, sizeof *h);
    if (h) h->context = EVP_MD_CTX_new();
    if (!h || !h->context || !EVP_DigestInit_ex(h->context, EVP_sha256(), NULL)) {
        sha256_destroy(h);
        return FAIL(SODA_ERR_MEMORY, "out of memory for a SHA-256 hash");
    }
    *hash = h;
    return SODA_OK;
}

soda_status sha256_update(soda_sha256 *hash, const void *data, size_t bytes)
{
    pulse_beat();
    if (EVP_DigestUpdate(hash->context, data, bytes)) return SODA_OK;
    return FAIL(SODA_ERR_INTERNAL, "libcrypto refused to hash %zu bytes", bytes);
}

soda_status sha256_finish(soda_sha256 *hash, uint8_t digest[SHA256_BYTES])
{
    if (EVP_DigestFinal_ex(hash->context, digest, NULL)) return SODA_OK;
    return FAIL(SODA_ERR_INTERNAL, "libcrypto refused to finish a SHA-256 hash");
}

soda_status sha256_copy(const soda_sha256 *hash, soda_sha256 **copy)
{
    TRY(sha256_create(copy));
    if (EVP_MD_CTX_copy_ex((*copy)->context, hash->context)) return SODA_OK;
    sha256_destroy(*copy);
    *copy = NULL;
    return FAIL(SODA_ERR_MEMORY, "out of memory for a SHA-256 hash");
}

void sha256_destroy(soda_sha256 *hash)
{
    if (!hash) return;
    EVP_MD_CTX_free(hash->context);
    free(hash);
}

static soda_status hash_open_file(soda_sha256 *hash, int fd, const char *path)
{
    enum { CHUNK = 1 << 20 };
    soda_status s = SODA_OK;
    uint8_t *chunk = malloc(CHUNK);
    if (!chunk) return FAIL(SODA_ERR_MEMORY, "%s: out of memory while hashing", path);
    for (;;) {
        const ssize_t got = read(fd, chunk, CHUNK);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) s = FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
        if (got <= 0) break;
        TRY_TO(done, sha256_update(hash, chunk, (size_t)got));
    }
done:
    free(chunk);
    return s;
}

soda_status sha256_memory(const void *data, size_t bytes, uint8_t digest[SHA256_BYTES])
{
    soda_sha256 *hash;
    TRY(sha256_create(&hash));
    soda_status s = sha256_update(hash, data, bytes);
    if (s == SODA_OK) s = sha256_finish(hash, digest);
    sha256_destroy(hash);
    return s;
}

soda_status sha256_file(const char *path, uint8_t digest[SHA256_BYTES])
{
    soda_status s = SODA_OK;
    soda_sha256 *hash = NULL;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    TRY_TO(done, sha256_create(&hash));
    TRY_TO(done, hash_open_file(hash, fd, path));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    close(fd);
    return s;
}

char *sha256_hex(const uint8_t digest[SHA256_BYTES], char text[SHA256_HEX])
{
    for (int i = 0; i < SHA256_BYTES; i++) snprintf(text + 2 * i, 3, "%02x", digest[i]);
    return text;
}
