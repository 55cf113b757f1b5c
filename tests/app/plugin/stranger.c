/* A plugin of another build, or of another interface: the tests put STRANGER_ABI and STRANGER_BUILD
 * into it. Opening it would end the process. */
#include "backend/plugin.h"

#include <stdlib.h>

static soda_status open_nothing(int rank, plugin_device *device, const soda_backend **backend)
{
    (void)rank, (void)device, (void)backend;
    abort();
}

extern const backend_plugin soda_backend_plugin;
const backend_plugin soda_backend_plugin = {STRANGER_ABI, STRANGER_BUILD, open_nothing};
