/* ledger.h: a store of packed weights that only counts what a run's store would hold. */
#pragma once

#include "backend/residency.h"

typedef struct {
    size_t all;     /* bytes of all forms, each rounded up as in a store */
    size_t small;   /* of it in forms that every rank keeps whole */
    size_t largest; /* form */
    int64_t forms;
} ledger_sums;

/* A residency whose `fill` notes the forms of a network and makes none: there is nothing to run.
 * `sharers` ranks hold them together. `fill` refuses a network for which a ring of `ring_wanted`
 * bytes is too small, as ring_choose; 0: none. */
soda_status ledger_create(soda_device *device, int sharers, size_t ring_wanted,
                          soda_residency **residency);

/* Of the forms noted so far. `residency` is a ledger. */
ledger_sums ledger_report(const soda_residency *residency);
