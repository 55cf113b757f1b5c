#include "data/transform.h"

#include <math.h>
#include <stdlib.h>

#include "core/philox.h"
#include "data/bucket.h"
#include "data/resize.h"

static int64_t most(int64_t a, int64_t b) { return a > b ? a : b; }

/* Scaled as little as the bucket allows: one side fits, the other is as long or longer. */
static void scale_to_bucket(int64_t width, int64_t height, transform_view *view)
{
    view->scaled_w = view->w;
    view->scaled_h = view->h;
    if (width * view->h > height * view->w)
        view->scaled_w = most(view->w, llround((double)(width * view->h) / (double)height));
    else
        view->scaled_h = most(view->h, llround((double)(height * view->w) / (double)width));
}

/* The longer side is cut to an integer, as torchvision's Resize does. */
static void scale_shorter(int64_t resolution, int64_t width, int64_t height, transform_view *view)
{
    view->scaled_w = width > height ? resolution * width / height : resolution;
    view->scaled_h = height > width ? resolution * height / width : resolution;
}

/* Half of `room`, half to even, as torchvision's CenterCrop does. */
static int64_t centre(int64_t room) { return room / 2 + (room % 4 == 3); }

int transform_variants(const transform_options *o)
{
    return (o->random_crop ? TRANSFORM_RANDOM_CROPS : 1) * (o->flip ? 2 : 1);
}

transform_view transform_view_of(const transform_options *o, uint64_t index, int64_t width,
                                 int64_t height, int variant)
{
    transform_view view = {.w = o->resolution, .h = o->resolution};
    if (o->buckets) {
        bucket_choose(o->resolution, o->factor, width, height, &view.w, &view.h);
        scale_to_bucket(width, height, &view);
    } else {
        scale_shorter(o->resolution, width, height, &view);
    }
    const int64_t room_x = view.scaled_w - view.w, room_y = view.scaled_h - view.h;
    const int crops = o->random_crop ? TRANSFORM_RANDOM_CROPS : 1;
    view.flip = variant >= crops;
    if (o->random_crop) {
        uint32_t word[2 * TRANSFORM_RANDOM_CROPS];
        const uint32_t *own = word + 2 * (variant % crops);
        philox_bits(philox_seed(o->seed), philox_at(index, PHILOX_CROP), word,
                    2 * TRANSFORM_RANDOM_CROPS);
        view.left = philox_below(own[0], room_x + 1);
        view.top = philox_below(own[1], room_y + 1);
    } else {
        view.left = centre(room_x);
        view.top = centre(room_y);
    }
    return view;
}

soda_status transform_apply(const soda_image *image, const transform_view *view, float *pixels)
{
    const int64_t w = view->w, h = view->h;
    uint8_t *rgb = malloc((size_t)(w * h * 3));
    if (!rgb)
        return FAIL(SODA_ERR_MEMORY, "out of memory for %lldx%lld pixels", (long long)w,
                    (long long)h);
    /* cut from the picture that is not mirrored yet, then mirror what was cut */
    const int64_t left = view->flip ? view->scaled_w - w - view->left : view->left;
    const resize_window window = {view->scaled_w, view->scaled_h, left, view->top, w, h};
    const soda_status s = resize_lanczos(image, &window, rgb);
    for (int64_t y = 0; s == SODA_OK && y < h; y++)
        for (int64_t x = 0; x < w; x++) {
            const uint8_t *from = rgb + 3 * (y * w + (view->flip ? w - 1 - x : x));
            for (int c = 0; c < 3; c++) /* as ToTensor and Normalize(0.5, 0.5) */
                pixels[3 * (y * w + x) + c] = (float)from[c] / 127.5f - 1;
        }
    free(rgb);
    TRY(s);
    return SODA_OK;
}
