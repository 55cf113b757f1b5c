/* metrics.h: metrics.jsonl: one JSON object per step, for people and plots. Rank 0 writes.
 *
 * A full disk never ends a run: rows that cannot be written are kept in memory, after one warning,
 * and written when there is room again. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct soda_metrics soda_metrics;

typedef struct {
    int64_t step; /* 0, 1, ... */
    double loss, lr_rotation, lr_spectrum, grad_norm, orthogonality, images_per_s;
    double data_s, network_s, reduce_s, update_s;
    double save_s;           /* for which training stood still before this step, to save */
    bool gathers;            /* weights: the next two are written */
    double gather_s, wait_s; /* gathering them beside the network, and waiting for it */
} metrics_row;

/* Opens RUN/metrics.jsonl to append, after removing what is of step `step` and later, and a last
 * line that was cut short: a run that resumes from a checkpoint repeats those steps. SODA_ERR_IO
 * names the file if it cannot be opened at all, for another reason than a full disk. */
soda_status metrics_open(const char *path, int64_t step, soda_metrics **metrics);

/* Adds a line and writes what is not yet written. SODA_ERR_MEMORY only. */
soda_status metrics_write(soda_metrics *metrics, const metrics_row *row);

/* The same with a line {"step": .., "validation_loss": ..}. */
soda_status metrics_write_validation(soda_metrics *metrics, int64_t step, double loss);

/* Writes what is not yet written, and syncs the file. SODA_ERR_IO names it and how many lines it
 * lacks. */
soda_status metrics_flush(soda_metrics *metrics);

void metrics_close(soda_metrics *metrics); /* accepts NULL; what is not written is lost */
