/* dataset_parts.h: what the files of the data set (dataset*.c) share. */
#pragma once

#include "data/dataset.h"
#include "data/image_folder.h"
#include "data/order.h"
#include "data/transform.h"
#include "io/shared_arrays.h"
#include "pipeline/text.h"

/* Of one picture file, from its bytes. */
typedef struct {
    char sha256[SHA256_HEX];
    int64_t width, height;
    bool no_end; /* soda_image.no_end, once it is decoded */
} dataset_file;

struct soda_dataset {
    dataset_about about;
    transform_options transform;
    double caption_dropout;
    image_folder *folder;
    dataset_image *images;
    dataset_file *files;
    shared_arrays latents; /* item image variants + variant */
    const char **texts;    /* [about.texts], sorted; borrowed from folder */
    soda_tokens tokens;
    shared_arrays states; /* item text */
    bool has_states;
    soda_order *order; /* for order_batch and order_global */
    int64_t order_batch, order_global;
    order_sample *drawn; /* [order_batch] scratch */
};

/* What the parts need while a set is opened. */
typedef struct {
    soda_dataset *dataset;
    const soda_folder *model;
    const soda_backend *backend;
    soda_dtype dtype;
    const dataset_options *options;
    soda_comm *comm;
    char vae_sha256[SHA256_HEX], text_sha256[2][SHA256_HEX];
} dataset_opening;

/* How variant `variant` of a picture is cut. */
transform_view dataset_transform(const soda_dataset *dataset, int64_t image, int variant);

/* Adds caption and class_text of a picture. */
soda_status dataset_hash_caption(const image_item *item, soda_sha256 *hash);

/* SODA_ERR_INPUT on every rank unless all have as many pictures, with the same names and captions,
 * as rank 0; a rank that has others names the first. Collective. */
soda_status dataset_same_items(const dataset_opening *opening);

/* The same for what was found in the files: `words` numbers for each picture. */
soda_status dataset_same_pictures(const dataset_opening *opening, const int64_t *rows,
                                  int64_t words);

/* Reads all picture files, once per node: hashes, sizes, keys of the latents. Nodes that find other
 * pictures than rank 0 are refused. Collective. */
soda_status dataset_scan(dataset_opening *opening);

/* The sizes of the latents alone, from the headers of pictures where they depend on them. Local. */
soda_status dataset_measure(dataset_opening *opening);

/* Makes the missing latents of this rank's pictures, into the cache. Local. */
soda_status dataset_encode_images(dataset_opening *opening);

/* One warning of the pictures that this opening decoded, on any rank, and that lack the end of
 * their files. Collective. */
soda_status dataset_warn_no_end(const dataset_opening *opening);

/* Lists the different texts, and reads them as tokens. */
soda_status dataset_list_texts(dataset_opening *opening);

/* Keys of the states of all texts. */
soda_status dataset_text_keys(dataset_opening *opening);

/* Makes the missing states of this rank's texts, into the cache. Local. */
soda_status dataset_encode_texts(dataset_opening *opening);
