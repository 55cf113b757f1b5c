/* update_case.h: the update of the tested backend, and memory of its device. */
#pragma once

#include "support/tested.h"

/* Set by update_case_open, the setup of a group of tests. */
extern soda_device *device;
extern const soda_update *update;
int update_case_open(void **state);

/* Memory of the device with these bytes, which the test releases. */
void *update_case_put(const void *host, size_t bytes);
double *update_case_put_double(double x);

void update_case_get(void *host, const void *memory, size_t bytes);
double update_case_get_double(const double *memory);
