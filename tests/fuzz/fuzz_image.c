/* libFuzzer harness of the picture decoders: the input is a picture file of any format. */
#include <stdint.h>
#include <stdlib.h>

#include "image/image.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_PIXELS = 1 << 16 }; /* larger pictures are fine and slow */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    soda_image header, image;
    unsigned sum = 0;
    if (image_size(data, size, "fuzz", &header) != SODA_OK) {
        /* what has no size has no pixels */
        if (image_decode(data, size, "fuzz", &image) == SODA_OK) abort();
        return 0;
    }
    if (header.rgb || header.width < 1 || header.height < 1 || header.width > IMAGE_MAX_SIDE ||
        header.height > IMAGE_MAX_SIDE)
        abort();
    if (header.width * header.height > MOST_PIXELS) return 0;
    if (image_decode(data, size, "fuzz", &image) != SODA_OK) {
        if (image.rgb) abort();
        return 0;
    }
    if (image.width != header.width || image.height != header.height) abort();
    for (int64_t i = 0; i < image.width * image.height * 3; i++) sum += image.rgb[i];
    if (sum == 1) header.width = 0; /* so that every byte is looked at */
    image_free(&image);
    return 0;
}
