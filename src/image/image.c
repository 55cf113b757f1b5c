#include "image/image.h"

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
        {0, "GIF87a", image_gif_read},
        {0, "GIF89a", image_gif_read},
        {0, "BM", image_bmp_read},
        {0, "II*", image_tiff_read},
        {0, "II+", image_tiff_read}, /* BigTIFF */
        {0, "MM", image_tiff_read},  /* its third byte is a zero */
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
    int orientation = 1;
    *image = (soda_image){0};
    if (!read)
        return file_kind_refuse(source->bytes, source->size, source->file,
                                "a PNG, JPEG, WebP, GIF, BMP or TIFF picture");
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
