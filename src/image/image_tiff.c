/* The first picture of a TIFF file, by libtiff's RGBA interface; where that rounds or multiplies
 * otherwise than Pillow, its tables are replaced. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <tiffio.h>

#include "image/image_orientation.h"

typedef struct {
    const image_source *source;
    size_t at;
    char why[160];
} reader;

/* For all of libtiff: it passes the file's own data on. */
static void on_error(thandle_t data, const char *module, const char *format, va_list values)
{
    reader *r = data;
    (void)module;
    if (r && !r->why[0]) vsnprintf(r->why, sizeof r->why, format, values);
}

__attribute__((constructor)) static void set_handlers(void)
{
    TIFFSetErrorHandler(NULL);
    TIFFSetWarningHandler(NULL);
    TIFFSetErrorHandlerExt(on_error);
}

static tmsize_t on_read(thandle_t data, void *to, tmsize_t bytes)
{
    reader *r = data;
    const size_t left = r->at < r->source->size ? r->source->size - r->at : 0;
    const size_t count = (size_t)bytes < left ? (size_t)bytes : left;
    memcpy(to, r->source->bytes + (count ? r->at : 0), count);
    r->at += count;
    return (tmsize_t)count;
}

static tmsize_t on_write(thandle_t data, void *from, tmsize_t bytes)
{
    (void)data, (void)from, (void)bytes;
    return 0;
}

static toff_t on_seek(thandle_t data, toff_t offset, int whence)
{
    reader *r = data;
    const size_t from = whence == SEEK_SET ? 0 : whence == SEEK_CUR ? r->at : r->source->size;
    r->at = from + (size_t)offset;
    return r->at;
}

static int on_close(thandle_t data)
{
    (void)data;
    return 0;
}

static toff_t on_size(thandle_t data) { return ((reader *)data)->source->size; }

/* libtiff 4.5 refuses tiles that are not compressed and whose bytes are no multiple of 1024, unless
 * the file is mapped. The bytes are only read. */
static int on_map(thandle_t data, void **bytes, toff_t *size)
{
    const image_source *source = ((reader *)data)->source;
    *bytes = (void *)(uintptr_t)source->bytes;
    *size = source->size;
    return 1;
}

static void on_unmap(thandle_t data, void *bytes, toff_t size)
{
    (void)data, (void)bytes, (void)size;
}

static soda_status damaged(const reader *r)
{
    return image_damaged(r->source, "TIFF", r->why[0] ? r->why : "its header cannot be read");
}

