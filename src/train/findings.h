/* findings.h: what a training step finds besides gradients: norm, drift, loss, checksums, and
 * whether a micro-batch was not finite. It stays on the device until the host reads all of it at
 * once. */
#pragma once

#include "train/params.h"

typedef struct {
    params_report report;
    params_sums sums;     /* after the last step in which ranks compare their state */
    int64_t count;        /* of additions to the reducer */
    update_found added[]; /* by addition */
} step_found;

typedef struct {
    soda_device *device;
    step_found *at;   /* on the device */
    step_found *host; /* as last read */
    int64_t most;     /* additions of one step */
} soda_findings;

soda_status findings_create(soda_device *device, int64_t most, soda_findings *findings);
void findings_destroy(soda_findings *findings); /* accepts a zeroed struct */

/* Before the additions of a step, and where they note what they find. */
soda_status findings_clear(soda_findings *findings);
update_notes findings_notes(const soda_findings *findings);

/* Waits for the step; `count` additions were made in it. */
soda_status findings_read(soda_findings *findings, int64_t count);

/* The first addition that was refused as last read, -1: none of `count`. */
int64_t findings_refused(const soda_findings *findings, int64_t count);
