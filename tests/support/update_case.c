#include "support/update_case.h"

#include "support/check.h"

soda_device *device;
const soda_update *update;

int update_case_open(void **state)
{
    (void)state;
    update = tested_update(&device);
    return 0;
}

void *update_case_put(const void *host, size_t bytes)
{
    void *memory;
    CHECK_OK(device->alloc(device, bytes, &memory));
    CHECK_OK(device->upload(device, memory, host, bytes));
    return memory;
}

double *update_case_put_double(double x) { return update_case_put(&x, sizeof x); }

void update_case_get(void *host, const void *memory, size_t bytes)
{
    CHECK_OK(device->download(device, host, memory, bytes));
}

double update_case_get_double(const double *memory)
{
    double x;
    update_case_get(&x, memory, sizeof x);
    return x;
}
