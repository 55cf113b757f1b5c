/* WebP by libwebp; of an animation, the first frame. */
#include <stdlib.h>
#include <string.h>

#include <webp/decode.h>
#include <webp/demux.h>

#include "image/image_orientation.h"

/* The first chunk called `name` of the RIFF file; bytes == NULL if there is none. */
static image_part find_chunk(const image_source *source, const char *name)
{
    for (size_t at = 12; at + 8 <= source->size;) {
        const uint8_t *chunk = source->bytes + at;
        const size_t bytes =
            chunk[4] | (size_t)chunk[5] << 8 | (size_t)chunk[6] << 16 | (size_t)chunk[7] << 24;
        if (bytes > source->size - at - 8) break;
        if (!memcmp(chunk, name, 4)) return (image_part){chunk + 8, bytes};
        at += 8 + bytes + bytes % 2;
    }
    return (image_part){0};
}

static soda_status read_first_frame(const image_source *source, soda_image *image)
{
    WebPAnimDecoderOptions options;
    const WebPData data = {source->bytes, source->size};
    uint8_t *rgba = NULL;
    int time;
    if (!WebPAnimDecoderOptionsInit(&options)) return image_damaged(source, "WebP", "no decoder");
    WebPAnimDecoder *decoder = WebPAnimDecoderNew(&data, &options);
    const bool decoded = decoder && WebPAnimDecoderGetNext(decoder, &rgba, &time) && rgba;
    for (int64_t i = 0; decoded && i < image->width * image->height; i++)
        memcpy(image->rgb + 3 * i, rgba + 4 * i, 3);
    WebPAnimDecoderDelete(decoder);
    return decoded ? SODA_OK : image_damaged(source, "WebP", "its first frame cannot be decoded");
}

static soda_status read_pixels(const image_source *source, bool animated, soda_image *image)
{
    if (animated) return read_first_frame(source, image);
    if (!WebPDecodeRGBInto(source->bytes, source->size, image->rgb,
                           (size_t)(image->width * image->height * 3), (int)image->width * 3))
        return image_damaged(source, "WebP", "its pixels cannot be decoded");
    return SODA_OK;
}

soda_status image_webp_read(const image_source *source, bool pixels, soda_image *image,
                            int *orientation)
{
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(source->bytes, source->size, &features) != VP8_STATUS_OK)
        return image_damaged(source, "WebP", "its header cannot be read");
    image->width = features.width;
    image->height = features.height;
    *orientation = image_orientation(find_chunk(source, "EXIF"), find_chunk(source, "XMP "));
    TRY(image_prepare(source, pixels, image));
    return pixels ? read_pixels(source, features.has_animation, image) : SODA_OK;
}
