/* dataset_case.h: a folder of five pictures, and the bundled model to make a data set with. */
#pragma once

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "data/dataset.h"
#include "data/transform.h"
#include "image/image.h"
#include "io/newfile.h"
#include "io/png.h"
#include "pipeline/vae_encoder.h"
#include "support/files.h"

static const char nano[] = SODA_SOURCE_DIR "/configs/quickstart/model";
static soda_folder *model;
static const soda_backend *cpu;

typedef struct {
    char root[512], data[600], cache[600];
} place;

/* Five pictures, of which 1 and 3 are the same file; two captions have the same tokens. */
static inline void make_picture(const place *p, const char *name, int width, int height, int seed)
{
    char path[700];
    uint8_t *rgb = malloc((size_t)(3 * width * height));
    assert_non_null(rgb);
    for (int i = 0; i < 3 * width * height; i++)
        rgb[i] = (uint8_t)(seed * 50 + i % 3 * 40 + i / 3 % width * 2 + i / 3 / width);
    snprintf(path, sizeof path, "%s/%s", p->data, name);
    CHECK_OK(soda_png_write(path, rgb, width, height));
    free(rgb);
}

static inline void place_make(place *p, const char *root)
{
    static const char metadata[] =
        "{\"file_name\": \"a.png\", \"text\": \"a sks cat\", \"class_text\": \"a cat\"}\n"
        "{\"file_name\": \"b.png\", \"text\": \"a cat\"}\n"
        "{\"file_name\": \"c.png\", \"text\": \"A  CAT\"}\n"
        "{\"file_name\": \"d.png\", \"text\": \"zebra\"}\n"
        "{\"file_name\": \"e.png\", \"text\": \"a sks cat\"}\n";
    snprintf(p->root, sizeof p->root, "%.500s", root);
    snprintf(p->data, sizeof p->data, "%.500s/data", root);
    snprintf(p->cache, sizeof p->cache, "%.500s/cache", root);
    CHECK_OK(newfile_make_folder(p->data));
    setenv("SODA_CACHE", p->cache, 1);
    make_picture(p, "a.png", 64, 64, 0);
    make_picture(p, "b.png", 90, 70, 1);
    make_picture(p, "c.png", 64, 130, 2);
    make_picture(p, "d.png", 90, 70, 1);
    make_picture(p, "e.png", 40, 48, 3);
    files_write(p->data, "metadata.jsonl", metadata, strlen(metadata));
}

static inline dataset_options options_of(const place *p)
{
    return (dataset_options){.file = "run.yaml",
                             .key = "data.path",
                             .path = p->data,
                             .resolution = 32,
                             .caption_dropout = 0.25,
                             .seed = 7,
                             .want_states = true};
}

static inline int cached(const place *p, const char *kind)
{
    return files_count(files_path(p->cache, kind));
}

static inline soda_dataset *opened(const dataset_options *options)
{
    soda_dataset *d;
    CHECK_OK(dataset_open(model, cpu, SODA_F32, options, comm_self(), &d));
    return d;
}

/* The latents of one variant, straight from the file. */
static inline void check_latents(const place *p, const soda_dataset *d, const transform_options *t,
                                 int64_t index, int variant)
{
    char path[700];
    void *bytes;
    size_t size;
    soda_image image;
    vae_encoder encoder;
    const dataset_image *about = dataset_image_at(d, index);
    const dataset_view got = dataset_view_at(d, index, variant);
    snprintf(path, sizeof path, "%s/%s", p->data, about->file);
    CHECK_OK(file_read(path, 1 << 20, &bytes, &size));
    CHECK_OK(image_decode(bytes, size, path, &image));
    const transform_view view =
        transform_view_of(t, (uint64_t)index, image.width, image.height, variant);
    const size_t count = (size_t)(view.w * view.h / 16 * 4);
    assert_int_equal(about->h * about->w * 4, count);
    float *pixels = malloc((size_t)(view.w * view.h * 3) * sizeof *pixels);
    float *mean = malloc(count * sizeof *mean), *std = malloc(count * sizeof *std);
    CHECK_OK(transform_apply(&image, &view, pixels));
    CHECK_OK(vae_encoder_open(model, cpu, SODA_F32, view.h, view.w, &encoder));
    CHECK_OK(vae_encoder_run(&encoder, pixels, mean, std));
    assert_memory_equal(got.mean, mean, count * sizeof *mean);
    assert_memory_equal(got.std, std, count * sizeof *std);
    const float ids[6] = {(float)image.height, (float)image.width, (float)view.top,
                          (float)view.left,    (float)view.h,      (float)view.w};
    assert_memory_equal(got.time_ids, ids, sizeof ids);
    vae_encoder_close(&encoder);
    image_free(&image);
    free(bytes);
    free(pixels);
    free(mean);
    free(std);
}

static inline int open_model(void **state)
{
    (void)state;
    cpu = backend_cpu(2);
    return folder_open(nano, &model) == SODA_OK ? 0 : -1;
}

static inline int close_model(void **state)
{
    (void)state;
    folder_close(model);
    return 0;
}
