/* resize.h: pictures of another size, as PIL's Image.resize(..., LANCZOS) makes them
 * before Pillow 13, which scales tall ones columns first. */
#pragma once

#include "image/image.h"

/* The picture is scaled to scaled_w x scaled_h; of that, w x h pixels from (left, top) are wanted,
 * which must lie within. */
typedef struct {
    int64_t scaled_w, scaled_h;
    int64_t left, top, w, h;
} resize_window;

/* rgb [h,w,3]: output pixel i lies at c = (i + 1/2) n / scaled of n input pixels, and is the sum of
 *
 *     sinc(t) sinc(t / 3),  t = (j + 1/2 - c) / max(1, n / scaled),  |t| < 3
 *
 * over input pixels j, weights divided by their sum. Rows first, then columns; weights have 22
 * binary places and each sum is rounded to 8 bits, as in PIL: integers, so that every machine has
 * the same pixels. */
soda_status resize_lanczos(const soda_image *image, const resize_window *window, uint8_t *rgb);
