/* findings.h: what a training step finds besides gradients: norm, drift, loss, and whether a
 * micro-batch was not finite. It stays on the device until the host reads all of it at once. */
#pragma once

#include "train/params.h"

typedef struct {
    params_report report;
    update_found added[]; /* by addition to the reducer */
} step_found;

typedef struct {
    soda_device *device;
    step_found *at;   /* on the device */
    step_found *host; /* as last read */
    int64_t most;     /* additions of one step */
} soda_findings;

soda_status findings_create(soda_device *device, int64_t most, soda_findings *findings);
void findings_destroy(soda_findings *findings); /* accepts a zeroed struct */

/* Waits for the step; `count` additions were made in it. */
soda_status findings_read(soda_findings *findings, int64_t count);

/* The first addition that was refused as last read, -1: none of `count`. */
int64_t findings_refused(const soda_findings *findings, int64_t count);
