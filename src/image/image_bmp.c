/* BMP. Own code: no library of Debian reads BMP alone, and the format is a header and rows.
 *
 * The layouts that Pillow 13 reads: 1, 4, 8, 16, 24 and 32 bits, RLE4, RLE8, bit fields; headers of
 * OS/2 1 (12 bytes) to Windows 5 (124). Alpha is dropped. */
#include <stdlib.h>
#include <string.h>

#include "image/image_formats.h"

enum { FILE_HEADER = 14, RAW = 0, RLE8 = 1, RLE4 = 2, BITFIELDS = 3, ALPHA_BITFIELDS = 6 };

typedef struct {
    const image_source *source;
    int64_t width, height;
    bool top_down;
    int bits, compression;
    size_t pixels_at;
    uint32_t mask[3];
    uint8_t palette[256][3]; /* RGB */
} bmp;

static uint32_t number(const bmp *b, size_t at, int bytes)
{
    uint32_t value = 0;
    for (int i = bytes - 1; i >= 0; i--) value = value << 8 | b->source->bytes[at + (size_t)i];
    return value;
}

static soda_status damaged(const bmp *b, const char *why)
{
    return image_damaged(b->source, "BMP", why);
}

/* Where the palette stands and how many bytes a colour of it has. */
typedef struct {
    size_t at, colours;
    int bytes;
} palette_place;

static soda_status read_sides(bmp *b, size_t header, palette_place *palette)
{
    const size_t base = FILE_HEADER;
    const bool old = header == 12;
    const int32_t height = old ? (int32_t)number(b, base + 6, 2) : (int32_t)number(b, base + 8, 4);
    b->width = old ? (int64_t)number(b, base + 4, 2) : (int32_t)number(b, base + 4, 4);
    b->top_down = height < 0;
    b->height = height < 0 ? -(int64_t)height : height;
    b->bits = (int)number(b, base + (old ? 10 : 14), 2);
    b->compression = old ? RAW : (int)number(b, base + 16, 4);
    palette->colours = old ? 0 : number(b, base + 32, 4);
    palette->bytes = old ? 3 : 4;
    palette->at = base + header;
    if (palette->colours == 0 && b->bits <= 8) palette->colours = (size_t)1 << b->bits;
    return SODA_OK;
}

static soda_status read_masks(bmp *b, size_t header, palette_place *palette)
{
    static const uint32_t fifteen[] = {0x7c00, 0x3e0, 0x1f}, full[] = {0xff0000, 0xff00, 0xff};
    memcpy(b->mask, b->bits == 16 ? fifteen : full, sizeof b->mask);
    if (b->compression != BITFIELDS && b->compression != ALPHA_BITFIELDS) return SODA_OK;
    const size_t at = FILE_HEADER + 40;
    if (b->source->size < at + 12) return damaged(b, "it ends within its header");
    for (int i = 0; i < 3; i++) b->mask[i] = number(b, at + 4 * (size_t)i, 4);
    if (header == 40) palette->at += b->compression == BITFIELDS ? 12 : 16;
    if (!b->mask[0] && !b->mask[1] && !b->mask[2]) memcpy(b->mask, full, sizeof full);
    return SODA_OK;
}

static soda_status check_layout(const bmp *b)
{
    const int bits = b->bits, c = b->compression;
    const bool fields = c == BITFIELDS || c == ALPHA_BITFIELDS;
    const bool known = (c == RAW && (bits == 1 || bits == 4 || bits == 8 || bits == 16 ||
                                     bits == 24 || bits == 32)) ||
                       (c == RLE8 && bits == 8) || (c == RLE4 && bits == 4) ||
                       (fields && (bits == 16 || bits == 24 || bits == 32));
    if (known) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "%s: expected a BMP file of 1, 4, 8, 16, 24 or 32 bits, found %d bits with "
                "compression %d",
                b->source->file, bits, c);
}

static soda_status read_header(bmp *b)
{
    const size_t size = b->source->size;
    palette_place palette;
    if (size < FILE_HEADER + 12) return damaged(b, "it ends within its header");
    const size_t header = number(b, FILE_HEADER, 4);
    if (header != 12 && header != 40 && header != 52 && header != 56 && header != 64 &&
        header != 108 && header != 124)
        return damaged(b, "the size of its header is none that is known");
    if (size < FILE_HEADER + header) return damaged(b, "it ends within its header");
    TRY(read_sides(b, header, &palette));
    TRY(check_layout(b));
    TRY(read_masks(b, header, &palette));
    for (size_t i = 0; i < 256; i++) {
        const size_t at = palette.at + i * (size_t)palette.bytes;
        if (b->bits > 8 || i >= palette.colours) break;
        if (at + 3 > size) return damaged(b, "it ends within its palette");
        for (size_t c = 0; c < 3; c++) b->palette[i][c] = b->source->bytes[at + 2 - c];
    }
    b->pixels_at = number(b, 10, 4);
    if (b->pixels_at == 0) b->pixels_at = palette.at + palette.colours * (size_t)palette.bytes;
    return SODA_OK;
}

