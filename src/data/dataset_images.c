/* The pictures of a data set: hashes and sizes, keys of their latents, and the latents. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/log.h"
#include "core/pulse.h"
#include "data/dataset_parts.h"
#include "io/one_folder.h"
#include "pipeline/vae_encoder.h"

enum {
    LATENTS_VERSION = 2, /* raise it when the same picture would give other latents */
    MAX_FILE = 1 << 30,
    DIGEST_WORDS = SHA256_BYTES / 8,
    ROW = DIGEST_WORDS + 2, /* what ranks tell each other of a picture: hash, width, height */
};

static soda_status read_file(const soda_dataset *d, int64_t image, char *path, size_t path_size,
                             void **bytes, size_t *size, uint8_t digest[SHA256_BYTES])
{
    TRY(image_folder_path(d->folder, image, path, path_size));
    TRY(file_read(path, MAX_FILE, bytes, size));
    const soda_status s = sha256_memory(*bytes, *size, digest);
    if (s != SODA_OK) free(*bytes);
    TRY(s);
    return SODA_OK;
}

static soda_status scan_file(const soda_dataset *d, int64_t image, int64_t row[ROW])
{
    char path[4096];
    uint8_t digest[SHA256_BYTES];
    void *bytes;
    size_t size;
    soda_image about;
    TRY(read_file(d, image, path, sizeof path, &bytes, &size, digest));
    const soda_status s = image_size(bytes, size, path, &about);
    free(bytes);
    TRY(s);
    memcpy(row, digest, sizeof digest);
    row[DIGEST_WORDS] = about.width;
    row[DIGEST_WORDS + 1] = about.height;
    return SODA_OK;
}

transform_view dataset_transform(const soda_dataset *d, int64_t image, int variant)
{
    const dataset_file *file = &d->files[image];
    return transform_view_of(&d->transform, (uint64_t)image, file->width, file->height, variant);
}

static void set_latent_size(soda_dataset *d, int64_t image)
{
    const transform_view view = dataset_transform(d, image, 0);
    d->images[image].h = view.h / d->transform.factor;
    d->images[image].w = view.w / d->transform.factor;
}

/* Without buckets the size of the picture does not matter: see transform.h. */
static soda_status measure_file(soda_dataset *d, int64_t image)
{
    char path[4096];
    void *bytes;
    size_t size;
    soda_image about = {.width = d->transform.resolution, .height = d->transform.resolution};
    if (d->transform.buckets) {
        TRY(image_folder_path(d->folder, image, path, sizeof path));
        TRY(file_read(path, MAX_FILE, &bytes, &size));
        const soda_status s = image_size(bytes, size, path, &about);
        free(bytes);
        TRY(s);
    }
    d->files[image].width = about.width;
    d->files[image].height = about.height;
    set_latent_size(d, image);
    return SODA_OK;
}

soda_status dataset_measure(dataset_opening *o)
{
    for (int64_t i = 0; i < o->dataset->about.count; i++) TRY(measure_file(o->dataset, i));
    return SODA_OK;
}

/* All that one variant's pixels depend on. */
static void view_text(const soda_dataset *d, int64_t image, int variant, char *text, size_t size)
{
    const transform_view v = dataset_transform(d, image, variant);
    snprintf(text, size, "picture %s scaled %lldx%lld %s cut %lldx%lld+%lld+%lld\n",
             d->files[image].sha256, (long long)v.scaled_w, (long long)v.scaled_h,
             v.flip ? "mirrored" : "plain", (long long)v.w, (long long)v.h, (long long)v.left,
             (long long)v.top);
}

static soda_status find_key(const dataset_opening *o, int64_t image, int variant,
                            char key[SHA256_HEX])
{
    char view[320], line[512];
    uint8_t digest[SHA256_BYTES];
    view_text(o->dataset, image, variant, view, sizeof view);
    snprintf(line, sizeof line, "soda latents %d %s vae %s %s", LATENTS_VERSION,
             dtype_name(vae_encoder_dtype(o->model, o->dtype)), o->vae_sha256, view);
    TRY(sha256_memory(line, strlen(line), digest));
    sha256_hex(digest, key);
    return SODA_OK;
}

