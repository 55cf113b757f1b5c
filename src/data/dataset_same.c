/* Whether all ranks have the data set of rank 0: names, captions and pictures. */
#include <stdlib.h>
#include <string.h>

#include "data/dataset_parts.h"

enum { WORDS = SHA256_BYTES / sizeof(int64_t) };

/* The first picture of which rank 0 has other words, of `words` each; -1: none. Collective. */
static soda_status find_other(const dataset_opening *o, const int64_t *own, int64_t words,
                              int64_t *image)
{
    const int64_t count = o->dataset->about.count;
    const size_t row = (size_t)words * sizeof *own;
    int64_t *first = malloc((size_t)count * row);
    soda_status s = first ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for a list of pictures");
    *image = -1;
    TRY_TO(done, comm_agree(o->comm, s));
    if (!first) return SODA_ERR_MEMORY; /* comm_agree said so */
    memcpy(first, own, (size_t)count * row);
    TRY_TO(done, o->comm->broadcast(o->comm, first, (size_t)count * row, 0));
    for (int64_t i = count; i-- > 0;)
        if (memcmp(first + i * words, own + i * words, row) != 0) *image = i;
done:
    free(first);
    return s;
}

static soda_status compare_count(const dataset_opening *o)
{
    const int64_t own = o->dataset->about.count;
    int64_t first = own;
    TRY(o->comm->broadcast(o->comm, &first, sizeof first, 0));
    return comm_agree(o->comm, own == first
                                   ? SODA_OK
                                   : FAIL(SODA_ERR_INPUT,
                                          "%s: expected the %lld pictures that rank 0 has, found "
                                          "%lld",
                                          o->options->path, (long long)first, (long long)own));
}

static soda_status hash_caption(const image_item *item, uint8_t digest[SHA256_BYTES])
{
    soda_sha256 *hash;
    soda_status s;
    TRY(sha256_create(&hash));
    TRY_TO(done, dataset_hash_caption(item, hash));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    return s;
}

static soda_status hash_items(const soda_dataset *d, int64_t *names, int64_t *captions)
{
    if (!names) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of pictures");
    for (int64_t i = 0; i < d->about.count; i++) {
        const image_item *item = &d->folder->list.items[i];
        TRY(sha256_memory(item->file, strlen(item->file), (uint8_t *)(names + i * WORDS)));
        TRY(hash_caption(item, (uint8_t *)(captions + i * WORDS)));
    }
    return SODA_OK;
}

static soda_status compare_items(const dataset_opening *o, const int64_t *names,
                                 const int64_t *captions)
{
    const image_folder *folder = o->dataset->folder;
    int64_t i;
    soda_status s = SODA_OK;
    TRY(find_other(o, names, WORDS, &i));
    if (i >= 0)
        s = FAIL(SODA_ERR_INPUT, "%s/%s: rank 0 has another picture at this place of its list",
                 folder->root, folder->list.items[i].file);
    TRY(comm_agree(o->comm, s));
    TRY(find_other(o, captions, WORDS, &i));
    if (i >= 0)
        s = FAIL(SODA_ERR_INPUT, "%s/%s: the caption of %s differs from the one that rank 0 read",
                 folder->root, folder->list.items[i].caption_file, folder->list.items[i].file);
    return comm_agree(o->comm, s);
}

soda_status dataset_same_items(const dataset_opening *o)
{
    const int64_t count = o->dataset->about.count;
    soda_status s;
    if (o->comm->size == 1) return SODA_OK;
    TRY(compare_count(o));
    int64_t *names = calloc(2 * (size_t)count, WORDS * sizeof *names);
    int64_t *captions = names ? names + count * WORDS : NULL;
    TRY_TO(done, comm_agree(o->comm, hash_items(o->dataset, names, captions)));
    TRY_TO(done, compare_items(o, names, captions));
done:
    free(names);
    return s;
}

soda_status dataset_same_pictures(const dataset_opening *o, const int64_t *rows, int64_t words)
{
    const image_folder *folder = o->dataset->folder;
    int64_t i;
    soda_status s = SODA_OK;
    if (o->comm->size == 1) return SODA_OK;
    TRY(find_other(o, rows, words, &i));
    if (i >= 0)
        s = FAIL(SODA_ERR_INPUT, "%s/%s: differs from the picture that rank 0 read under this name",
                 folder->root, folder->list.items[i].file);
    return comm_agree(o->comm, s);
}
