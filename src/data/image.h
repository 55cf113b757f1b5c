/* image.h: picture files become RGB pixels. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { IMAGE_MAX_SIDE = 16384 };

typedef struct {
    int64_t width, height;
    uint8_t *rgb; /* [height,width,3], 8 bits a channel, as stored: profiles and gAMA are ignored */
} soda_image;

/* Decodes PNG, JPEG and WebP; the content decides, not the name. Grey and palettes become RGB, 16
 * bits become 8, alpha is composited on white, the EXIF orientation of a JPEG is applied. Of an
 * animated PNG the still picture counts.
 *
 * `file` is for messages. SODA_ERR_INPUT names it if the bytes are none of the three, are cut short
 * or damaged, or if a side is 0 or more than IMAGE_MAX_SIDE; SODA_ERR_UNSUPPORTED if they are an
 * animated WebP or a CMYK JPEG. Free with image_free; zeroed on failure. */
soda_status image_decode(const void *bytes, size_t size, const char *file, soda_image *image);

/* Width and height alone, from the header; image->rgb is NULL. What is behind the header is not
 * checked. */
soda_status image_size(const void *bytes, size_t size, const char *file, soda_image *image);

void image_free(soda_image *image);
