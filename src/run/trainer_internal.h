/* trainer_internal.h: what the files of the trainer share. */
#pragma once

#include "core/log.h"
#include "data/dataset.h"
#include "interop/adapter_file.h"
#include "output/metrics.h"
#include "output/run_lock.h"
#include "output/run_saver.h"
#include "run/turns.h"
#include "train/findings.h"
#include "train/networks.h"
#include "train/noising.h"
#include "train/reducer.h"

/* What all ranks agree on once per step: why the run must stop (bits), and whether rank 0 saves a
 * checkpoint. */
enum { FLAG_SIGNAL = 1, FLAG_TIME = 2 };
typedef struct {
    int64_t stop, save;
} trainer_flags;

typedef struct {
    const run_config *config;
    const soda_backend *backend;
    soda_comm *comm;
    bool overwrite; /* results in the run's folder that no checkpoint belongs to */
    soda_folder *folder;
    soda_schedule schedule;
    noising_rules rules;
    const char *scheduler;           /* of pictures; NULL: the folder's */
    char *config_text, *stored_text; /* in RUN/config.yaml, and in checkpoints */

    soda_dataset *data, *prior, *held_out; /* the last two may be NULL */
    training_model model;
    soda_params params;
    soda_exchange *exchange;
    soda_reducer reducer;
    soda_findings found;
    const char **pictures; /* the first one of each micro-batch that this rank added, as in found */
    int64_t added;         /* micro-batches, in this step */
    float *image;          /* DCO: errors of the frozen network for the images of a micro-batch */
    struct trainer_drawn *ahead; /* a micro-batch of the next step; NULL: none */

    soda_networks networks;
    int group; /* ranks that hold the weights between them; 1: each has its own */

    run_state state;
    run_saver *saver;     /* rank 0 */
    char time_limit[128]; /* for the log: when the allocation ends, and which variable says so */
    char path_checkpoints[4096], path_metrics[4096], path_spectra[4096], path_adapter[4096];
    soda_metrics *metrics;     /* rank 0 */
    int64_t *drawn;            /* of sample.prompts: whether the picture is there */
    bool config_failed;        /* the copy of the configuration could not be written */
    bool pictures_failing;     /* those of the last sampling; and somebody was told */
    run_lock *lock;            /* rank 0: of the run folder */
    soda_status pending;       /* a failure after this step's agreement: for the next one */
    double data_s, network_s;  /* of this step */
    residency_report gathered; /* before this step */
    double longest_step_s, longest_draw_s;
    double save_s;     /* that training stood still for a save since the last line of the metrics */
    double saved_s;    /* rank 0: when the last save began, for checkpoint.every_minutes */
    double save_due_s; /* rank 0: when the one that is to begin came due; 0: none did */
    bool save_waited;  /* one had to wait, and somebody was told */
    double held_before, held_after; /* held-out loss; NAN: not measured by this process */
    double started_s;
    int64_t began; /* the step at which this process began to train */
} soda_trainer;

/* Sets what t->state belongs to: model, data, method, seed. SODA_ERR_INPUT on every rank if they
 * read different models. Collective. */
soda_status trainer_identify(soda_trainer *t);

/* Opens everything, restores the newest checkpoint and prints the footprint. Collective. */
soda_status trainer_open(soda_trainer *t);
void trainer_close(soda_trainer *t);

/* Turns for `pieces` pieces of work, of network[i] each (NULL: of the only one). Local. */
soda_status trainer_deal(const soda_trainer *t, const int *network, int64_t pieces, int networks,
                         turns *dealt);

/* exec_walk; `s`, or the failure of walking where that is none. */
soda_status trainer_walk(soda_exec *exec, int64_t runs, soda_status s);

/* The micro-batches of step t->state.step: forward, backward, added to the reducer. A rank whose
 * status `own` is a failure has no part in them. Collective over the ranks of a group, whatever
 * fails. */
soda_status trainer_micro_batches(soda_trainer *t, soda_status own);
soda_status trainer_draw_ahead(soda_trainer *t); /* of the next step, while the device works */
void trainer_add_gradients(soda_trainer *t);     /* from now on, behind each run of a network */
int64_t trainer_micro_batch_count(const soda_trainer *t); /* of all ranks */

/* The failure, on all ranks, of a step whose gradient is not finite by t->found: it changed
 * nothing. The rank where it began says which number, and in which picture. Collective. */
soda_status trainer_refuse_step(soda_trainer *t);

/* Whether this rank was told to stop, or what is left of the allocation is about what a step and a
 * checkpoint need. Validation and pictures then give up with SODA_STOPPED on all ranks; the process
 * that resumes begins them anew. Local. */
bool trainer_must_stop(const soda_trainer *t);

/* The loss on held-out pictures, written to the metrics. Nothing without a held-out set.
 * Collective. */
soda_status trainer_validate(soda_trainer *t);

/* Fails on all ranks if another attempt of the job has taken the run's folder over: before
 * something is written. Collective. */
soda_status trainer_check_lock(soda_trainer *t);

/* Starts to write a checkpoint and a record of the spectra, in the background unless
 * checkpoint.async is false. Local. */
void trainer_save(soda_trainer *t);

/* The last checkpoint, written before this returns: tried again for checkpoint.retry seconds, as
 * long as the allocation leaves time for it and no signal wants the run to end at once, and older
 * checkpoints but one make room. `stops`: the run is to end soon, and leaves spectra that take long
 * to the process that resumes it. Collective: all ranks learn of a failure, which leaves the older
 * checkpoints as they are. */
soda_status trainer_save_last(soda_trainer *t, bool stops);

/* Chooses the sampler of the run's pictures, and fails now if it could not draw them later. A
 * folder whose scheduler soda does not draw with is a warning: ddim draws then. Local. */
soda_status trainer_choose_sampler(soda_trainer *t);

/* Plans the network that draws pictures, with the run's adapters or without. Local. */
soda_status trainer_plan_pictures(const soda_trainer *t, bool adapted, soda_network *net);

/* Draws config->sample.prompts to RUN/samples. Those that cannot be drawn or written are left out,
 * and told. Collective: ranks share the prompts. */
soda_status trainer_sample(soda_trainer *t);

/* Draws held-out captions to RUN/samples/validation.png, three rows: the base model asked for the
 * class, the adapter asked for the caption, the real picture; a file that cannot be written is a
 * warning. Nothing unless config->validation.pictures asks for it. Collective. */
soda_status trainer_compare(soda_trainer *t);

/* adapter.safetensors, tried again like the last checkpoint. Collective. */
soda_status trainer_write_adapter(soda_trainer *t);

/* After the checkpoint or the adapter of a run that ends, which are what counts: lines, spectra and
 * the copy of the configuration that waited for room are tried once more. Those that still find
 * none are a warning. Local. */
void trainer_write_rest(soda_trainer *t);

/* The last files, and the closing line that says where everything is. */
void trainer_finish(soda_trainer *t);
