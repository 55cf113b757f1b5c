/* spectra.h: spectra.h5: how the spectrum of every adapted layer moved over a run.
 *
 *     /                 format "soda-spectra", version
 *     /steps [r]        int64, rising
 *     /layers/NAME/     sigma0 [k]; sigma [r,k]; effective_rank [r]; angles [r,n] (radians);
 *                       orthogonality [r,3]
 *
 * Extendable along r, chunked and compressed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "io/newfile.h"

enum { SPECTRA_VERSION = 1 };
#define SPECTRA_FORMAT "soda-spectra"

typedef struct {
    const char *name; /* "unet. ... .to_q" */
    int64_t k, n;
    const float *sigma0;     /* [k] singular values of W0, falling */
    const float *sigma;      /* [k] those of W */
    double effective_rank;   /* of sigma */
    const float *angles;     /* [n] rotation angles of R, in [0, pi], falling */
    double orthogonality[3]; /* ||Ri'Ri - I||_F */
} spectra_layer;

/* Adds the record of `step`, after removing those of `step` and later (a run that was resumed from
 * an older checkpoint). Creates the file if there is none; replaces it by a rename, so that it is
 * never half-written. permission is asked right before that; its failure is passed on,
 * and nothing has changed. SODA_ERR_INPUT names what does not fit: a layer that is missing or of
 * another size. */
soda_status spectra_record(const char *path, int64_t step, const spectra_layer *layers, int count,
                           const newfile_permission *permission);

/* Whether the file has the record of `step`; without a file it has none. SODA_ERR_IO,
 * SODA_ERR_INPUT: the file cannot be read, or is damaged. */
soda_status spectra_has(const char *path, int64_t step, bool *has);

/* What a file holds in short. */
typedef struct {
    int layers;
    int64_t records, first_step, last_step;
    double first_rank, last_rank; /* means over layers of the effective rank of those records */
    double largest_angle;         /* of the last record, radians */
} spectra_about;

/* SODA_ERR_IO if `path` cannot be read; SODA_ERR_INPUT names what is damaged. */
soda_status spectra_describe(const char *path, spectra_about *about);
