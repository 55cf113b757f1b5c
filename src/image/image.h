/* image.h: picture files become RGB pixels. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

enum { IMAGE_MAX_SIDE = 16384 };

typedef struct {
    int64_t width, height;
    uint8_t *rgb; /* [height,width,3], 8 bits each, as stored: profiles and gAMA are ignored */
    bool no_end;  /* the file stops behind the last row, before its end marker */
} soda_image;

/* Decodes PNG, JPEG, WebP, GIF, BMP and TIFF; the content decides, not the name. The pixels are
 * those of Pillow's ImageOps.exif_transpose(image).convert("RGB"): grey and palettes become RGB,
 * alpha and transparent colours are dropped, 16 bits are cut to the upper 8 (in grey too, where
 * Pillow would clip to white), CMYK is multiplied by black, and the picture is turned as EXIF or
 * XMP says. Of several pictures or frames the first counts.
 *
 * `file` is for messages. SODA_ERR_INPUT names it and what it is if the bytes are none of these,
 * are cut short or damaged (a PNG or baseline JPEG file that lacks nothing but what follows its
 * pixels is read, and image->no_end says so), or if a side is 0 or more than IMAGE_MAX_SIDE;
 * SODA_ERR_UNSUPPORTED if the kind of file is not read, as TIFF in CIELab. Free with image_free;
 * zeroed on failure. */
soda_status image_decode(const void *bytes, size_t size, const char *file, soda_image *image);

/* Width and height alone, from the header; image->rgb is NULL. What is behind the header is not
 * checked. */
soda_status image_size(const void *bytes, size_t size, const char *file, soda_image *image);

void image_free(soda_image *image);
