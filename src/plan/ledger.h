/* ledger.h: a store of packed weights that only counts what a run's store would hold. */
#pragma once

#include "backend/residency.h"

/* Entries of at most so many elements are kept whole by every rank, however weights are cut. */
enum { LEDGER_SMALL = 64 << 10 };

typedef struct {
    size_t all;     /* bytes of all forms, each rounded up as in a store */
    size_t small;   /* of it in forms of at most LEDGER_SMALL elements */
    size_t largest; /* form */
    int64_t forms;
} ledger_sums;

/* A residency whose `fill` notes the forms of a network and makes none: there is nothing to run.
 * `sharers` ranks hold them together. */
soda_status ledger_create(soda_device *device, int sharers, soda_residency **residency);

/* Of the forms noted so far. `residency` is a ledger. */
ledger_sums ledger_report(const soda_residency *residency);
