/* PNG by libpng. Its errors jump: only frames of libpng lie between a jump and its target. */
#include <png.h>
#include <setjmp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_orientation.h"

typedef struct {
    png_structp png;
    png_infop info;
    const image_source *source;
    size_t at; /* the next byte of the source */
    png_bytepp rows;
    bool has_rows, ended; /* all rows are decoded; libpng wanted more than there is */
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
    r->ended = bytes > r->source->size - r->at;
    if (r->ended) png_error(png, "unexpected end of the file");
    memcpy(to, r->source->bytes + r->at, bytes);
    r->at += bytes;
}

/* False, with r->why, if libpng gave up. */
static bool read_header(reader *r)
{
    if (setjmp(png_jmpbuf(r->png))) return false;
    png_set_read_fn(r->png, r, on_read);
    png_read_info(r->png, r->info);
    png_set_palette_to_rgb(r->png);
    png_set_expand_gray_1_2_4_to_8(r->png);
    png_set_gray_to_rgb(r->png);
    png_set_strip_16(r->png);
    png_set_strip_alpha(r->png); /* and tRNS is not looked at */
    png_set_interlace_handling(r->png);
    png_read_update_info(r->png, r->info);
    return true;
}

/* Whether libpng gave up for want of what follows the pixels and their checksum. */
static bool lacks_end(const reader *r)
{
    static const png_uint_32 pixels = 0x49444154; /* IDAT */
    return r->has_rows && r->ended &&
           (png_get_io_chunk_type(r->png) != pixels ||
            (png_get_io_state(r->png) & PNG_IO_MASK_LOC) == PNG_IO_CHUNK_HDR);
}

static bool read_rows(reader *r)
{
    if (setjmp(png_jmpbuf(r->png))) return lacks_end(r);
    png_read_image(r->png, r->rows);
    r->has_rows = true;
    png_read_end(r->png, NULL);
    return true;
}

static soda_status read_pixels(reader *r, soda_image *image)
{
    const size_t w = (size_t)image->width, h = (size_t)image->height;
    if (png_get_rowbytes(r->png, r->info) != 3 * w)
        return image_damaged(r->source, "PNG", "its rows have an unexpected length");
    r->rows = malloc(h * sizeof *r->rows);
    if (!r->rows) return image_no_memory(r->source);
    for (size_t y = 0; y < h; y++) r->rows[y] = image->rgb + y * w * 3;
    const bool read = read_rows(r);
    free(r->rows);
    image->no_end = r->ended;
    return read ? SODA_OK : image_damaged(r->source, "PNG", r->why);
}

/* ---- orientation ---- */

/* The next chunk from *at (PNG 1.2, 3.2); false at the end. */
static bool next_chunk(const image_source *source, size_t *at, const uint8_t **name,
                       image_part *data)
{
    if (source->size - *at < 12) return false;
    const uint8_t *chunk = source->bytes + *at;
    const size_t bytes =
        (size_t)chunk[0] << 24 | (size_t)chunk[1] << 16 | (size_t)chunk[2] << 8 | chunk[3];
    if (bytes > source->size - *at - 12) return false;
    *name = chunk + 4;
    *data = (image_part){chunk + 8, bytes};
    *at += 12 + bytes;
    return true;
}

/* eXIf, and XMP in an iTXt chunk that is not compressed; both may stand behind the pixels, which
 * libpng's header does not reach. */
static void find_parts(const image_source *source, image_part *exif, image_part *xmp)
{
    static const char keyword[] = "XML:com.adobe.xmp\0"; /* and: not compressed */
    const uint8_t *name;
    image_part data;
    for (size_t at = 8; next_chunk(source, &at, &name, &data);) {
        if (!memcmp(name, "eXIf", 4)) *exif = data;
        if (!memcmp(name, "iTXt", 4) && data.size > sizeof keyword &&
            !memcmp(data.bytes, keyword, sizeof keyword))
            *xmp = data;
    }
}

static int hex_digit(char c)
{
    return c >= '0' && c <= '9' ? c - '0' : c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* ImageMagick's older way: a text of a line feed, the name, the length, then lines of hexadecimal
 * digits. Returns the bytes of `to` that were written. */
static size_t read_hex(const char *text, uint8_t *to, size_t room)
{
    size_t digits = 0;
    for (int line = 0; line < 3 && text; line++) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    for (; text && *text && digits < 2 * room; text++) {
        const int digit = hex_digit(*text);
        if (digit < 0) continue;
        to[digits / 2] = (uint8_t)(digits % 2 ? to[digits / 2] << 4 | digit : digit);
        digits++;
    }
    return digits / 2;
}

static int orientation_of(const reader *r)
{
    enum { MOST_EXIF = 1 << 16 };
    image_part exif = {0}, xmp = {0};
    uint8_t *hex = NULL;
    png_textp text;
    int texts = 0;
    find_parts(r->source, &exif, &xmp);
    png_get_text(r->png, r->info, &text, &texts);
    for (int i = 0; i < texts && !exif.bytes; i++)
        if (!strcmp(text[i].key, "Raw profile type exif") && (hex = malloc(MOST_EXIF)))
            exif = (image_part){hex, read_hex(text[i].text, hex, MOST_EXIF)};
    for (int i = 0; i < texts && !xmp.bytes; i++)
        if (!strcmp(text[i].key, "XML:com.adobe.xmp") && text[i].text)
            xmp = (image_part){(const uint8_t *)text[i].text, strlen(text[i].text)};
    const int found = image_orientation(exif, xmp);
    free(hex);
    return found;
}

soda_status image_png_read(const image_source *source, bool pixels, soda_image *image,
                           int *orientation)
{
    reader r = {.source = source};
    soda_status s = SODA_OK;
    r.png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &r, on_error, on_warning);
    if (r.png) r.info = png_create_info_struct(r.png);
    if (!r.info) {
        s = image_no_memory(source);
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
    *orientation = orientation_of(&r);
    TRY_TO(done, image_prepare(source, pixels, image));
    if (pixels) TRY_TO(done, read_pixels(&r, image));
done:
    png_destroy_read_struct(&r.png, &r.info, NULL);
    return s;
}
