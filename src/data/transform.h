/* transform.h: a decoded picture becomes what the VAE reads: scaled, mirrored, cut, in [-1,1].
 *
 * A picture has a fixed number of variants, so that latents are computed once: crop center has one,
 * crop random has eight, whose places come from the seed and the picture's index; flip has twice as
 * many. They stay the same for the whole run. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"
#include "image/image.h"

enum { TRANSFORM_RANDOM_CROPS = 8 };

/* Without buckets every picture becomes resolution x resolution: its shorter side is scaled to
 * `resolution`. With buckets it is scaled and cut to the size that bucket.h chooses. */
typedef struct {
    int64_t resolution; /* at least `factor`, at most IMAGE_MAX_SIDE */
    bool buckets;
    int64_t factor; /* picture pixels per latent: sides of buckets are multiples of it */
    bool random_crop, flip;
    uint64_t seed;
} transform_options;

/* How one variant sees a picture: scaled to scaled_w x scaled_h, then mirrored if `flip`, then cut
 * to w x h from (left, top). What it depends on is all here. */
typedef struct {
    int64_t scaled_w, scaled_h;
    bool flip;
    int64_t left, top, w, h;
} transform_view;

int transform_variants(const transform_options *options);

/* The view of `variant` (0 to transform_variants - 1; the upper half is mirrored) of picture number
 * `index`, of width x height pixels. */
transform_view transform_view_of(const transform_options *options, uint64_t index, int64_t width,
                                 int64_t height, int variant);

/* pixels [h,w,3] fp32 in [-1,1] of a view of `image`. Scaled as PIL's Image.resize does with
 * LANCZOS before Pillow 13 (which scales tall pictures columns first: values differ by up to 5 of
 * 255): rows, then columns, each rounded to 8 bits; weights are sinc(x) sinc(x/3) over 3
 * pixels, stretched when shrinking, so that nothing aliases. */
soda_status transform_apply(const soda_image *image, const transform_view *view, float *pixels);
