/* archs.h: the published architectures by name, so that a bench needs no download. */
#pragma once

#include "model/config.h"

/* "sd15", "sd21", "sdxl", or a model folder with unet/config.json. */
soda_status arch_find(const char *name, soda_unet_config *config);
