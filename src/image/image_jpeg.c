/* JPEG by libjpeg. Its errors jump: only frames of libjpeg lie between a jump and its target. */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "image/image_orientation.h"

/* Progressive files have about ten scans; each goes over the whole picture. */
enum { MOST_SCANS = 100 };

typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    bool one_scan; /* every row is whole as soon as it is decoded */
    bool no_end;   /* libjpeg met the end of the file and made up the marker */
    char why[JMSG_LENGTH_MAX];
} reader;

static void on_error(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    r->errors.format_message(jpeg, r->why);
    longjmp(r->jump, 1);
}

/* Level -1 is a warning. libjpeg would go on with grey where data is missing: soda does not. The
 * end of a file with one scan is no such place: if bits are missing, JWRN_HIT_MARKER follows. */
static void on_message(j_common_ptr jpeg, int level)
{
    reader *r = jpeg->client_data;
    const int code = jpeg->err->msg_code;
    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
        code == JWRN_ADOBE_XFORM)
        return; /* the picture is whole all the same */
    if (code != JWRN_JPEG_EOF || !r->one_scan) on_error(jpeg);
    r->no_end = true;
}

static void on_progress(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    if (r->jpeg.input_scan_number <= MOST_SCANS) return;
    snprintf(r->why, sizeof r->why, "more than %d scans", MOST_SCANS);
    longjmp(r->jump, 1);
}

static bool read_header(reader *r, const image_source *source)
{
    if (setjmp(r->jump)) return false;
    jpeg_create_decompress(&r->jpeg);
    jpeg_mem_src(&r->jpeg, source->bytes, source->size);
    jpeg_save_markers(&r->jpeg, JPEG_APP0 + 1, 0xffff); /* EXIF */
    jpeg_read_header(&r->jpeg, TRUE);
    return true;
}

/* a b / 255, rounded, as Pillow's MULDIV255. */
static int multiply(int a, int b)
{
    const int t = a * b + 128;
    return ((t >> 8) + t) >> 8;
}

/* Pillow takes every CMYK file for an inverted one, as Adobe writes them; each channel times black.
 */
static void cmyk_to_rgb(const uint8_t *cmyk, int64_t count, uint8_t *rgb)
{
    for (int64_t i = 0; i < count; i++) {
        const int light = cmyk[4 * i + 3];
        for (int c = 0; c < 3; c++)
            rgb[3 * i + c] = (uint8_t)(light - multiply(255 - cmyk[4 * i + c], light));
    }
}

/* `cmyk` has room for one row of CMYK; NULL for the other colour spaces. */
static bool read_rows(reader *r, uint8_t *rgb, uint8_t *cmyk)
{
    if (setjmp(r->jump)) return false;
    r->progress.progress_monitor = on_progress;
    r->jpeg.progress = &r->progress;
    r->jpeg.out_color_space = cmyk ? JCS_CMYK : JCS_RGB;
    r->one_scan = !jpeg_has_multiple_scans(&r->jpeg) && !r->jpeg.arith_code; /* which warns less */
    jpeg_start_decompress(&r->jpeg);
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        uint8_t *to = rgb + (size_t)r->jpeg.output_scanline * r->jpeg.output_width * 3;
        JSAMPROW row = cmyk ? cmyk : to;
        jpeg_read_scanlines(&r->jpeg, &row, 1);
        if (cmyk) cmyk_to_rgb(cmyk, r->jpeg.output_width, to);
    }
    jpeg_finish_decompress(&r->jpeg);
    return true;
}

/* The EXIF or XMP data among the APP1 markers. */
static image_part find_marker(const reader *r, const char *name, size_t length)
{
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next)
        if (m->data_length >= length && !memcmp(m->data, name, length))
            return (image_part){m->data + length, m->data_length - length};
    return (image_part){0};
}

static int orientation_of(const reader *r)
{
    static const char exif[] = "Exif\0", xmp[] = "http://ns.adobe.com/xap/1.0/";
    return image_orientation(find_marker(r, exif, sizeof exif), find_marker(r, xmp, sizeof xmp));
}

static soda_status read_image(reader *r, const image_source *source, bool pixels, soda_image *image,
                              int *orientation)
{
    if (!read_header(r, source)) return image_damaged(source, "JPEG", r->why);
    const J_COLOR_SPACE space = r->jpeg.jpeg_color_space;
    const bool is_cmyk = space == JCS_CMYK || space == JCS_YCCK;
    if (space != JCS_GRAYSCALE && space != JCS_YCbCr && space != JCS_RGB && !is_cmyk)
        return FAIL(
            SODA_ERR_UNSUPPORTED,
            "%s: expected a JPEG file in RGB, grey, CMYK or YCCK, found another colour space",
            source->file);
    image->width = r->jpeg.image_width;
    image->height = r->jpeg.image_height;
    *orientation = orientation_of(r);
    TRY(image_prepare(source, pixels, image));
    if (!pixels) return SODA_OK;
    uint8_t *cmyk = is_cmyk ? malloc((size_t)image->width * 4) : NULL;
    if (is_cmyk && !cmyk) return image_no_memory(source);
    const bool read = read_rows(r, image->rgb, cmyk);
    free(cmyk);
    image->no_end = r->no_end;
    return read ? SODA_OK : image_damaged(source, "JPEG", r->why);
}

soda_status image_jpeg_read(const image_source *source, bool pixels, soda_image *image,
                            int *orientation)
{
    reader *r = calloc(1, sizeof *r); /* not on the stack: a jump keeps no local that changed */
    if (!r) return image_no_memory(source);
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    const soda_status s = read_image(r, source, pixels, image, orientation);
    jpeg_destroy_decompress(&r->jpeg); /* does nothing if it was never created */
    free(r);
    return s;
}
