#include "image/image_orientation.h"

#include <stdlib.h>
#include <string.h>

static uint32_t number(const uint8_t *at, int bytes, bool big_endian)
{
    uint32_t value = 0;
    for (int i = 0; i < bytes; i++) value = value << 8 | at[big_endian ? i : bytes - 1 - i];
    return value;
}

/* Tag 0x112 of the first directory (Exif 2.3, 4.5.4 and 4.6.4), a BYTE, SHORT or LONG; 0 if there
 * is none. */
static int exif_orientation(const uint8_t *data, size_t bytes)
{
    enum { ENTRY = 12, ORIENTATION = 0x112 };
    static const int sizes[] = {0, 1, 0, 2, 4};
    while (bytes >= 6 && !memcmp(data, "Exif\0", 6)) data += 6, bytes -= 6;
    if (bytes < 8 || (memcmp(data, "II*", 4) != 0 && memcmp(data, "MM\0*", 4) != 0)) return 0;
    const bool big = data[0] == 'M';
    const size_t directory = number(data + 4, 4, big);
    if (directory > bytes - 2) return 0;
    const size_t entries = number(data + directory, 2, big);
    for (size_t i = 0; i < entries; i++) {
        const size_t at = directory + 2 + i * ENTRY;
        if (at + ENTRY > bytes) return 0;
        if (number(data + at, 2, big) != ORIENTATION) continue;
        const uint32_t type = number(data + at + 2, 2, big);
        if (type > 4 || sizes[type] == 0) return 0;
        const uint32_t value = number(data + at + 8, sizes[type], big);
        return value >= 1 && value <= 8 ? (int)value : 1;
    }
    return 0;
}

/* The first tiff:Orientation="N" or <tiff:Orientation>N, as Pillow looks for it; 0 if there is
 * none.
 */
static int xmp_orientation(const uint8_t *data, size_t bytes)
{
    static const char *const starts[] = {"tiff:Orientation=\"", "tiff:Orientation>"};
    const uint8_t *first = NULL;
    for (int i = 0; i < 2; i++) {
        const size_t length = strlen(starts[i]);
        const uint8_t *found = memmem(data, bytes, starts[i], length);
        if (!found || (first && first < found + length)) continue;
        first = found + length;
    }
    if (!first || first >= data + bytes || *first < '0' || *first > '9') return 0;
    return *first >= '1' && *first <= '8' ? *first - '0' : 1;
}

int image_orientation(image_part exif, image_part xmp)
{
    int found = exif.bytes ? exif_orientation(exif.bytes, exif.size) : 0;
    if (found == 0 && xmp.bytes) found = xmp_orientation(xmp.bytes, xmp.size);
    return found ? found : 1;
}

soda_status image_turn(const image_source *source, int how, soda_image *image)
{
    const bool swap = how >= 5, mirror_x = how == 2 || how == 3 || how == 7 || how == 8;
    const bool mirror_y = how == 3 || how == 4 || how == 6 || how == 7;
    const int64_t w = image->width, h = image->height;
    soda_image turned = {.width = swap ? h : w, .height = swap ? w : h, .no_end = image->no_end};
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
