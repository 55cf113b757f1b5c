/* image_formats.h: what image.c and its decoders share. */
#pragma once

#include <stdbool.h>

#include "image/image.h"

typedef struct {
    const uint8_t *bytes;
    size_t size;
    const char *file; /* for messages */
} image_source;

/* Reads the header, and the pixels if wanted, as they are stored; image->rgb is NULL without them,
 * and on failure. *orientation, 1 before the call, is set where the file tells
 * (image_orientation.h).
 */
typedef soda_status image_reader(const image_source *source, bool pixels, soda_image *image,
                                 int *orientation);
#define FORMAT(name, NAME, at, bytes, endings) image_reader image_##name##_read;
#include "image/formats.def"
#undef FORMAT

/* Checks the sides of *image and, if pixels are wanted, gives them memory. */
soda_status image_prepare(const image_source *source, bool pixels, soda_image *image);

/* Records that the decoder found the file damaged, and why. */
soda_status image_damaged(const image_source *source, const char *format, const char *why);

/* Records that memory ran out. */
soda_status image_no_memory(const image_source *source);