/* The bits of `value` under `mask`, as 8 bits: the highest eight, or scaled up. */
static uint8_t channel(uint32_t value, uint32_t mask)
{
    if (mask == 0) return 0;
    const int shift = __builtin_ctz(mask);
    const uint32_t most = mask >> shift, part = (value & mask) >> shift;
    return (uint8_t)((uint64_t)part * 255 / most);
}

static void read_row(const bmp *b, const uint8_t *row, uint8_t *rgb)
{
    for (int64_t x = 0; x < b->width; x++) {
        const uint8_t *at = row + x * b->bits / 8;
        if (b->bits <= 8) {
            const int shift = 8 - b->bits - (int)(x * b->bits % 8);
            memcpy(rgb + 3 * x, b->palette[*at >> shift & ((1 << b->bits) - 1)], 3);
        } else {
            uint32_t value = 0;
            for (int i = b->bits / 8 - 1; i >= 0; i--) value = value << 8 | at[i];
            for (int c = 0; c < 3; c++) rgb[3 * x + c] = channel(value, b->mask[c]);
        }
    }
}

static soda_status read_raw(const bmp *b, soda_image *image)
{
    const size_t row = ((size_t)(b->width * b->bits) + 31) / 32 * 4;
    if (row == 0 || b->pixels_at > b->source->size ||
        (b->source->size - b->pixels_at) / row < (size_t)b->height)
        return damaged(b, "rows are missing");
    for (int64_t y = 0; y < b->height; y++)
        read_row(b, b->source->bytes + b->pixels_at + (size_t)y * row,
                 image->rgb + 3 * b->width * (b->top_down ? y : b->height - 1 - y));
    return SODA_OK;
}

/* The place of the next pixel of a run-length code, and where its bytes come from. */
typedef struct {
    const bmp *b;
    soda_image *image;
    size_t at;
    int64_t x, y; /* y from the bottom */
} run_reader;

static void put(run_reader *r, int index)
{
    if (r->x < r->b->width && r->y < r->b->height)
        memcpy(r->image->rgb + 3 * ((r->b->height - 1 - r->y) * r->b->width + r->x),
               r->b->palette[index], 3);
    r->x++;
}

/* `count` pixels as they stand, then up to an even number of bytes. */
static bool read_absolute(run_reader *r, int count)
{
    const int per_byte = r->b->compression == RLE4 ? 2 : 1;
    const size_t bytes = ((size_t)(count + per_byte - 1) / (size_t)per_byte + 1) / 2 * 2;
    if (r->b->source->size - r->at < bytes) return false;
    const uint8_t *from = r->b->source->bytes + r->at;
    for (int i = 0; i < count; i++)
        put(r, per_byte == 1 ? from[i] : i % 2 ? from[i / 2] & 15 : from[i / 2] >> 4);
    r->at += bytes;
    return true;
}

static soda_status read_runs(const bmp *b, soda_image *image)
{
    run_reader r = {.b = b, .image = image, .at = b->pixels_at};
    const uint8_t *bytes = b->source->bytes;
    for (int64_t i = 0; i < b->width * b->height; i++) memcpy(image->rgb + 3 * i, b->palette[0], 3);
    while (r.y < b->height) {
        if (r.at > b->source->size || b->source->size - r.at < 2)
            return damaged(b, "rows are missing");
        const int count = bytes[r.at], value = bytes[r.at + 1];
        r.at += 2;
        for (int i = 0; i < count; i++)
            put(&r, b->compression == RLE8 ? value : i % 2 ? value & 15 : value >> 4);
        if (count > 0) continue;
        if (value == 1) return SODA_OK;
        if (value == 0) {
            r.x = 0;
            r.y++;
        } else if (value == 2) {
            if (b->source->size - r.at < 2) return damaged(b, "rows are missing");
            r.x += bytes[r.at];
            r.y += bytes[r.at + 1];
            r.at += 2;
        } else if (!read_absolute(&r, value)) {
            return damaged(b, "rows are missing");
        }
    }
    return SODA_OK;
}

soda_status image_bmp_read(const image_source *source, bool pixels, soda_image *image,
                           int *orientation)
{
    bmp b = {.source = source};
    (void)orientation;
    TRY(read_header(&b));
    image->width = b.width;
    image->height = b.height;
    TRY(image_prepare(source, pixels, image));
    if (!pixels) return SODA_OK;
    return b.compression == RLE8 || b.compression == RLE4 ? read_runs(&b, image)
                                                          : read_raw(&b, image);
}
