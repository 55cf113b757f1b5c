/* shared_arrays.h: arrays that are made once and read by all ranks: one list of items, each up to
 * three fp32 arrays under a key. Items with the same key share what is made. On disk they lie in
 * the cache (io/array_cache.h); what the cache does not keep is held in memory. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/sha256.h"
#include "core/tensor.h"
#include "io/cache_limit.h"
#include "io/safetensors.h"

enum { SHARED_ARRAYS = 3 };

typedef struct {
    char key[SHA256_HEX];
    soda_shape shape[SHARED_ARRAYS];
    int64_t first;                    /* the first item with this key: it holds the arrays of all */
    soda_safetensors *set;            /* mapped, or */
    float *memory;                    /* array after array */
    bool refused;                     /* by the cache, where a damaged file may have the key */
    const float *data[SHARED_ARRAYS]; /* NULL: not there yet */
    bool held;                        /* by some rank, when ranks last told each other */
    char sha256[SHA256_HEX];          /* of the data; empty: nobody asked, and no file told */
} shared_arrays_item;

typedef struct {
    const char *kind;                /* the folder within the cache */
    const char *name[SHARED_ARRAYS]; /* of the arrays */
    int arrays;                      /* that each item has */
    bool checked;                    /* the files are, by others: their data need not be read */
    char *folder;                    /* the cache; NULL: there is none */
    cache_use *use;                  /* tells other processes that the cache is in use */
    int64_t count;
    shared_arrays_item *items;
} shared_arrays;

/* An empty list of `count` items of `arrays` arrays each; the caller fills in names, keys and
 * shapes, then calls shared_arrays_link. folder: the cache, NULL for the user's, of
 * array_cache_folder. A cache that cannot be had is a warning. */
soda_status shared_arrays_create(const char *kind, const char *folder, int64_t count, int arrays,
                                 shared_arrays *p);
void shared_arrays_destroy(shared_arrays *arrays); /* accepts a zeroed struct */

/* Finds the items with equal keys. Warns before gigabytes go to the home folder, where the user did
 * not choose it. */
soda_status shared_arrays_link(shared_arrays *arrays);

/* Of all arrays of item `index`. */
int64_t shared_arrays_numbers(const shared_arrays *arrays, int64_t index);

/* Whether the arrays of item `index` have to be made: it is the first with its key, and neither in
 * memory nor, now, in the cache. Several threads may ask, and put, at a time: for other items. */
soda_status shared_arrays_missing(shared_arrays *arrays, int64_t index, bool *missing);

/* The same without a look into the cache: an item that is not in memory counts as absent everywhere
 * (spread_arrays.h). */
bool shared_arrays_absent(const shared_arrays *arrays, int64_t index);

/* Takes the arrays of item `index`, the first with its key: with `store` into the cache, to be read
 * from there, else, or if the cache cannot be written (one warning per process), as copies. */
soda_status shared_arrays_put(shared_arrays *arrays, int64_t index, const float *const *data,
                              bool store);

/* The checksum of the arrays of item `index`, which are there: as their file tells it, else it is
 * computed the first time. Several threads may ask at a time: for different items. */
soda_status shared_arrays_checksum(shared_arrays *arrays, int64_t index, const char **sha256);

/* Array `which` of item `index`, once all are made. */
const float *shared_arrays_data(const shared_arrays *arrays, int64_t index, int which);
