/* plan_report.h: what `soda plan` prints. */
#pragma once

#include "plan/cluster_plan.h"

/* The tables for people, on stdout. `name`: of the run or the architecture. */
void plan_print(const char *name, const cluster_request *request, const cluster_plan *plan);

/* One JSON object, on stdout. */
soda_status plan_print_json(const char *name, const cluster_request *request,
                            const cluster_plan *plan);
