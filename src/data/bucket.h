/* bucket.h: aspect-ratio buckets: the few sizes that pictures of all shapes are cut to. */
#pragma once

#include <stdint.h>

/* What the sides of buckets are multiples of: 64, the step that SD 1.x, 2.x and SDXL were trained
 * with; below a resolution of 512 an eighth of it, so that small models have as many shapes; always
 * a multiple of `factor`, the picture pixels per latent. */
int64_t bucket_step(int64_t resolution, int64_t factor);

/* The bucket [h,w] of a picture of height x width pixels: of the sizes with sides of half to twice
 * the resolution, at most resolution^2 pixels and no room for one step more, the one whose ratio of
 * sides is nearest to the picture's. */
void bucket_choose(int64_t resolution, int64_t factor, int64_t width, int64_t height, int64_t *w,
                   int64_t *h);
