/* metrics.h: metrics.jsonl: one object a step, for people and plots. Rank 0 writes. */
#pragma once

#include <stdint.h>
#include <stdio.h>

#include "core/status.h"

typedef struct {
    int64_t step; /* 0, 1, ... */
    double loss, lr_rotation, lr_spectrum, grad_norm, orthogonality, images_per_s;
    double data_s, network_s, reduce_s, update_s;
} metrics_row;

/* Opens RUN/metrics.jsonl to append, after removing what is of step `step` and later, and a last
 * line that was cut short: a run that goes on from a checkpoint repeats those steps. */
soda_status metrics_open(const char *path, int64_t step, FILE **file);

/* One line, flushed. SODA_ERR_IO names the file. */
soda_status metrics_write(FILE *file, const char *path, const metrics_row *row);

/* One line {"step": .., "validation_loss": ..}. */
soda_status metrics_write_validation(FILE *file, const char *path, int64_t step, double loss);
