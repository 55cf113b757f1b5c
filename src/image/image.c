#include "image/image.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_kind.h"
#include "image/image_orientation.h"

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

soda_status image_no_memory(const image_source *source)
{
    return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the picture", source->file);
}

#define LIST(...) __VA_ARGS__
static const struct {
    const char *name;
    size_t at;
    const char *bytes[4];
    image_reader *read;
} formats[] = {
#define FORMAT(name, NAME, at, bytes, endings) {NAME, at, {bytes}, image_##name##_read},
#include "image/formats.def"
#undef FORMAT
};
enum { FORMATS = sizeof formats / sizeof *formats };

static image_reader *reader_of(const image_source *source)
{
    for (int i = 0; i < FORMATS; i++)
        for (int k = 0; k < 4 && formats[i].bytes[k]; k++) {
            const size_t length = strlen(formats[i].bytes[k]), end = formats[i].at + length;
            if (source->size >= end &&
                !memcmp(source->bytes + formats[i].at, formats[i].bytes[k], length))
                return formats[i].read;
        }
    return NULL;
}

/* "a PNG, JPEG, ... or TIFF picture" */
static soda_status refuse_other(const image_source *source)
{
    char expected[160] = "a ";
    for (int i = 0; i < FORMATS; i++) {
        const size_t used = strlen(expected);
        snprintf(expected + used, sizeof expected - used, "%s%s", formats[i].name,
                 i < FORMATS - 2    ? ", "
                 : i == FORMATS - 2 ? " or "
                                    : " picture");
    }
    return file_kind_refuse(source->bytes, source->size, source->file, expected);
}

static soda_status read_any(const image_source *source, bool pixels, soda_image *image)
{
    image_reader *read = reader_of(source);
    int orientation = 1;
    *image = (soda_image){0};
    if (!read) return refuse_other(source);
    soda_status s = read(source, pixels, image, &orientation);
    if (s == SODA_OK && orientation != 1) s = image_turn(source, orientation, image);
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
