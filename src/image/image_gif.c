/* The first frame of a GIF file, by giflib. */
#include <gif_lib.h>
#include <stdlib.h>
#include <string.h>

#include "image/image_formats.h"

typedef struct {
    const image_source *source;
    size_t at; /* the next byte of the source */
    GifFileType *gif;
    int transparent; /* index of the palette, -1 if none */
} reader;

static int on_read(GifFileType *gif, GifByteType *to, int bytes)
{
    reader *r = gif->UserData;
    const size_t left = r->source->size - r->at;
    const size_t count = (size_t)bytes < left ? (size_t)bytes : left;
    memcpy(to, r->source->bytes + r->at, count);
    r->at += count;
    return (int)count;
}

static soda_status damaged(const reader *r, int error)
{
    const char *why = GifErrorString(r->gif ? r->gif->Error : error);
    return image_damaged(r->source, "GIF", why ? why : "no picture in it");
}

/* Skips an extension, but for the transparent colour that it may tell. */
static bool read_extension(reader *r)
{
    int code;
    GifByteType *data;
    if (DGifGetExtension(r->gif, &code, &data) != GIF_OK) return false;
    if (code == GRAPHICS_EXT_FUNC_CODE && data && data[0] >= 4)
        r->transparent = data[1] & 1 ? data[4] : -1;
    while (data)
        if (DGifGetExtensionNext(r->gif, &data) != GIF_OK) return false;
    return true;
}

/* Goes to the first frame and reads its place. */
static bool find_frame(reader *r)
{
    GifRecordType type;
    for (;;) {
        if (DGifGetRecordType(r->gif, &type) != GIF_OK) return false;
        if (type == IMAGE_DESC_RECORD_TYPE) return DGifGetImageDesc(r->gif) == GIF_OK;
        if (type != EXTENSION_RECORD_TYPE || !read_extension(r)) return false;
    }
}

/* Row `i` as it comes in the file is row `place` of a frame of `height` rows (GIF89a, appendix E).
 */
static int place_of(int i, int height, bool interlaced)
{
    static const int first[] = {0, 4, 2, 1}, step[] = {8, 8, 4, 2};
    for (int pass = 0; interlaced && pass < 4; pass++) {
        const int rows = (height - first[pass] + step[pass] - 1) / step[pass];
        if (i < rows) return first[pass] + i * step[pass];
        i -= rows > 0 ? rows : 0;
    }
    return i;
}

/* Colours of the palette, grey where there is none. */
static void read_palette(const reader *r, uint8_t palette[256][3])
{
    const ColorMapObject *map = r->gif->Image.ColorMap ? r->gif->Image.ColorMap : r->gif->SColorMap;
    for (int i = 0; i < 256; i++) {
        memset(palette[i], i, 3);
        if (!map || i >= map->ColorCount) continue;
        palette[i][0] = map->Colors[i].Red;
        palette[i][1] = map->Colors[i].Green;
        palette[i][2] = map->Colors[i].Blue;
    }
}

/* What the frame leaves open is transparent, or colour 0: as Pillow shows it without alpha. */
static soda_status read_pixels(reader *r, soda_image *image)
{
    const GifImageDesc *frame = &r->gif->Image;
    const int64_t count = image->width * image->height;
    uint8_t palette[256][3];
    read_palette(r, palette);
    const uint8_t *ground = palette[r->transparent >= 0 ? r->transparent : 0];
    for (int64_t i = 0; i < count; i++) memcpy(image->rgb + 3 * i, ground, 3);
    GifPixelType *row = malloc((size_t)frame->Width + 1);
    if (!row) return image_no_memory(r->source);
    for (int y = 0; y < frame->Height; y++) {
        if (DGifGetLine(r->gif, row, frame->Width) != GIF_OK) {
            free(row);
            return damaged(r, 0);
        }
        const int64_t to = frame->Top + place_of(y, frame->Height, frame->Interlace);
        uint8_t *rgb = image->rgb + 3 * (to * image->width + frame->Left);
        for (int x = 0; x < frame->Width; x++) memcpy(rgb + (size_t)3 * x, palette[row[x]], 3);
    }
    free(row);
    return SODA_OK;
}

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

soda_status image_gif_read(const image_source *source, bool pixels, soda_image *image,
                           int *orientation)
{
    reader r = {.source = source, .transparent = -1};
    int error = 0;
    soda_status s = SODA_OK;
    (void)orientation;
    r.gif = DGifOpen(&r, on_read, &error);
    if (!r.gif) return damaged(&r, error);
    if (!find_frame(&r)) {
        s = damaged(&r, 0);
        goto done;
    }
    /* a frame that is larger than the screen makes it larger */
    const GifImageDesc *frame = &r.gif->Image;
    image->width = most(r.gif->SWidth, (int64_t)frame->Left + frame->Width);
    image->height = most(r.gif->SHeight, (int64_t)frame->Top + frame->Height);
    TRY_TO(done, image_prepare(source, pixels, image));
    if (pixels) s = read_pixels(&r, image);
done:
    DGifCloseFile(r.gif, &error);
    return s;
}
