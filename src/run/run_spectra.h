/* run_spectra.h: RUN/spectra.h5 of a run: one record of every layer at each checkpoint. */
#pragma once

#include "adapter/layers.h"
#include "io/spectra.h"
#include "train/params.h"

/* One layer of the record, its arrays in one piece of memory. */
typedef struct {
    spectra_layer *layers;
    float *memory;
    int count;
    bool started; /* sigma0 is computed */
} run_spectra;

/* Records the present values as those of `step`; what does not change is computed once and kept in
 * *spectra, which is zeroed at first. Layers are worked on by all OpenMP threads. */
soda_status run_spectra_record(run_spectra *spectra, soda_layers *layers, const soda_params *params,
                               const char *path, int64_t step);
void run_spectra_free(run_spectra *spectra); /* accepts a zeroed struct */
