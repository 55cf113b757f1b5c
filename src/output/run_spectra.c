#include "output/run_spectra.h"

#include <stdlib.h>
#include <string.h>

#include "adapter/spectrum.h"
#include "core/log.h"
#include "core/pulse.h"

static soda_status start(run_spectra *spectra, soda_layers *layers)
{
    int64_t numbers = 1;
    if (spectra->has_sigma0) return SODA_OK;
    spectra->count = layers_count(layers);
    for (int i = 0; i < spectra->count; i++) numbers += method_rank(layers_at(layers, i));
    free(spectra->sigma0);
    spectra->sigma0 = malloc((size_t)numbers * sizeof(float));
    if (spectra->sigma0) spectra->has_sigma0 = calloc((size_t)spectra->count + 1, sizeof(bool));
    return spectra->has_sigma0 ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

static void forget(run_spectra *spectra, int row)
{
    free(spectra->rows[row].layers);
    free(spectra->rows[row].memory);
    spectra->waiting--;
    memmove(&spectra->rows[row], &spectra->rows[row + 1],
            (size_t)(spectra->waiting - row) * sizeof *spectra->rows);
}

static soda_status make_row(const run_spectra *spectra, soda_layers *layers, run_spectra_row *row)
{
    int64_t numbers = 1;
    float *sigma0 = spectra->sigma0;
    for (int i = 0; i < spectra->count; i++)
        numbers += method_rank(layers_at(layers, i)) + layers_at(layers, i)->n;
    row->layers = calloc((size_t)spectra->count + 1, sizeof *row->layers);
    row->memory = malloc((size_t)numbers * sizeof(float));
    if (!row->layers || !row->memory) {
        free(row->layers);
        free(row->memory);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    float *at = row->memory;
    for (int i = 0; i < spectra->count; i++) {
        const soda_layer *layer = layers_at(layers, i);
        const int64_t k = method_rank(layer);
        row->layers[i] = (spectra_layer){.name = layer->name,
                                         .k = k,
                                         .n = layer->n,
                                         .sigma0 = sigma0,
                                         .sigma = at,
                                         .angles = at + k};
        sigma0 += k;
        at += k + layer->n;
    }
    return SODA_OK;
}

/* The record of `step`, which is the last one that waits. */
static soda_status row_of(run_spectra *spectra, soda_layers *layers, int64_t step,
                          run_spectra_row **row)
{
    run_spectra_row made = {.step = step};
    if (spectra->waiting == 0 || spectra->rows[spectra->waiting - 1].step != step) {
        TRY(make_row(spectra, layers, &made));
        if (spectra->waiting == RUN_SPECTRA_WAITING) {
            log_warning("gave up the entry of step %lld in spectra.h5: %d later ones wait as well",
                        (long long)spectra->rows[0].step, RUN_SPECTRA_WAITING - 1);
            forget(spectra, 0);
        }
        spectra->rows[spectra->waiting++] = made;
    }
    *row = &spectra->rows[spectra->waiting - 1];
    return SODA_OK;
}

static soda_status measure(run_spectra *spectra, const run_spectra_row *row,
                           const soda_layer *layer, int i, const soda_params *params)
{
    spectra_layer *record = &row->layers[i];
    float *sigma0 = spectra->sigma0 + (record->sigma0 - spectra->sigma0);
    float *sigma = row->memory + (record->sigma - row->memory);
    soda_spectrum now = {.sigma = sigma, .angles = sigma + record->k};
    const float *values[METHOD_TENSORS];
    params_layer(params, i, values);
    if (!spectra->has_sigma0[i]) TRY(spectrum_start(layer, sigma0));
    spectra->has_sigma0[i] = true;
    TRY(spectrum_compute(layer, values, &now));
    record->effective_rank = now.effective_rank;
    memcpy(record->orthogonality, now.orthogonality, sizeof record->orthogonality);
    pulse_beat();
    return SODA_OK;
}

static soda_status measure_here(run_spectra *spectra, run_spectra_row *row, soda_layers *layers,
                                const soda_params *params, const atomic_bool *hurry)
{
    for (; row->measured < spectra->count && !atomic_load(hurry); row->measured++)
        TRY(measure(spectra, row, layers_at(layers, row->measured), row->measured, params));
    return SODA_OK;
}

static soda_status measure_on_all_threads(run_spectra *spectra, run_spectra_row *row,
                                          soda_layers *layers, const soda_params *params,
                                          double until_s)
{
    status_slot slot = {0};
    int measured = row->measured;
#pragma omp parallel for schedule(dynamic, 1) reduction(+ : measured)
    for (int i = row->measured; i < spectra->count; i++) {
        if (log_seconds() >= until_s) continue;
        status_keep(&slot, measure(spectra, row, layers_at(layers, i), i, params));
        measured++;
    }
    row->measured = measured;
    return status_take(&slot);
}

soda_status run_spectra_measure(run_spectra *spectra, soda_layers *layers,
                                const soda_params *params, int64_t step,
                                const run_spectra_limit *limit, bool *complete)
{
    run_spectra_row *row;
    TRY(start(spectra, layers));
    TRY(row_of(spectra, layers, step, &row));
    const soda_status s =
        limit->hurry ? measure_here(spectra, row, layers, params, limit->hurry)
                     : measure_on_all_threads(spectra, row, layers, params, limit->until_s);
    *complete = row->measured == spectra->count;
    if (s != SODA_OK || !(*complete || limit->hurry)) forget(spectra, spectra->waiting - 1);
    return s;
}

soda_status run_spectra_write(run_spectra *spectra, const char *path,
                              const newfile_permission *permission)
{
    while (spectra->waiting > 0) {
        const run_spectra_row *row = &spectra->rows[0];
        TRY(spectra_record(path, row->step, row->layers, spectra->count, permission));
        forget(spectra, 0);
    }
    return SODA_OK;
}

void run_spectra_free(run_spectra *spectra)
{
    while (spectra->waiting > 0) forget(spectra, 0);
    free(spectra->sigma0);
    free(spectra->has_sigma0);
    *spectra = (run_spectra){0};
}
