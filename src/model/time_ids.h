/* time_ids.h: SDXL's size conditions of a picture, in pixels: how large the original was, where it
 * was cut, and how large it is wanted.                       Podell et al., arXiv:2307.01952 */
#pragma once

#include "model/config.h"

typedef struct {
    int64_t original_h, original_w, top, left, target_h, target_w;
} time_ids_sizes;

void time_ids_set(const time_ids_sizes *sizes, float ids[UNET_TIME_IDS]);

/* Of a picture that is drawn: as large as it is wanted, and whole. */
void time_ids_drawn(int64_t h, int64_t w, float ids[UNET_TIME_IDS]);