/* Captions end in a zero, and an absent class_text is no empty one. */
soda_status dataset_hash_caption(const image_item *item, soda_sha256 *hash)
{
    TRY(sha256_update(hash, item->text, strlen(item->text) + 1));
    return item->class_text ? sha256_update(hash, item->class_text, strlen(item->class_text) + 1)
                            : SODA_OK;
}

static soda_status add_identity(const soda_dataset *d, int64_t image, soda_sha256 *hash)
{
    const image_item *item = &d->folder->list.items[image];
    char view[320];
    for (int v = 0; v < d->about.variants; v++) {
        view_text(d, image, v, view, sizeof view);
        TRY(sha256_update(hash, view, strlen(view)));
    }
    TRY(dataset_hash_caption(item, hash));
    return sha256_update(hash, "\n", 1);
}

static soda_status find_identity(soda_dataset *d)
{
    soda_sha256 *hash;
    uint8_t digest[SHA256_BYTES];
    TRY(sha256_create(&hash));
    soda_status s;
    for (int64_t i = 0; i < d->about.count; i++) TRY_TO(done, add_identity(d, i, hash));
    TRY_TO(done, sha256_finish(hash, digest));
done:
    sha256_destroy(hash);
    TRY(s);
    sha256_hex(digest, d->about.sha256);
    return SODA_OK;
}

/* From what all ranks found: sizes, keys and shapes of the latents. */
static soda_status describe(dataset_opening *o, const int64_t *rows)
{
    soda_dataset *d = o->dataset;
    d->latents.name[0] = "mean";
    d->latents.name[1] = "std";
    for (int64_t i = 0; i < d->about.count; i++) {
        uint8_t digest[SHA256_BYTES];
        memcpy(digest, rows + i * ROW, sizeof digest);
        sha256_hex(digest, d->files[i].sha256);
        d->files[i].width = rows[i * ROW + DIGEST_WORDS];
        d->files[i].height = rows[i * ROW + DIGEST_WORDS + 1];
        set_latent_size(d, i);
        for (int v = 0; v < d->about.variants; v++) {
            shared_arrays_item *item = &d->latents.items[i * d->about.variants + v];
            TRY(find_key(o, i, v, item->key));
            item->shape[0] = item->shape[1] =
                SHAPE(d->images[i].h, d->images[i].w, d->about.channels);
        }
    }
    TRY(shared_arrays_link(&d->latents));
    return find_identity(d);
}

soda_status dataset_scan(dataset_opening *o)
{
    const int64_t count = o->dataset->about.count;
    soda_comm *node = o->comm->node;
    bool one;
    TRY(one_folder(node, o->dataset->folder->root, &one));
    int64_t *rows = calloc((size_t)(count * ROW), sizeof *rows);
    soda_status s = rows ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for a list of pictures");
    for (int64_t i = one ? node->rank : 0; s == SODA_OK && i < count; i += one ? node->size : 1) {
        s = scan_file(o->dataset, i, rows + i * ROW);
        pulse_beat();
    }
    s = comm_agree(o->comm, s);
    if (!rows || s != SODA_OK) goto done;
    if (one) TRY_TO(done, node->sum_i64(node, rows, count * ROW)); /* the others hold zeros */
    TRY_TO(done, dataset_same_pictures(o, rows, ROW));
    TRY_TO(done, comm_agree(o->comm, describe(o, rows)));
done:
    free(rows);
    return s;
}

/* Work of one rank: buffers, the encoder for one size, and the items that are still to be made. */
typedef struct {
    dataset_opening *o;
    bool *missing; /* [count variants] */
    vae_encoder encoder;
    float *pixels, *mean, *std;
    log_progress progress;
    int64_t done;
} encoding;

static soda_status encode_view(encoding *e, const soda_image *image, int64_t index, int variant,
                               const char *path)
{
    soda_dataset *d = e->o->dataset;
    const transform_view view = dataset_transform(d, index, variant);
    TRY(status_prefix(transform_apply(image, &view, e->pixels), "%s", path));
    TRY(status_prefix(vae_encoder_run(&e->encoder, e->pixels, e->mean, e->std), "%s", path));
    const float *const data[2] = {e->mean, e->std};
    TRY(shared_arrays_put(&d->latents, index * d->about.variants + variant, data, true));
    log_progress_update(&e->progress, ++e->done, NULL);
    return SODA_OK;
}

