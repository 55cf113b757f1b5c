/* png.h: pictures to files, by libpng. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

/* Writes `pixels` [height,width,3], RGB, 8 bits per channel, sRGB, as a PNG file. Makes the folder
 * of `path` if it is not there. The file appears whole or not at all; SODA_ERR_IO names it and the
 * reason (no permission, a full disk). */
soda_status soda_png_write(const char *path, const uint8_t *pixels, int width, int height);

/* The same, but replaces nothing: *taken, and nothing written, if something has that name already.
 */
soda_status soda_png_write_new(const char *path, const uint8_t *pixels, int width, int height,
                               bool *taken);
