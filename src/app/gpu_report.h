/* gpu_report.h: the results of `soda selftest --gpu`, for people and as JSON. */
#pragma once

#include "app/gpu_checks.h"

/* Prints them on rank 0's stdout, with a line for each rank; SODA_ERR_NUMERIC on all ranks if
 * anything failed on any. Collective. */
soda_status gpu_report(const gpu_results *results, bool json);
