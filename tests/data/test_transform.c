/* Scaling equals that of Pillow before 13; views have the sizes, places and variants that the
 * header promises. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/bucket.h"
#include "data/resize.h"
#include "data/transform.h"
#include "io/safetensors.h"

/* The same formula as in tests/golden/make_resize.py. */
static soda_image picture(int64_t width, int64_t height)
{
    soda_image image = {
        .width = width, .height = height, .rgb = malloc((size_t)(width * height * 3))};
    assert_non_null(image.rgb);
    for (uint32_t y = 0; y < height; y++)
        for (uint32_t x = 0; x < width; x++)
            for (uint32_t c = 0; c < 3; c++) {
                const uint32_t ramp = x * 5 + y * 3 + c * 40;
                const uint32_t edges = (x / 4 + y / 6) % 2 * 255;
                const uint32_t noise = ((x * 73856093u) ^ (y * 19349663u) ^ (c * 83492791u)) >> 7;
                const uint32_t v = (x + y) % 3 == 0 ? ramp : x % 2 == 0 ? edges : noise;
                image.rgb[3 * (y * width + x) + c] = (uint8_t)v;
            }
    return image;
}

/* Sums are integers in both, so nothing may differ but a weight that lies halfway. */
static void scaling_equals_pillow(void **state)
{
    (void)state;
    soda_safetensors *set;
    CHECK_OK(safetensors_open(SODA_TEST_DIR "/golden/resize.safetensors", &set));
    assert_int_equal(safetensors_count(set), 5);
    for (int i = 0; i < 5; i++) {
        const safetensors_tensor *want = safetensors_at(set, i);
        long long w, h;
        assert_int_equal(sscanf(want->name, "%lldx%lld.", &w, &h), 2);
        soda_image image = picture(w, h);
        const resize_window all = {want->dim[1], want->dim[0], 0, 0, want->dim[1], want->dim[0]};
        uint8_t *got = malloc(want->bytes);
        CHECK_OK(resize_lanczos(&image, &all, got));
        assert_memory_equal(got, want->data, want->bytes);
        free(got);
        image_free(&image);
    }
    safetensors_close(set);
}

/* A window is a part of the whole, to the bit. */
static void a_window_is_cut_from_the_whole(void **state)
{
    (void)state;
    enum { W = 43, H = 32, LEFT = 5, TOP = 9, w = 11, h = 23 };
    soda_image image = picture(101, 75);
    uint8_t whole[W * H * 3], part[w * h * 3];
    CHECK_OK(resize_lanczos(&image, &(resize_window){W, H, 0, 0, W, H}, whole));
    CHECK_OK(resize_lanczos(&image, &(resize_window){W, H, LEFT, TOP, w, h}, part));
    for (size_t y = 0; y < h; y++)
        assert_memory_equal(part + 3 * y * w, whole + 3 * ((TOP + y) * W + LEFT), (size_t)w * 3);
    image_free(&image);
}

static void pixels_are_mirrored_and_in_range(void **state)
{
    (void)state;
    soda_image image = picture(21, 17);
    const transform_view plain = {21, 17, false, 3, 2, 12, 9};
    /* 21 - 12 - 3 = 6: the same cut, seen in the mirror */
    const transform_view mirrored = {21, 17, true, 6, 2, 12, 9};
    float a[12 * 9 * 3], b[12 * 9 * 3];
    CHECK_OK(transform_apply(&image, &plain, a));
    CHECK_OK(transform_apply(&image, &mirrored, b));
    for (int y = 0; y < 9; y++)
        for (int x = 0; x < 12; x++)
            for (int c = 0; c < 3; c++) {
                const double v = image.rgb[3 * ((y + 2) * 21 + x + 3) + c];
                const float got = a[3 * (y * 12 + x) + c];
                assert_true(fabs((double)got - (v / 255 * 2 - 1)) <
                            2e-7); /* 2 roundings of 2^-24 */
                assert_true(got == b[3 * (y * 12 + 11 - x) + c]);
            }
    image_free(&image);
}

static void check_view(transform_view v, int64_t scaled_w, int64_t scaled_h, int64_t left,
                       int64_t top)
{
    assert_int_equal(v.scaled_w, scaled_w);
    assert_int_equal(v.scaled_h, scaled_h);
    assert_int_equal(v.left, left);
    assert_int_equal(v.top, top);
}

/* Sizes and places are those of torchvision's Resize and CenterCrop. */
static void the_shorter_side_is_scaled_and_the_centre_cut(void **state)
{
    (void)state;
    const transform_options o = {.resolution = 32, .factor = 4};
    assert_int_equal(transform_variants(&o), 1);
    check_view(transform_view_of(&o, 0, 50, 40, 0), 40, 32, 4, 0);
    check_view(transform_view_of(&o, 0, 40, 50, 0), 32, 40, 0, 4);
    check_view(transform_view_of(&o, 0, 41, 40, 0), 32, 32, 0, 0); /* 32.8 is cut */
    check_view(transform_view_of(&o, 0, 33, 32, 0), 33, 32, 0, 0); /* 0.5 to 0 */
    check_view(transform_view_of(&o, 0, 35, 32, 0), 35, 32, 2, 0); /* 1.5 to 2 */
    check_view(transform_view_of(&o, 0, 37, 32, 0), 37, 32, 2, 0); /* 2.5 to 2 */
    check_view(transform_view_of(&o, 0, 16384, 1, 0), 524288, 32, 262128, 0);
}

