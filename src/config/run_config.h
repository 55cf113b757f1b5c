/* run_config.h: what a run decided: the YAML file, checked, with every default filled in.
 *
 * A key is one row of run_config.def; names in the file are the names of the fields
 * here (train.optimizer.rotation.lr is c->train.rotation.lr). */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "adapter/method.h"
#include "core/tensor.h"
#include "optim/adamw.h"
#include "optim/lr_schedule.h"
#include "optim/stiefel.h"

typedef enum { CROP_CENTER, CROP_RANDOM } run_crop;
typedef enum { LOSS_MSE, LOSS_DCO } run_loss;
typedef enum { RECOMPUTE_NONE, RECOMPUTE_AUTO, RECOMPUTE_FULL } run_recompute;
typedef enum { REDUCE_EXACT, REDUCE_FAST } run_reduction;
typedef enum {
#define POLICY(NAME, name) WEIGHTS_##NAME,
#include "config/weight_policies.def"
#undef POLICY
    WEIGHTS_POLICIES
} run_weights;
extern const char *const run_weights_names[WEIGHTS_POLICIES]; /* as in parallel.weights */

/* time_limit: auto */
#define RUN_TIME_AUTO (-1.0)

typedef struct {
    char **list;
    int count;
} run_strings;

typedef struct run_config {
    char *file;  /* the YAML file, for messages */
    char *model; /* paths are relative to the working folder, unless they are absolute */
    struct {
        char *path; /* NULL: none given (replay needs none) */
        int64_t resolution;
        bool buckets;
        run_crop crop;
        bool flip;
        double caption_dropout;
        char *prior_path; /* NULL: no prior preservation */
        double prior_weight;
    } data;
    struct {
        const soda_method *method;
        run_strings targets;
        bool text_encoder;
        method_options options; /* the map of factors is owned by the configuration */
    } adapter;
    struct {
        int64_t steps, batch, global_batch; /* global_batch is a multiple of batch */
        soda_dtype dtype;
        run_loss loss;
        double dco_beta;
        double min_snr_gamma; /* 0: off */
        stiefel_options rotation;
        adamw_options spectrum;
        lr_schedule schedule; /* its steps are train.steps */
        double clip;          /* 0: off */
        run_recompute recompute;
        double memory_limit_gib; /* 0: auto, from core/memory_limit.h */
        uint64_t seed;
    } train;
    struct {
        run_weights weights;
        int64_t shard;   /* ranks in a group */
        double ring_mib; /* 0: auto */
        run_reduction reduction;
        int64_t check_every; /* 0: before checkpoints only */
        double timeout_s;    /* 0: none */
    } parallel;
    struct {
        int64_t every, keep;
        double every_minutes; /* 0: off */
        bool async;           /* false: training waits until a checkpoint is written */
        double retry_s;
        double time_limit_s; /* RUN_TIME_AUTO: read from the scheduler; 0: none */
    } checkpoint;
    struct {
        char *path;       /* held-out pictures; NULL: none */
        int64_t every;    /* 0: before the first step and after the last only */
        int64_t pictures; /* held-out captions to draw at the end, beside the real pictures */
    } validation;
    struct {
        int64_t every; /* 0: none */
        run_strings prompts;
        unsigned scheduler; /* 0: the model folder's; i: sampler_name(i - 1) */
        int64_t steps;
        double guidance;
        uint64_t seed;
    } sample;
    char *output;
} run_config;

/* Reads `path` (at most 1 MiB) and applies `sets`, each "a.b=value" with a YAML value; the last one
 * of a key counts, and a set of a whole section ("data.prior={path: p}") replaces what the file
 * says there. Relative paths in the file become relative to the file's folder; those of `sets` to
 * the working folder.
 *
 * SODA_ERR_INPUT: "FILE:LINE: KEY: expected ..., found ...", for an unknown key with the nearest
 * known one; a set is named as "--set a.b". SODA_ERR_USAGE: a set has no '='. Keys that a verb
 * needs and the file lacks are the verb's to miss. */
soda_status run_config_read(const char *path, const char *const *sets, int set_count,
                            run_config **config);

/* The same from memory that messages call `file`; relative paths are left as they are. */
soda_status run_config_parse(const char *text, size_t bytes, const char *file,
                             const char *const *sets, int set_count, run_config **config);
void run_config_destroy(run_config *config); /* accepts NULL */

/* The number of those of `ranks` that share one copy of the weights: parallel.shard, or 1.
 * SODA_ERR_INPUT names the key that does not fit this number of ranks. */
soda_status run_config_group(const run_config *config, int64_t ranks, int *group);

/* Puts the working folder in front of relative paths: what is stored is then good anywhere. */
soda_status run_config_make_absolute(run_config *config);

/* The resolved configuration as YAML, every key with its value and its help, for free(). Parsing it
 * gives the same configuration. SODA_ERR_INPUT if a path is not UTF-8, which YAML cannot say. */
soda_status run_config_text(const run_config *config, char **text);
