#include "model/time_ids.h"

void time_ids_set(const time_ids_sizes *s, float ids[UNET_TIME_IDS])
{
    const int64_t all[UNET_TIME_IDS] = {s->original_h, s->original_w, s->top,
                                        s->left,       s->target_h,   s->target_w};
    for (int i = 0; i < UNET_TIME_IDS; i++) ids[i] = (float)all[i];
}

void time_ids_drawn(int64_t h, int64_t w, float ids[UNET_TIME_IDS])
{
    const time_ids_sizes whole = {h, w, 0, 0, h, w};
    time_ids_set(&whole, ids);
}
