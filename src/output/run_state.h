/* run_state.h: the state of a run between memory and its checkpoints. */
#pragma once

#include "comm/comm.h"
#include "core/sha256.h"
#include "output/run_lock.h"
#include "train/params.h"

/* Columns of /history: one row per step. */
enum { HISTORY_STEP, HISTORY_LOSS, HISTORY_GRAD_NORM, HISTORY_COLUMNS };

typedef struct {
    int64_t step; /* steps done */
    double *history[HISTORY_COLUMNS];
    int64_t rows, room;
    /* What the state belongs to: a checkpoint of something else is refused. */
    uint64_t seed;
    const char *method, *config; /* the resolved configuration as YAML */
    const char *schedule;        /* of the noise, as soda_schedule.text has it */
    char model_sha256[SHA256_HEX], data_sha256[SHA256_HEX];
    /* The same as earlier versions computed them (model/hash.h): asked about a checkpoint that has
     * others, with version 1, 2, ..., until *known is false. NULL: there were none. */
    soda_status (*earlier)(const void *context, int version, bool *known, char model[SHA256_HEX],
                           char data[SHA256_HEX]);
    const void *earlier_context;
    const run_lock *lock; /* rank 0: what is saved must still be the folder of this attempt */
} run_state;

void run_state_free(run_state *state); /* the history; accepts a zeroed struct */

/* Adds a row to the history. */
soda_status run_state_note(run_state *state, double loss, double grad_norm);

/* Makes *to, zeros at first, the same state; its history keeps the room that it has. Texts are
 * shared. After a failure *to is as it was. */
soda_status run_state_copy(run_state *to, const run_state *from);

/* Writes FOLDER/step-*.h5 from what params_fetch got, and keeps the newest `keep`. Rank 0 only. */
soda_status run_state_save(const run_state *state, const soda_params *params, const char *folder,
                           int64_t keep);

/* Resumes from the newest good checkpoint of FOLDER, if there is one: rank 0 reads it, all ranks
 * get step, history and tensors; path[size] (on rank 0) is what was read, "" if nothing was.
 * SODA_ERR_INPUT if it belongs to another model, data set, method, seed or set of layers, naming
 * what differs. A changed configuration is a warning that lists the changed lines.
 *
 * Collective. */
soda_status run_state_restore(run_state *state, soda_params *params, soda_comm *comm,
                              const char *folder, char *path, size_t size);
