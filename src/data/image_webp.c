/* WebP by libwebp. */
#include <stdlib.h>
#include <webp/decode.h>

#include "data/image_formats.h"

static soda_status read_pixels(const image_source *source, bool alpha, soda_image *image)
{
    const int64_t count = image->width * image->height;
    soda_status s = SODA_OK;
    uint8_t *rgba = NULL, *got;
    if (!alpha) {
        got = WebPDecodeRGBInto(source->bytes, source->size, image->rgb, (size_t)(count * 3),
                                (int)image->width * 3);
    } else {
        rgba = malloc((size_t)(count * 4));
        if (!rgba)
            return FAIL(SODA_ERR_MEMORY, "%s: out of memory for %lldx%lld pixels", source->file,
                        (long long)image->width, (long long)image->height);
        got = WebPDecodeRGBAInto(source->bytes, source->size, rgba, (size_t)(count * 4),
                                 (int)image->width * 4);
        if (got) image_on_white(rgba, image->rgb, count);
    }
    if (!got) s = image_damaged(source, "WebP", "its pixels cannot be decoded");
    free(rgba);
    return s;
}

soda_status image_webp_read(const image_source *source, bool pixels, soda_image *image)
{
    WebPBitstreamFeatures features;
    if (WebPGetFeatures(source->bytes, source->size, &features) != VP8_STATUS_OK)
        return image_damaged(source, "WebP", "its header cannot be read");
    if (features.has_animation)
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: expected a still picture, found an animated WebP",
                    source->file);
    image->width = features.width;
    image->height = features.height;
    TRY(image_prepare(source, pixels, image));
    if (pixels) TRY(read_pixels(source, features.has_alpha, image));
    return SODA_OK;
}
