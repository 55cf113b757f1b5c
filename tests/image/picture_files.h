/* picture_files.h: pictures as files in memory, for tests. Every function returns memory for free()
 * and its size; failures fail the test. */
#pragma once

#include "support/check.h"

#include <stdbool.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jpeglib.h>
#include <png.h>
#include <webp/encode.h>

typedef struct {
    uint8_t *bytes;
    size_t size;
} picture_file;

/* `format`: PNG_FORMAT_RGB, PNG_FORMAT_GRAY, PNG_FORMAT_RGBA, PNG_FORMAT_GA, PNG_FORMAT_LINEAR_RGB
 * (16 bits a channel), or a PNG_FORMAT_..._COLORMAP with its colours in `map`. */
static inline picture_file png_file(uint32_t format, const void *pixels, int width, int height,
                                    const void *map, uint32_t colours)
{
    png_image image = {.version = PNG_IMAGE_VERSION,
                       .width = (uint32_t)width,
                       .height = (uint32_t)height,
                       .format = format,
                       .colormap_entries = colours};
    png_alloc_size_t size = PNG_IMAGE_PNG_SIZE_MAX(image) + 4096;
    picture_file file = {malloc(size), 0};
    assert_non_null(file.bytes);
    assert_true(png_image_write_to_memory(&image, file.bytes, &size, 0, pixels, 0, map));
    file.size = size;
    return file;
}

/* `channels`: 1 grey, 3 RGB, 4 CMYK. `exif` becomes an APP1 marker unless it is NULL. */
static inline picture_file jpeg_file(const uint8_t *pixels, int width, int height, int channels,
                                     bool progressive, const void *exif, unsigned exif_bytes)
{
    struct jpeg_compress_struct jpeg;
    struct jpeg_error_mgr errors;
    unsigned char *bytes = NULL;
    unsigned long size = 0;
    jpeg.err = jpeg_std_error(&errors);
    jpeg_create_compress(&jpeg);
    jpeg_mem_dest(&jpeg, &bytes, &size);
    jpeg.image_width = (JDIMENSION)width;
    jpeg.image_height = (JDIMENSION)height;
    jpeg.input_components = channels;
    jpeg.in_color_space = channels == 1 ? JCS_GRAYSCALE : channels == 3 ? JCS_RGB : JCS_CMYK;
    jpeg_set_defaults(&jpeg);
    jpeg_set_quality(&jpeg, 100, TRUE);
    if (progressive) jpeg_simple_progression(&jpeg);
    jpeg_start_compress(&jpeg, TRUE);
    if (exif) jpeg_write_marker(&jpeg, JPEG_APP0 + 1, exif, exif_bytes);
    for (int y = 0; y < height; y++) {
        JSAMPROW row = (JSAMPROW)pixels + (size_t)y * (size_t)(width * channels);
        jpeg_write_scanlines(&jpeg, &row, 1);
    }
    jpeg_finish_compress(&jpeg);
    jpeg_destroy_compress(&jpeg);
    return (picture_file){bytes, size};
}

/* Lossless; `channels` 3 or 4. */
static inline picture_file webp_file(const uint8_t *pixels, int width, int height, int channels)
{
    uint8_t *bytes = NULL;
    const size_t size = channels == 4
                            ? WebPEncodeLosslessRGBA(pixels, width, height, 4 * width, &bytes)
                            : WebPEncodeLosslessRGB(pixels, width, height, 3 * width, &bytes);
    picture_file file = {malloc(size + 1), size};
    assert_true(size > 0 && file.bytes);
    memcpy(file.bytes, bytes, size);
    WebPFree(bytes);
    return file;
}
