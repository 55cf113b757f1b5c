/* spectrum.h: what training did to one layer: its singular values and the angles of its rotation.
 *
 * All in fp64, by LAPACK where a decomposition is needed, rounded to fp32 once. Several threads may
 * work on several layers at a time; nothing is kept between calls. k = min(m,n). */
#pragma once

#include "adapter/merge.h"

typedef struct {
    float *sigma;  /* [k] singular values of W, falling */
    float *angles; /* [n] rotation angles of R in [0, pi], falling: a plane has its angle twice */
    double effective_rank;
    double orthogonality[3]; /* ||Ri'Ri - I||_F */
} soda_spectrum;

/* sigma0 [k]: the singular values of W0, falling. Without an SVD among the bases this takes about
 * 4/3 m n k flops of matrix-vector speed, as often as it is called: keep them. */
soda_status spectrum_start(const soda_layer *layer, float *sigma0);

/* Fills *spectrum, whose arrays are the caller's, for the layer with these values.
 * SODA_ERR_NUMERIC names the layer if a value is not finite or an iteration does not converge. */
soda_status spectrum_compute(const soda_layer *layer, method_values values,
                             soda_spectrum *spectrum);

/* exp(-sum p log p) with p = sigma / sum sigma: from 1, one value alone, to k, all equal; 0 if all
 * are 0.                  Roy & Vetterli, The effective rank, EUSIPCO 2007 */
double spectrum_effective_rank(const float *sigma, int64_t k);

/* For methods: sigma [k] of a dense W [m,n], which is destroyed; and what their hooks fail with. */
soda_status spectrum_of_dense(const soda_layer *layer, double *W, float *sigma);
soda_status spectrum_no_memory(const soda_layer *layer);
soda_status spectrum_lapack_failed(const soda_layer *layer, const char *function, int info);
