#include "app/adapters.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "interop/adapter_fit.h"

static soda_status split(const char *text, char *path, size_t size, double *weight)
{
    struct stat about;
    const char *colon = strrchr(text, ':');
    *weight = 1;
    if (strlen(text) >= size) return FAIL(SODA_ERR_USAGE, "--adapter: the path is too long");
    snprintf(path, size, "%s", text);
    if (!colon || stat(text, &about) == 0) return SODA_OK;
    char *end;
    *weight = strtod(colon + 1, &end);
    if (end == colon + 1 || *end || !isfinite(*weight))
        return FAIL(SODA_ERR_USAGE,
                    "--adapter: expected FILE or FILE:WEIGHT with a number for WEIGHT, found '%s'",
                    text);
    path[colon - text] = '\0';
    return SODA_OK;
}

soda_status adapters_open(const option_list *list, const soda_folder *folder,
                          app_adapters *adapters)
{
    soda_status s = SODA_OK;
    char path[4096];
    *adapters = (app_adapters){0};
    for (int i = 0; i < list->count; i++) {
        soda_adapter **adapter = &adapters->adapter[i];
        double weight;
        TRY_TO(failed, split(list->value[i], path, sizeof path, &weight));
        TRY_TO(failed, adapter_read(path, adapter));
        adapters->count++;
        TRY_TO(failed, adapter_fit_check(*adapter, folder));
        adapters->use[i] = (adapter_use){*adapter, weight};
    }
    return SODA_OK;
failed:
    adapters_close(adapters);
    return s;
}

void adapters_close(app_adapters *adapters)
{
    for (int i = 0; i < adapters->count; i++) adapter_close(adapters->adapter[i]);
    *adapters = (app_adapters){0};
}
