/* adapters.h: --adapter FILE[:weight], as often as wanted. */
#pragma once

#include "app/options.h"
#include "interop/merged.h"

typedef struct {
    soda_adapter *adapter[OPTIONS_LIST_MAX];
    adapter_use use[OPTIONS_LIST_MAX];
    int count;
} app_adapters;

/* Reads every adapter and checks that it fits the folder. A text that is a file's or folder's path
 * is one, colons and all; else what stands behind the last colon is the weight. SODA_ERR_USAGE for
 * a weight that is not a number. On failure nothing is left to close. */
soda_status adapters_open(const option_list *list, const soda_folder *folder,
                          app_adapters *adapters);
void adapters_close(app_adapters *adapters);