static void random_crops_differ_and_stay_inside(void **state)
{
    (void)state;
    const transform_options o = {.resolution = 32, .factor = 4, .random_crop = true, .flip = true};
    bool at_left = false, at_right = false;
    int different = 0;
    assert_int_equal(transform_variants(&o), 16);
    for (uint64_t image = 0; image < 40; image++)
        for (int v = 0; v < 16; v++) {
            const transform_view a = transform_view_of(&o, image, 36, 32, v);
            assert_in_range(a.left, 0, 4);
            assert_int_equal(a.top, 0);
            assert_int_equal(a.flip, v >= 8);
            at_left |= a.left == 0;
            at_right |= a.left == 4;
            /* the mirrored half has the same crops; another picture has others */
            assert_int_equal(a.left, transform_view_of(&o, image, 36, 32, (v + 8) % 16).left);
            different += a.left != transform_view_of(&o, image + 1, 36, 32, v).left;
        }
    assert_true(at_left && at_right);
    assert_in_range(different, 400,
                    600); /* of 640 pairs of 1 in 5: 512, sigma 10 (halves twin: 14) */
    transform_options other = o;
    other.seed = 1;
    different = 0;
    for (uint64_t image = 0; image < 40; image++)
        different += transform_view_of(&o, image, 36, 32, 3).left !=
                     transform_view_of(&other, image, 36, 32, 3).left;
    assert_in_range(different, 20, 40);
}

/* Every bucket that some picture gets: sides, budget, nearest ratio by brute force. */
static void check_buckets(int64_t resolution, int64_t factor, int64_t step)
{
    const transform_options o = {.resolution = resolution, .buckets = true, .factor = factor};
    assert_int_equal(bucket_step(o.resolution, o.factor), step);
    for (int64_t width = 10; width < 1000; width += 37)
        for (int64_t height = 10; height < 1000; height += 41) {
            const transform_view v = transform_view_of(&o, 5, width, height, 0);
            assert_true(v.w % step == 0 && v.h % step == 0 && v.w > 0 && v.h > 0);
            assert_true(v.w * v.h <= resolution * resolution);
            assert_true((v.w + step) * v.h > resolution * resolution);
            assert_true(v.w * (v.h + step) > resolution * resolution);
            assert_true(v.w <= 2 * resolution && v.h <= 2 * resolution);
            /* covers the bucket, by no more than one side needs */
            assert_true(v.scaled_w >= v.w && v.scaled_h >= v.h);
            assert_true(v.scaled_w == v.w || v.scaled_h == v.h);
            const double aspect = (double)width / (double)height;
            const double scaled = (double)v.scaled_w / (double)v.scaled_h;
            assert_true(fabs(scaled / aspect - 1) < 0.51 / (double)(v.w < v.h ? v.w : v.h) ||
                        aspect > 4 || aspect < 0.25);
            assert_true(llabs(v.scaled_w - v.w - 2 * v.left) <= 1);
            assert_true(llabs(v.scaled_h - v.h - 2 * v.top) <= 1);
            /* the transposed picture gets the transposed bucket */
            const transform_view t = transform_view_of(&o, 5, height, width, 0);
            if (width != height) assert_true(t.w == v.h && t.h == v.w);
        }
}

static void buckets_fit_the_budget(void **state)
{
    (void)state;
    check_buckets(512, 8, 64);
    check_buckets(1024, 8, 64);
    check_buckets(64, 4, 8);
    check_buckets(32, 4, 4);
    check_buckets(8, 8, 8);
    const transform_options o = {.resolution = 512, .buckets = true, .factor = 8};
    const transform_view square = transform_view_of(&o, 0, 999, 1000, 0);
    assert_int_equal(square.w, 512);
    assert_int_equal(square.h, 512);
    const transform_view wide = transform_view_of(&o, 0, 4000, 1000, 0);
    assert_int_equal(wide.w, 1024); /* half to twice the resolution: 4 to 1 at most */
    assert_int_equal(wide.h, 256);
    const transform_view photo = transform_view_of(&o, 0, 3000, 2000, 0);
    assert_int_equal(photo.w, 640); /* log 1.5 lies nearer to 640:384 than to 576:448 */
    assert_int_equal(photo.h, 384);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(scaling_equals_pillow),
        cmocka_unit_test(a_window_is_cut_from_the_whole),
        cmocka_unit_test(pixels_are_mirrored_and_in_range),
        cmocka_unit_test(the_shorter_side_is_scaled_and_the_centre_cut),
        cmocka_unit_test(random_crops_differ_and_stay_inside),
        cmocka_unit_test(buckets_fit_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
