#include "data/image.h"

#include <stdlib.h>
#include <string.h>

#include "data/image_formats.h"

soda_status image_prepare(const image_source *source, bool pixels, soda_image *image)
{
    const int64_t w = image->width, h = image->height;
    if (w < 1 || h < 1 || w > IMAGE_MAX_SIDE || h > IMAGE_MAX_SIDE)
        return FAIL(SODA_ERR_INPUT, "%s: expected sides of 1 to %d pixels, found %lldx%lld",
                    source->file, IMAGE_MAX_SIDE, (long long)w, (long long)h);
    if (!pixels) return SODA_OK;
    image->rgb = malloc((size_t)(w * h * 3));
    if (image->rgb) return SODA_OK;
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for %lldx%lld pixels", source->file,
                (long long)w, (long long)h);
}

soda_status image_damaged(const image_source *source, const char *format, const char *why)
{
    return FAIL(SODA_ERR_INPUT, "%s: the %s file is cut short or damaged: %s", source->file, format,
                why);
}

void image_on_white(const uint8_t *rgba, uint8_t *rgb, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        const int alpha = rgba[4 * i + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)((rgba[4 * i + c] * alpha + 255 * (255 - alpha) + 127) / 255);
    }
}

static image_reader *reader_of(const image_source *source)
{
    static const struct {
        size_t at;
        const char *magic;
        image_reader *read;
    } formats[] = {
        {0, "\x89PNG\r\n\x1a\n", image_png_read},
        {0, "\xff\xd8\xff", image_jpeg_read},
        {8, "WEBP", image_webp_read}, /* behind "RIFF" and a length */
    };
    for (size_t i = 0; i < sizeof formats / sizeof *formats; i++) {
        const size_t end = formats[i].at + strlen(formats[i].magic);
        if (source->size >= end &&
            !memcmp(source->bytes + formats[i].at, formats[i].magic, end - formats[i].at))
            return formats[i].read;
    }
    return NULL;
}

static soda_status read_any(const image_source *source, bool pixels, soda_image *image)
{
    image_reader *read = reader_of(source);
    *image = (soda_image){0};
    if (!read) return FAIL(SODA_ERR_INPUT, "%s: expected a PNG, JPEG or WebP file", source->file);
    const soda_status s = read(source, pixels, image);
    if (s != SODA_OK) image_free(image);
    return s;
}

soda_status image_decode(const void *bytes, size_t size, const char *file, soda_image *image)
{
    return read_any(&(image_source){bytes, size, file}, true, image);
}

soda_status image_size(const void *bytes, size_t size, const char *file, soda_image *image)
{
    return read_any(&(image_source){bytes, size, file}, false, image);
}

void image_free(soda_image *image)
{
    free(image->rgb);
    *image = (soda_image){0};
}
