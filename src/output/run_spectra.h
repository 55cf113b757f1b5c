/* run_spectra.h: RUN/spectra.h5 of a run: one record of every layer at each checkpoint.
 *
 * Records are measured, and then written in that order; those for which there is no room on the
 * disk wait in memory. One thread at a time. */
#pragma once

#include <stdatomic.h>

#include "adapter/layers.h"
#include "io/spectra.h"
#include "train/params.h"

enum { RUN_SPECTRA_WAITING = 16 }; /* records that wait at most; older ones are given up */

/* One step's record; the arrays of its layers are in one piece of memory. */
typedef struct {
    int64_t step;
    int measured; /* the first layers, up to this one */
    spectra_layer *layers;
    float *memory;
} run_spectra_row;

/* Starts as zeros. */
typedef struct {
    int count;        /* of layers */
    float *sigma0;    /* of all layers, one after the other; computed once, and then ... */
    bool *has_sigma0; /* [count] */
    run_spectra_row rows[RUN_SPECTRA_WAITING];
    int waiting;
} run_spectra;

/* How long a record may take. */
typedef struct {
    const atomic_bool *hurry; /* NULL: on all OpenMP threads; else on this one, until it is true */
    double until_s;           /* without hurry: on the clock of log_seconds */
} run_spectra_limit;

/* Measures the values that `params` has on the host, as those of `step`. Where the limit ends it
 * early *complete is false: with hurry the next call for the same step continues, without the
 * record is given up. After a failure nothing is kept of it. */
soda_status run_spectra_measure(run_spectra *spectra, soda_layers *layers,
                                const soda_params *params, int64_t step,
                                const run_spectra_limit *limit, bool *complete);

/* Adds what waits to the file, oldest first. Records that are written are forgotten, whatever fails
 * later. */
soda_status run_spectra_write(run_spectra *spectra, const char *path,
                              const newfile_permission *permission);

void run_spectra_free(run_spectra *spectra); /* accepts a zeroed struct */
