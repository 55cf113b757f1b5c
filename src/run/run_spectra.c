#include "run/run_spectra.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/spectrum.h"

static soda_status make_room(run_spectra *spectra, soda_layers *layers)
{
    int64_t numbers = 1;
    if (spectra->layers) return SODA_OK;
    spectra->count = layers_count(layers);
    for (int i = 0; i < spectra->count; i++)
        numbers += 2 * method_rank(layers_at(layers, i)) + layers_at(layers, i)->n;
    spectra->layers = calloc((size_t)spectra->count + 1, sizeof *spectra->layers);
    spectra->memory = malloc((size_t)numbers * sizeof(float));
    if (!spectra->layers || !spectra->memory) return FAIL(SODA_ERR_MEMORY, "out of memory");
    float *at = spectra->memory;
    for (int i = 0; i < spectra->count; i++) {
        const soda_layer *layer = layers_at(layers, i);
        const int64_t k = method_rank(layer);
        spectra->layers[i] = (spectra_layer){.name = layer->name,
                                             .k = k,
                                             .n = layer->n,
                                             .sigma0 = at,
                                             .sigma = at + k,
                                             .angles = at + 2 * k};
        at += 2 * k + layer->n;
    }
    return SODA_OK;
}

static soda_status measure(run_spectra *spectra, const soda_layer *layer, int i,
                           const soda_params *params)
{
    spectra_layer *record = &spectra->layers[i];
    float *memory = spectra->memory + (record->sigma0 - spectra->memory);
    soda_spectrum now = {.sigma = memory + record->k, .angles = memory + 2 * record->k};
    const float *values[METHOD_TENSORS];
    params_layer(params, i, values);
    if (!spectra->started) TRY(spectrum_start(layer, memory));
    TRY(spectrum_compute(layer, values, &now));
    record->effective_rank = now.effective_rank;
    memcpy(record->orthogonality, now.orthogonality, sizeof record->orthogonality);
    return SODA_OK;
}

static soda_status measure_all(run_spectra *spectra, soda_layers *layers, const soda_params *params)
{
    status_slot slot = {0};
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < spectra->count; i++)
        status_keep(&slot, measure(spectra, layers_at(layers, i), i, params));
    TRY(status_take(&slot));
    spectra->started = true;
    return SODA_OK;
}

soda_status run_spectra_record(run_spectra *spectra, soda_layers *layers, const soda_params *params,
                               const char *path, int64_t step)
{
    TRY(make_room(spectra, layers));
    TRY(measure_all(spectra, layers, params));
    return spectra_record(path, step, spectra->layers, spectra->count);
}

void run_spectra_free(run_spectra *spectra)
{
    free(spectra->layers);
    free(spectra->memory);
    *spectra = (run_spectra){0};
}
