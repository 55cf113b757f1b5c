/* corrupt.c: an LD_PRELOAD library: on rank SODA_TEST_CORRUPT_RANK it flips a bit of the adapter
 * when soda has compared the state of the ranks once.
 *
 * That comparison gives three large arrays of one size to one hash, one after the other; nothing
 * else does. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

int EVP_DigestInit_ex(void *hash, const void *type, void *engine);
int EVP_DigestUpdate(void *hash, const void *data, size_t bytes);

static void *last_hash;

/* Another hash may be where one was that ended. */
int EVP_DigestInit_ex(void *hash, const void *type, void *engine)
{
    static int (*next)(void *, const void *, void *);
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "EVP_DigestInit_ex");
    last_hash = NULL;
    return next(hash, type, engine);
}

int EVP_DigestUpdate(void *hash, const void *data, size_t bytes)
{
    static int (*next)(void *, const void *, size_t);
    static void *first_data;
    static size_t last_bytes;
    static int like, comparisons;
    const char *rank = getenv("OMPI_COMM_WORLD_RANK"), *wanted = getenv("SODA_TEST_CORRUPT_RANK");
    if (!next) *(void **)&next = dlsym(RTLD_NEXT, "EVP_DigestUpdate");
    like = hash == last_hash && bytes == last_bytes && bytes >= 1000 ? like + 1 : 0;
    if (like == 0) first_data = (void *)(uintptr_t)data;
    last_hash = hash;
    last_bytes = bytes;
    if (like == 2 && rank && wanted && strcmp(rank, wanted) == 0 && ++comparisons == 1)
        ((uint32_t *)first_data)[5] ^= 1; /* after this comparison: the next one finds it */
    return next(hash, data, bytes);
}