/* a b / 255, rounded, as Pillow's MULDIV255. */
static int multiply(int a, int b)
{
    const int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* CMYK of 8 bits as Pillow converts it: each channel times black. */
static void put_cmyk(TIFFRGBAImage *image, uint32_t *to, uint32_t x, uint32_t y, uint32_t w,
                     uint32_t h, int32_t from_skew, int32_t to_skew, unsigned char *from)
{
    (void)x, (void)y;
    const int samples = image->samplesperpixel;
    for (uint32_t row = 0; row < h; row++) {
        for (uint32_t i = 0; i < w; i++, from += samples) {
            const int light = 255 - from[3];
            uint32_t pixel = 0xff;
            for (int c = 2; c >= 0; c--)
                pixel = pixel << 8 | (uint32_t)(light - multiply(from[c], light));
            *to++ = pixel;
        }
        to += to_skew;
        from += from_skew * samples;
    }
}

/* Palettes of 16 bits are cut to their upper half, whatever the rest. */
static void cut_palette(TIFF *tiff)
{
    uint16_t bits = 0, photometric = 0, *map[3], *cut[3];
    TIFFGetField(tiff, TIFFTAG_BITSPERSAMPLE, &bits);
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    if (photometric != PHOTOMETRIC_PALETTE || bits > 8 ||
        !TIFFGetField(tiff, TIFFTAG_COLORMAP, &map[0], &map[1], &map[2]))
        return;
    const size_t count = (size_t)1 << bits;
    uint16_t most = 0, *all = malloc(3 * count * sizeof *all);
    if (!all) return; /* colours are then rounded otherwise by 1 */
    for (size_t i = 0; i < 3 * count; i++) {
        const uint16_t value = map[i / count][i % count];
        if (value > most) most = value;
        all[i] = (uint16_t)((value >> 8) * 257);
    }
    for (int c = 0; c < 3; c++) cut[c] = all + (size_t)c * count;
    if (most >= 256) TIFFSetField(tiff, TIFFTAG_COLORMAP, cut[0], cut[1], cut[2]);
    free(all);
}

/* Takes the alpha of RGBA pictures for a channel without meaning, so that colours come as stored;
 * true if they were multiplied by it. */
static bool ignore_alpha(TIFF *tiff)
{
    uint16_t count = 0, *kinds = NULL, first;
    TIFFGetFieldDefaulted(tiff, TIFFTAG_EXTRASAMPLES, &count, &kinds);
    if (count == 0 || !kinds) return false;
    first = kinds[0];
    uint16_t *none = calloc(count, sizeof *none);
    if (none) TIFFSetField(tiff, TIFFTAG_EXTRASAMPLES, count, none);
    free(none);
    return first == EXTRASAMPLE_ASSOCALPHA;
}

static void copy_pixels(const uint32_t *raster, bool multiplied, soda_image *image)
{
    for (int64_t i = 0; i < image->width * image->height; i++) {
        const uint32_t alpha = TIFFGetA(raster[i]);
        for (int c = 0; c < 3; c++) {
            uint32_t value = raster[i] >> (8 * c) & 255;
            if (multiplied && alpha > 0 && alpha < 255) value = 255 * value / alpha;
            image->rgb[3 * i + c] = (uint8_t)(value > 255 ? 255 : value);
        }
    }
}

static soda_status read_pixels(reader *r, TIFF *tiff, soda_image *image)
{
    char why[1024] = "";
    TIFFRGBAImage rgba;
    uint32_t *raster = malloc((size_t)(image->width * image->height) * sizeof *raster);
    soda_status s = SODA_OK;
    if (!raster) return image_no_memory(r->source);
    cut_palette(tiff);
    const bool multiplied = ignore_alpha(tiff);
    if (!TIFFRGBAImageOK(tiff, why) || !TIFFRGBAImageBegin(&rgba, tiff, 1, why)) {
        s = FAIL(SODA_ERR_UNSUPPORTED,
                 "%s: expected a TIFF file with 1 to 16 bits per channel, found one that libtiff "
                 "does not convert: %s",
                 r->source->file, why);
        goto done;
    }
    rgba.orientation = rgba.req_orientation = ORIENTATION_TOPLEFT; /* turned by image.c */
    for (int i = 0; rgba.Bitdepth16To8 && i < 65536; i++) rgba.Bitdepth16To8[i] = (uint8_t)(i >> 8);
    if (rgba.photometric == PHOTOMETRIC_SEPARATED && rgba.isContig && rgba.bitspersample == 8 &&
        rgba.samplesperpixel >= 4)
        rgba.put.contig = put_cmyk;
    if (!TIFFRGBAImageGet(&rgba, raster, (uint32_t)image->width, (uint32_t)image->height))
        s = damaged(r);
    TIFFRGBAImageEnd(&rgba);
    if (s == SODA_OK) copy_pixels(raster, multiplied, image);
done:
    free(raster);
    return s;
}

/* libtiff and Pillow make other colours of CIELab. */
static soda_status check_colours(const reader *r, TIFF *tiff)
{
    uint16_t photometric = 0;
    TIFFGetField(tiff, TIFFTAG_PHOTOMETRIC, &photometric);
    if (photometric != PHOTOMETRIC_CIELAB) return SODA_OK;
    return FAIL(
        SODA_ERR_UNSUPPORTED,
        "%s: expected a TIFF file in RGB, grey, CMYK, YCbCr or with a palette, found one in "
        "CIELab: convert it to RGB",
        r->source->file);
}

static int orientation_of(TIFF *tiff)
{
    uint16_t tag = 0;
    uint32_t bytes = 0;
    void *packet = NULL;
    image_part xmp = {0};
    if (TIFFGetField(tiff, TIFFTAG_ORIENTATION, &tag)) return tag >= 1 && tag <= 8 ? tag : 1;
    if (TIFFGetField(tiff, TIFFTAG_XMLPACKET, &bytes, &packet)) xmp = (image_part){packet, bytes};
    return image_orientation((image_part){0}, xmp);
}

soda_status image_tiff_read(const image_source *source, bool pixels, soda_image *image,
                            int *orientation)
{
    reader r = {.source = source};
    uint32_t width = 0, height = 0;
    TIFF *tiff = TIFFClientOpen("", "r", &r, on_read, on_write, on_seek, on_close, on_size, on_map,
                                on_unmap);
    if (!tiff) return damaged(&r);
    TIFFGetField(tiff, TIFFTAG_IMAGEWIDTH, &width);
    TIFFGetField(tiff, TIFFTAG_IMAGELENGTH, &height);
    image->width = width;
    image->height = height;
    *orientation = orientation_of(tiff);
    soda_status s = check_colours(&r, tiff);
    if (s == SODA_OK) s = image_prepare(source, pixels, image);
    if (s == SODA_OK && pixels) s = read_pixels(&r, tiff, image);
    TIFFClose(tiff);
    return s;
}
