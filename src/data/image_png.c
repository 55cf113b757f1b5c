/* PNG by libpng. Its errors jump: only frames of libpng lie between a jump and its target. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/image_formats.h"

typedef struct {
    png_structp png;
    png_infop info;
    const image_source *source;
    size_t at; /* the next byte of the source */
    png_bytepp rows;
    char why[160];
} reader;

static void on_error(png_structp png, png_const_charp message)
{
    reader *r = png_get_error_ptr(png);
    snprintf(r->why, sizeof r->why, "%s", message);
    png_longjmp(png, 1);
}

/* libpng warns of what does not change the picture, such as a damaged text chunk. */
static void on_warning(png_structp png, png_const_charp message) { (void)png, (void)message; }

static void on_read(png_structp png, png_bytep to, size_t bytes)
{
    reader *r = png_get_io_ptr(png);
    if (bytes > r->source->size - r->at) png_error(png, "unexpected end of the file");
    memcpy(to, r->source->bytes + r->at, bytes);
    r->at += bytes;
}

/* False, with r->why, if libpng gave up. */
static bool read_header(reader *r)
{
    if (setjmp(png_jmpbuf(r->png))) return false;
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    png_set_expand(r->png); /* palettes, fewer than 8 bits, tRNS */
    png_set_scale_16(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return true;
}

static bool read_rows(reader *r)
{
    if (setjmp(png_jmpbuf(r->png))) return false;
    png_read_image(r->png, r->rows);
    png_read_end(r->png, NULL);
    return true;
}

static soda_status read_pixels(reader *r, soda_image *image)
{
    const size_t w = (size_t)image->width, h = (size_t)image->height;
    const size_t channels = png_get_channels(r->png, r->info);
    soda_status s = SODA_OK;
    uint8_t *rgba = channels == 4 ? malloc(w * h * 4) : NULL;
    r->rows = malloc(h * sizeof *r->rows);
    if (!r->rows || (channels == 4 && !rgba)) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for %zux%zu pixels", r->source->file, w, h);
        goto done;
    }
    for (size_t y = 0; y < h; y++) r->rows[y] = rgba ? rgba + y * w * 4 : image->rgb + y * w * 3;
    if (!read_rows(r))
        s = image_damaged(r->source, "PNG", r->why);
    else if (rgba)
        image_on_white(rgba, image->rgb, image->width * image->height);
done:
    free(r->rows);
    free(rgba);
    return s;
}

soda_status image_png_read(const image_source *source, bool pixels, soda_image *image)
{
    reader r = {.source = source};
    soda_status s = SODA_OK;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    if (r.png) r.info = png_create_info_struct(r.png);
    if (!r.info) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for the PNG decoder", source->file);
        goto done;
    }
    /* larger sides are for image_prepare to refuse, in its words */
    png_set_user_limits(r.png, PNG_UINT_31_MAX, PNG_UINT_31_MAX);
    if (!read_header(&r)) {
        s = image_damaged(source, "PNG", r.why);
        goto done;
    }
    image->width = png_get_image_width(r.png, r.info);
    image->height = png_get_image_height(r.png, r.info);
    TRY_TO(done, image_prepare(source, pixels, image));
    if (pixels) TRY_TO(done, read_pixels(&r, image));
done:
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return s;
}
