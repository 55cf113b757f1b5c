/* JPEG by libjpeg. Its errors jump: only frames of libjpeg lie between a jump and its target. */
#include <setjmp.h>
#include <stdio.h> /* before jpeglib.h, which needs FILE */
#include <stdlib.h>
#include <string.h>

#include <jerror.h>
#include <jpeglib.h>

#include "data/image_formats.h"

/* Progressive files have about ten scans; each goes over the whole picture. */
enum { MOST_SCANS = 100 };

typedef struct {
    struct jpeg_decompress_struct jpeg;
    struct jpeg_error_mgr errors;
    struct jpeg_progress_mgr progress;
    jmp_buf jump;
    char why[JMSG_LENGTH_MAX];
} reader;

static void on_error(j_common_ptr jpeg)
{
    reader *r = jpeg->client_data;
    r->errors.format_message(jpeg, r->why);
    longjmp(r->jump, 1);
}

/* Level -1 is a warning. libjpeg would go on with grey where data is missing: soda does not. */
static void on_message(j_common_ptr jpeg, int level)
{
    const int code = jpeg->err->msg_code;
    if (level >= 0 || code == JWRN_EXTRANEOUS_DATA || code == JWRN_JFIF_MAJOR ||
        code == JWRN_ADOBE_XFORM)
        return; /* the picture is whole all the same */
    on_error(jpeg);
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

static bool read_rows(reader *r, uint8_t *rgb)
{
    if (setjmp(r->jump)) return false;
    r->progress.progress_monitor = on_progress;
    r->jpeg.progress = &r->progress;
    r->jpeg.out_color_space = JCS_RGB;
    jpeg_start_decompress(&r->jpeg);
    while (r->jpeg.output_scanline < r->jpeg.output_height) {
        JSAMPROW row = rgb + (size_t)r->jpeg.output_scanline * r->jpeg.output_width * 3;
        jpeg_read_scanlines(&r->jpeg, &row, 1);
    }
    jpeg_finish_decompress(&r->jpeg);
    return true;
}

static uint32_t number(const uint8_t *at, int bytes, bool big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

/* Tag 0x112 of the first directory of an EXIF marker (Exif 2.3, 4.5.4 and 4.6.4): 1 to 8, and 1 if
 * there is none or it makes no sense. */
static int exif_orientation(const uint8_t *data, size_t bytes)
{
    enum { ENTRY = 12, ORIENTATION = 0x112, SHORT = 3 };
    if (bytes < 14 || memcmp(data, "Exif\0", 6) != 0) return 1;
    data += 6, bytes -= 6;
    const bool big = data[0] == 'M';
    const size_t directory = number(data + 4, 4, big);
    if (directory > bytes - 2) return 1;
    const size_t entries = number(data + directory, 2, big);
    for (size_t i = 0; i < entries; i++) {
        const size_t at = directory + 2 + i * ENTRY;
        if (at + ENTRY > bytes) return 1;
        if (number(data + at, 2, big) != ORIENTATION) continue;
        const uint32_t value = number(data + at + 8, 2, big);
        return number(data + at + 2, 2, big) == SHORT && value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 1;
}

static int orientation_of(const reader *r)
{
    for (jpeg_saved_marker_ptr m = r->jpeg.marker_list; m; m = m->next) {
        const int found = exif_orientation(m->data, m->data_length);
        if (found != 1) return found;
    }
    return 1;
}

/* Turns the picture as orientation `how` asks; from 5 on, width and height change places. */
static soda_status turn(const image_source *source, int how, soda_image *image)
{
    const bool swap = how >= 5, mirror_x = how == 2 || how == 3 || how == 7 || how == 8;
    const bool mirror_y = how == 3 || how == 4 || how == 6 || how == 7;
    const int64_t w = image->width, h = image->height;
    soda_image turned = {.width = swap ? h : w, .height = swap ? w : h};
    TRY(image_prepare(source, image->rgb != NULL, &turned));
    for (int64_t y = 0; turned.rgb && y < turned.height; y++)
        for (int64_t x = 0; x < turned.width; x++) {
            const int64_t u = swap ? y : x, v = swap ? x : y;
            const int64_t from = (mirror_y ? h - 1 - v : v) * w + (mirror_x ? w - 1 - u : u);
            memcpy(turned.rgb + 3 * (y * turned.width + x), image->rgb + 3 * from, 3);
        }
    free(image->rgb);
    *image = turned;
    return SODA_OK;
}

static soda_status read_image(reader *r, const image_source *source, bool pixels, soda_image *image)
{
    if (!read_header(r, source)) return image_damaged(source, "JPEG", r->why);
    const J_COLOR_SPACE space = r->jpeg.jpeg_color_space;
    if (space != JCS_GRAYSCALE && space != JCS_YCbCr && space != JCS_RGB)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: expected a JPEG file in RGB or grey, found CMYK or another colour space",
                    source->file);
    image->width = r->jpeg.image_width;
    image->height = r->jpeg.image_height;
    TRY(image_prepare(source, pixels, image));
    const int how = orientation_of(r);
    if (pixels && !read_rows(r, image->rgb)) return image_damaged(source, "JPEG", r->why);
    if (how != 1) TRY(turn(source, how, image));
    return SODA_OK;
}

soda_status image_jpeg_read(const image_source *source, bool pixels, soda_image *image)
{
    reader *r = calloc(1, sizeof *r); /* not on the stack: a jump keeps no local that changed */
    if (!r) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the JPEG decoder", source->file);
    r->jpeg.err = jpeg_std_error(&r->errors);
    r->jpeg.client_data = r;
    r->errors.error_exit = on_error;
    r->errors.emit_message = on_message;
    const soda_status s = read_image(r, source, pixels, image);
    jpeg_destroy_decompress(&r->jpeg); /* fine even if it was never created */
    free(r);
    return s;
}
