/* image_formats.h: what image.c and its three decoders share. */
#pragma once

#include <stdbool.h>

#include "data/image.h"

typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *file; /* for messages */
} image_source;

/* Reads the header, and the pixels if wanted; image->rgb is NULL without them, and on failure. */
typedef soda_status image_reader(const image_source *source, bool pixels, soda_image *image);
image_reader image_png_read, image_jpeg_read, image_webp_read;

/* Checks the sides of *image and, if pixels are wanted, gives them memory. */
soda_status image_prepare(const image_source *source, bool pixels, soda_image *image);

/* Records that the decoder found the file damaged, and why. */
soda_status image_damaged(const image_source *source, const char *format, const char *why);

/* rgb[i] <- rgba[i] on white, for `count` pixels. */
void image_on_white(const uint8_t *rgba, uint8_t *rgb, int64_t count);