/* Decodes a picture once and encodes its missing variants. */
static soda_status encode_picture(encoding *e, int64_t index)
{
    soda_dataset *d = e->o->dataset;
    bool *missing = e->missing + index * d->about.variants;
    char path[4096], sha256[SHA256_HEX];
    uint8_t digest[SHA256_BYTES];
    void *bytes;
    size_t size;
    soda_image image = {0};
    TRY(read_file(d, index, path, sizeof path, &bytes, &size, digest));
    soda_status s = strcmp(sha256_hex(digest, sha256), d->files[index].sha256) == 0
                        ? image_decode(bytes, size, path, &image)
                        : FAIL(SODA_ERR_INPUT, "%s: the file changed while it was read", path);
    free(bytes);
    d->files[index].no_end = image.no_end;
    for (int v = 0; s == SODA_OK && v < d->about.variants; v++) {
        if (missing[v]) s = encode_view(e, &image, index, v, path);
        missing[v] = false;
    }
    image_free(&image);
    return s;
}

static bool any_missing(const encoding *e, int64_t index)
{
    const int variants = e->o->dataset->about.variants;
    return memchr(e->missing + index * variants, true, (size_t)variants) != NULL;
}

/* Encodes what is missing of all pictures that have the size of picture `index`. */
static soda_status encode_size(encoding *e, int64_t index)
{
    const soda_dataset *d = e->o->dataset;
    const int64_t h = d->images[index].h, w = d->images[index].w, factor = d->transform.factor;
    const size_t pixels = (size_t)(h * factor * w * factor * 3);
    const size_t latents = (size_t)(h * w * d->about.channels);
    soda_status s;
    e->pixels = malloc(pixels * sizeof *e->pixels);
    e->mean = malloc(latents * sizeof *e->mean);
    e->std = malloc(latents * sizeof *e->std);
    if (!e->pixels || !e->mean || !e->std) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory for a picture of %lldx%lld", (long long)w,
                 (long long)h);
        goto done;
    }
    TRY_TO(done, vae_encoder_open(e->o->model, e->o->backend, e->o->dtype, h * factor, w * factor,
                                  &e->encoder));
    for (int64_t i = index; i < d->about.count; i++)
        if (d->images[i].h == h && d->images[i].w == w && any_missing(e, i))
            TRY_TO(done, encode_picture(e, i));
done:
    vae_encoder_close(&e->encoder);
    free(e->pixels);
    free(e->mean);
    free(e->std);
    return s;
}

soda_status dataset_warn_no_end(const dataset_opening *o)
{
    const soda_dataset *d = o->dataset;
    int64_t count = 0, first = 0;
    int64_t *flags = calloc((size_t)d->about.count, sizeof *flags);
    soda_status s = flags ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for flags");
    TRY_TO(done, comm_agree(o->comm, s));
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): there, or the ranks agreed to fail */
    for (int64_t i = 0; i < d->about.count; i++) flags[i] = d->files[i].no_end;
    TRY_TO(done, o->comm->sum_i64(o->comm, flags, d->about.count));
    for (int64_t i = d->about.count; i-- > 0;)
        if (flags[i]) first = i, count++;
    if (count)
        log_warning("%s: %lld picture file%s but no pixels%s %s", d->folder->root, (long long)count,
                    count == 1 ? " lacks its end" : "s lack their ends",
                    count == 1 ? ":" : "; the first is", d->folder->list.items[first].file);
done:
    free(flags);
    return s;
}

soda_status dataset_encode_images(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    const int variants = d->about.variants, first = o->comm->rank, step = o->comm->size;
    encoding e = {.o = o};
    soda_status s = SODA_OK;
    int64_t total = 0;
    e.missing = calloc((size_t)(d->about.count * variants), sizeof *e.missing);
    if (!e.missing) return FAIL(SODA_ERR_MEMORY, "out of memory for a list of pictures");
    for (int64_t i = first; i < d->about.count; i += step)
        for (int64_t item = i * variants; item < (i + 1) * variants; item++) {
            e.missing[item] = shared_arrays_absent(&d->latents, item);
            total += e.missing[item];
        }
    if (total) log_progress_start(&e.progress, "encode pictures", 0, total);
    for (int64_t i = first; i < d->about.count; i += step)
        if (any_missing(&e, i)) TRY_TO(done, encode_size(&e, i));
done:
    free(e.missing);
    return s;
}
