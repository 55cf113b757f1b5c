/* dataset.h: captioned pictures, ready for training: latents of every variant and states of every
 * caption, made once.
 *
 * Ranks share the work: rank i % size encodes picture i and text i, and stores what it made in the
 * cache ($SODA_CACHE); then every rank reads all, and is sent what it does not find
 * (io/spread_arrays.h). */
#pragma once

#include "backend/backend.h"
#include "comm/comm.h"
#include "config/run_config.h"
#include "core/sha256.h"
#include "model/folder.h"

/* What a set of a run is for. */
typedef enum { DATASET_TRAINING, DATASET_PRIOR, DATASET_HELD_OUT } dataset_role;

typedef struct {
    const char *path;       /* see data/image_folder.h */
    const char *file, *key; /* the configuration and its key of `path`, for messages */
    int64_t resolution;     /* pixels, a multiple of the VAE's factor; see data/transform.h */
    bool buckets, random_crop, flip;
    double caption_dropout;
    uint64_t seed;    /* of crops, order, variants and dropped captions */
    bool want_states; /* false: ids alone, when text encoders are trained */
} dataset_options;

/* Of a set of a run, without a path where the run has none; a held-out one is cut and captioned in
 * one way. */
dataset_options dataset_options_of(const run_config *config, dataset_role role);

typedef struct soda_dataset soda_dataset;

/* What holds for the whole set. */
typedef struct {
    int64_t count;           /* pictures */
    int variants;            /* of each */
    int64_t channels;        /* of the latents */
    int64_t texts;           /* different captions and class_texts, in the order of their bytes */
    int64_t empty_text;      /* the text "", -1 without caption dropout */
    int64_t tokens;          /* of a text */
    int64_t width;           /* of hidden states */
    int64_t pooled_width;    /* 0 unless XL */
    char sha256[SHA256_HEX]; /* of files, how they are cut, and captions, in order */
} dataset_about;

typedef struct {
    const char *file;         /* below the folder */
    int64_t h, w;             /* of the latents */
    int64_t text, class_text; /* indices; class_text == text if there is none */
} dataset_image;

/* One variant of a picture. */
typedef struct {
    const float *mean, *std; /* [h,w,channels]: latents are (mean + std noise) scaling_factor */
    float time_ids[UNET_TIME_IDS]; /* SDXL: see model/time_ids.h */
} dataset_view;

typedef struct {
    const char *text;
    const float *hidden;   /* [tokens,width], NULL unless want_states */
    const float *pooled;   /* [pooled_width], NULL unless want_states and XL */
    const int32_t *ids[2]; /* [tokens] of each text encoder, NULL where there is none */
} dataset_text;

typedef struct {
    uint64_t number; /* of the sample in the run: noise and timestep come from it */
    int64_t image;
    int variant;
    int64_t text; /* the picture's, or empty_text if the caption is dropped */
} dataset_sample;

/* Opens the folder and makes what is missing. Collective: all ranks call it with the same options,
 * and all fail if one does. `folder` must outlive the call only.
 *
 * SODA_ERR_INPUT names the file of a bad picture, or data.resolution; SODA_ERR_NUMERIC the picture
 * or caption whose latents or states are not finite. A cache that cannot be written is a warning.
 */
soda_status dataset_open(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                         const dataset_options *options, soda_comm *comm, soda_dataset **dataset);

/* The same as far as lists and the headers of files tell, for a plan: what dataset_describe and
 * dataset_image_at say, but for the hash. Nothing is encoded or stored. Local. */
soda_status dataset_outline(const soda_folder *folder, const dataset_options *options,
                            soda_dataset **dataset);

/* Of the latents of all pictures and the states of all texts. */
int64_t dataset_bytes(const soda_dataset *dataset);
void dataset_close(soda_dataset *dataset); /* accepts NULL */

/* Everything lives until dataset_close. */
const dataset_about *dataset_describe(const soda_dataset *dataset);
const dataset_image *dataset_image_at(const soda_dataset *dataset, int64_t image);
dataset_view dataset_view_at(const soda_dataset *dataset, int64_t image, int variant);
dataset_text dataset_text_at(const soda_dataset *dataset, int64_t text);

/* samples [batch] of micro-batch `micro` of a step, 0 to global_batch / batch - 1: all of one size.
 * The same on every rank: see data/order.h. Local; allocates only when batch or global_batch
 * changes. */
soda_status dataset_samples(soda_dataset *dataset, int64_t batch, int64_t global_batch,
                            int64_t step, int64_t micro, dataset_sample *samples);
