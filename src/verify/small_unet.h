/* small_unet.h: a U-Net that runs in a blink and has every operator of the large ones. */
#pragma once

#include "model/config.h"

enum { SMALL_UNET_TOKEN_WIDTH = 24 };

soda_status small_unet(soda_unet_config *config);
