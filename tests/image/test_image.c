/* Pictures of all kinds decode to the pixels that went in; damaged ones are named. */
#include "image/picture_files.h"

#include "image/image.h"

enum { W = 13, H = 9, PIXELS = W * H };

/* Smooth in both directions, so that JPEG changes little; no two corners alike. */
static void ramp(uint8_t *pixels, int channels)
{
    for (int i = 0; i < PIXELS; i++)
        for (int c = 0; c < channels; c++)
            pixels[channels * i + c] = (uint8_t)(45 + 12 * (i % W) + (c - 1) * 5 * (i / W));
}

static soda_image decoded(picture_file file)
{
    soda_image image, size;
    CHECK_OK(image_decode(file.bytes, file.size, "FILE", &image));
    CHECK_OK(image_size(file.bytes, file.size, "FILE", &size));
    assert_int_equal(size.width, image.width);
    assert_int_equal(size.height, image.height);
    assert_null(size.rgb);
    return image;
}

static void check_pixels(picture_file file, const uint8_t *want, int bound)
{
    soda_image image = decoded(file);
    assert_int_equal(image.width, W);
    assert_int_equal(image.height, H);
    for (int i = 0; i < 3 * PIXELS; i++)
        if (abs(image.rgb[i] - want[i]) > bound)
            fail_msg("value %d: %d instead of %d", i, image.rgb[i], want[i]);
    image_free(&image);
    free(file.bytes);
}

static void rgb_survives(void **state)
{
    (void)state;
    uint8_t rgb[3 * PIXELS];
    ramp(rgb, 3);
    check_pixels(png_file(PNG_FORMAT_RGB, rgb, W, H, NULL, 0), rgb, 0);
    check_pixels(webp_file(rgb, W, H, 3), rgb, 0);
    /* halved colour: two neighbours share theirs */
    check_pixels(jpeg_file(rgb, W, H, 3, false, NULL, 0), rgb, 8);
    check_pixels(jpeg_file(rgb, W, H, 3, true, NULL, 0), rgb, 8);
}

static void grey_and_palettes_become_rgb(void **state)
{
    (void)state;
    uint8_t grey[PIXELS], wide[3 * PIXELS], rgb[3 * PIXELS], index[PIXELS], map[3 * 7];
    ramp(grey, 1);
    for (int i = 0; i < 3 * PIXELS; i++) wide[i] = grey[i / 3];
    check_pixels(png_file(PNG_FORMAT_GRAY, grey, W, H, NULL, 0), wide, 0);
    check_pixels(jpeg_file(grey, W, H, 1, false, NULL, 0), wide, 2);
    for (int i = 0; i < 3 * 7; i++) map[i] = (uint8_t)(i * 37);
    for (int i = 0; i < PIXELS; i++) {
        index[i] = (uint8_t)(i * i % 7);
        memcpy(rgb + 3 * i, map + 3 * index[i], 3);
    }
    check_pixels(png_file(PNG_FORMAT_RGB_COLORMAP, index, W, H, map, 7), rgb, 0);
}

/* As Pillow's convert("RGB"): colours as stored. */
static void alpha_is_dropped(void **state)
{
    (void)state;
    uint8_t rgba[4 * PIXELS], rgb[3 * PIXELS], grey[2 * PIXELS], wide[3 * PIXELS];
    ramp(rgba, 4);
    for (int i = 0; i < PIXELS; i++) {
        const int alpha = rgba[4 * i + 3] = (uint8_t)(i % 3 == 0 ? 0 : i % 3 == 1 ? 255 : i);
        grey[2 * i] = rgba[4 * i];
        grey[2 * i + 1] = (uint8_t)alpha;
        for (int c = 0; c < 3; c++) {
            rgb[3 * i + c] = rgba[4 * i + c];
            wide[3 * i + c] = grey[2 * i];
        }
    }
    check_pixels(png_file(PNG_FORMAT_RGBA, rgba, W, H, NULL, 0), rgb, 0);
    check_pixels(png_file(PNG_FORMAT_GA, grey, W, H, NULL, 0), wide, 0);

    const uint8_t map[] = {10, 20, 30, 0, 200, 100, 50, 255}; /* a palette with tRNS */
    uint8_t index[PIXELS];
    for (int i = 0; i < PIXELS; i++) {
        index[i] = i % 2;
        for (int c = 0; c < 3; c++) rgb[3 * i + c] = map[4 * (i % 2) + c];
    }
    check_pixels(png_file(PNG_FORMAT_RGBA_COLORMAP, index, W, H, map, 2), rgb, 0);
}

/* The writer stores 16-bit linear light with a gAMA chunk, which soda ignores: values as stored. */
static void sixteen_bits_become_eight(void **state)
{
    (void)state;
    uint16_t deep[3 * PIXELS];
    uint8_t rgb[3 * PIXELS];
    for (int i = 0; i < 3 * PIXELS; i++) {
        deep[i] = (uint16_t)(i * 187);
        rgb[i] = (uint8_t)(deep[i] >> 8);
    }
    check_pixels(png_file(PNG_FORMAT_LINEAR_RGB, deep, W, H, NULL, 0), rgb, 0);
}

/* An APP1 marker with one entry: tag 0x112, type SHORT, the value. */
static unsigned exif(uint8_t *to, bool big, int orientation)
{
    static const uint8_t little_end[] = "Exif\0\0II*\0\10\0\0\0\1\0\22\1\3\0\1\0\0\0\0\0\0\0";
    static const uint8_t big_end[] = "Exif\0\0MM\0*\0\0\0\10\0\1\1\22\0\3\0\0\0\1\0\0\0\0";
    enum { BYTES = 28 };
    memcpy(to, big ? big_end : little_end, BYTES);
    to[big ? 25 : 24] = (uint8_t)orientation;
    return BYTES;
}

/* What a viewer shows at the four corners (from the top left, by rows) for each orientation of a
 * stored picture whose corners are 0 1 / 2 3: the table of Exif 2.3, 4.6.4, tag 0x112. */
static void jpegs_are_turned_as_exif_says(void **state)
{
    (void)state;
    enum { w = 16, h = 32 };
    static const char corners[][5] = {"0123", "0123", "1032", "3210", "2301",
                                      "0213", "2031", "3120", "1302", "0123"};
    uint8_t grey[w * h], marker[64];
    for (int i = 0; i < w * h; i++) grey[i] = (uint8_t)(80 * (i % w / 8 + 2 * (i / w / 16)));
    for (int o = 0; o <= 9; o++)
        for (int big = 0; big < 2; big++) {
            picture_file file = jpeg_file(grey, w, h, 1, false, marker, exif(marker, big, o));
            soda_image image = decoded(file);
            const bool turned = o >= 5 && o <= 8;
            assert_int_equal(image.width, turned ? h : w);
            assert_int_equal(image.height, turned ? w : h);
            for (int corner = 0; corner < 4; corner++) {
                const int64_t x = corner % 2 ? image.width - 1 : 0;
                const int64_t y = corner / 2 ? image.height - 1 : 0;
                assert_in_range(image.rgb[3 * (y * image.width + x)] + 3,
                                80 * (corners[o][corner] - '0'),
                                80 * (corners[o][corner] - '0') + 6);
            }
            image_free(&image);
            free(file.bytes);
        }
}

static void senseless_exif_is_ignored(void **state)
{
    (void)state;
    uint8_t grey[PIXELS], wide[3 * PIXELS], marker[64];
    ramp(grey, 1);
    for (int i = 0; i < 3 * PIXELS; i++) wide[i] = grey[i / 3];
    for (unsigned cut = 0; cut < 28; cut++) { /* a marker that ends anywhere */
        exif(marker, true, 6);
        check_pixels(jpeg_file(grey, W, H, 1, false, marker, cut), wide, 2);
    }
    exif(marker, true, 6);
    memset(marker + 10, 0xff, 4); /* a directory far away */
    check_pixels(jpeg_file(grey, W, H, 1, false, marker, 28), wide, 2);
    exif(marker, true, 6);
    marker[14] = 0xff; /* a directory of 65281 entries, none of them this */
    marker[16] = 9;
    check_pixels(jpeg_file(grey, W, H, 1, false, marker, 28), wide, 2);
}

static int samples(picture_file files[5])
{
    static uint8_t rgba[4 * PIXELS];
    ramp(rgba, 4);
    files[0] = png_file(PNG_FORMAT_RGBA, rgba, W, H, NULL, 0);
    ramp(rgba, 3);
    files[1] = png_file(PNG_FORMAT_RGB, rgba, W, H, NULL, 0);
    files[2] = jpeg_file(rgba, W, H, 3, false, NULL, 0);
    files[3] = jpeg_file(rgba, W, H, 3, true, NULL, 0);
    files[4] = webp_file(rgba, W, H, 3);
    return 5;
}

/* In a block of its own, so that the sanitizer sees a byte read beyond the end. */
static soda_status decode_copy(const uint8_t *bytes, size_t size, soda_image *image)
{
    uint8_t *copy = malloc(size + (size == 0));
    assert_non_null(copy);
    memcpy(copy, bytes, size);
    const soda_status s = image_decode(copy, size, "dir/a.png", image);
    free(copy);
    return s;
}

/* Unless nothing but its end is missing: IEND with its length and checksum, or EOI. */
static void every_shorter_file_is_refused(void **state)
{
    (void)state;
    static const size_t end_bytes[5] = {12, 12, 2, 0, 0};
    picture_file files[5];
    const int count = samples(files);
    for (int i = 0; i < count; i++) {
        for (size_t size = 0; size < files[i].size; size++) {
            soda_image image;
            /* libwebp pads the data to an even size and does not miss the padding */
            if (i == 4 && size + 1 == files[i].size) continue;
            if (size + end_bytes[i] >= files[i].size) {
                soda_image whole = decoded(files[i]);
                CHECK_OK(decode_copy(files[i].bytes, size, &image));
                assert_true(image.no_end && !whole.no_end);
                assert_memory_equal(image.rgb, whole.rgb, 3 * PIXELS);
                image_free(&whole);
                image_free(&image);
                continue;
            }
            CHECK_FAILS(decode_copy(files[i].bytes, size, &image), SODA_ERR_INPUT);
            check_message_has("dir/a.png: ");
            assert_null(image.rgb);
        }
        free(files[i].bytes);
    }
}

/* A wrong byte is refused, or changes pixels: nothing else. In PNG, checksums find it. */
static void wrong_bytes_do_no_harm(void **state)
{
    (void)state;
    picture_file files[5];
    const int count = samples(files);
    for (int i = 0; i < count; i++) {
        for (size_t at = 0; at < files[i].size; at++) {
            soda_image image;
            files[i].bytes[at] ^= (uint8_t)(1 << at % 8);
            const soda_status s = decode_copy(files[i].bytes, files[i].size, &image);
            if (s != SODA_OK)
                check_message_has("dir/a.png: ");
            else if (i == 1)
                assert_in_range(at, 29, files[i].size); /* behind the header */
            image_free(&image);
            files[i].bytes[at] ^= (uint8_t)(1 << at % 8);
        }
        free(files[i].bytes);
    }
}

/* A number of a TIFF file, least byte first. */
static uint8_t *put_number(uint8_t *to, uint32_t value, int bytes)
{
    for (int i = 0; i < bytes; i++) *to++ = (uint8_t)(value >> (8 * i));
    return to;
}

/* Grey, 20 x 18, in four tiles of 16 x 16 = 256 bytes that are not compressed: tile k is filled
 * with 50 k. */
static size_t tiled_tiff(uint8_t bytes[2048])
{
    enum { FIELDS = 10, OFFSETS = 200, COUNTS = 216, TILES = 256, LONG = 4 };
    static const uint32_t fields[FIELDS][4] = {
        {256, LONG, 1, 20},      {257, LONG, 1, 18},    {258, LONG, 1, 8},  {259, LONG, 1, 1},
        {262, LONG, 1, 1},       {277, LONG, 1, 1},     {322, LONG, 1, 16}, {323, LONG, 1, 16},
        {324, LONG, 4, OFFSETS}, {325, LONG, 4, COUNTS}};
    memset(bytes, 0, 2048);
    memcpy(bytes, "II*\0\10\0\0\0", 8);
    uint8_t *at = put_number(bytes + 8, FIELDS, 2);
    for (int i = 0; i < FIELDS; i++)
        for (int k = 0; k < 4; k++) at = put_number(at, fields[i][k], k < 2 ? 2 : 4);
    for (int k = 0; k < 4; k++) {
        put_number(bytes + OFFSETS + 4 * k, TILES + 256 * (uint32_t)k, 4);
        put_number(bytes + COUNTS + 4 * k, 256, 4);
        memset(bytes + TILES + 256 * k, 50 * k, 256);
    }
    return TILES + 4 * 256;
}

static void tiles_make_a_picture(void **state)
{
    (void)state;
    uint8_t bytes[2048];
    const size_t size = tiled_tiff(bytes);
    soda_image image;
    CHECK_OK(image_decode(bytes, size, "a.tif", &image));
    assert_int_equal(image.width, 20);
    assert_int_equal(image.height, 18);
    for (int i = 0; i < 3 * 20 * 18; i++)
        assert_int_equal(image.rgb[i], 50 * ((i / 3 % 20 >= 16) + 2 * (i / 60 >= 16)));
    image_free(&image);
    for (size_t cut = 0; cut < size; cut++) {
        uint8_t *copy = malloc(cut + 1);
        assert_non_null(copy);
        memcpy(copy, bytes, cut);
        CHECK_FAILS(image_decode(copy, cut, "a.tif", &image), SODA_ERR_INPUT);
        free(copy);
    }
}

static void check_refused(picture_file file, soda_status status, const char *message)
{
    soda_image image = {.width = 1, .height = 1};
    CHECK_FAILS(image_decode(file.bytes, file.size, "a/b.c", &image), status);
    check_message_has("a/b.c: ");
    check_message_has(message);
    assert_null(image.rgb);
    assert_int_equal(image.width, 0);
}

/* Three channels of 8 bits, as Image.convert("LAB").save of Pillow writes them. */
static void a_tiff_in_cielab_is_refused_by_its_header(void **state)
{
    (void)state;
    enum { FIELDS = 8, BITS = 110, PIXEL = 116, SHORT = 3, LONG = 4 };
    static const uint32_t fields[FIELDS][4] = {
        {256, LONG, 1, 1},  {257, LONG, 1, 1},     {258, SHORT, 3, BITS}, {259, SHORT, 1, 1},
        {262, SHORT, 1, 8}, {273, LONG, 1, PIXEL}, {277, SHORT, 1, 3},    {279, LONG, 1, 3}};
    uint8_t bytes[PIXEL + 3] = "II*\0\10\0\0";
    uint8_t *at = put_number(bytes + 8, FIELDS, 2);
    const picture_file file = {bytes, sizeof bytes};
    soda_image image = {0};
    for (int i = 0; i < FIELDS; i++)
        for (int k = 0; k < 4; k++) at = put_number(at, fields[i][k], k < 2 ? 2 : 4);
    for (int c = 0; c < 3; c++) put_number(bytes + BITS + 2 * c, 8, 2);
    memcpy(bytes + PIXEL, "\200\40\340", 3);
    check_refused(file, SODA_ERR_UNSUPPORTED, "found one in CIELab: convert it to RGB");
    CHECK_FAILS(image_size(bytes, sizeof bytes, "b.tif", &image), SODA_ERR_UNSUPPORTED);
    bytes[8 + 2 + 4 * 12 + 8] = 2; /* the same in RGB is read */
    CHECK_OK(image_decode(bytes, sizeof bytes, "b.tif", &image));
    assert_memory_equal(image.rgb, bytes + PIXEL, 3);
    image_free(&image);
}

static void what_is_no_picture_is_refused(void **state)
{
    (void)state;
    static const struct {
        const char *bytes, *message;
    } other[] = {
        {"", "expected a PNG, JPEG, "}, /* and the other rows of formats.def */
        {"", " picture, found an empty file"},
        {"\x89PN", "found 3 bytes of something else"},
        {"RIFF....WAVE", "found 12 bytes that start with \"RIFF....WAVE\""},
        {"<!DOCTYPE html>", "found an HTML page"},
        {"version https://git-lfs.github.com/spec/v1\n", "found a Git LFS pointer"},
        {"\1\1\1\1ftypavif", "found an AVIF picture"},
        {"GIF89a", "the GIF file is cut short or damaged"},
        {"BMxx", "the BMP file is cut short or damaged"},
        {"II*x", "the TIFF file is cut short or damaged"},
    };
    for (size_t i = 0; i < sizeof other / sizeof *other; i++)
        check_refused((picture_file){(uint8_t *)other[i].bytes, strlen(other[i].bytes)},
                      SODA_ERR_INPUT, other[i].message);
}

/* Headers that promise a huge picture, without its data: no memory is asked for. */
static void huge_pictures_are_refused_by_their_header(void **state)
{
    (void)state;
    uint8_t rgb[3 * PIXELS];
    ramp(rgb, 3);
    /* a JPEG of 65500 x 9: the height and width follow SOF0, its length and its precision */
    picture_file file = jpeg_file(rgb, W, H, 3, false, NULL, 0);
    uint8_t *sof = memmem(file.bytes, file.size, "\xff\xc0\0\x11\x08", 5);
    assert_non_null(sof);
    sof[7] = 0xff, sof[8] = 0xdc;
    check_refused(file, SODA_ERR_INPUT, "expected sides of 1 to 16384 pixels, found 65500x9");
    free(file.bytes);
    static const uint8_t png[] = "\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR\0\0\x40\x01\x7f\xff\xff\xff"
                                 "\x08\x02\0\0\0\xf2\xc0\x72\x8a\0\0\0\0IDAT\x35\xaf\x06\x1e";
    file = (picture_file){(uint8_t *)png, sizeof png - 1};
    check_refused(file, SODA_ERR_INPUT, "found 16385x2147483647");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rgb_survives),
        cmocka_unit_test(grey_and_palettes_become_rgb),
        cmocka_unit_test(alpha_is_dropped),
        cmocka_unit_test(sixteen_bits_become_eight),
        cmocka_unit_test(jpegs_are_turned_as_exif_says),
        cmocka_unit_test(senseless_exif_is_ignored),
        cmocka_unit_test(every_shorter_file_is_refused),
        cmocka_unit_test(wrong_bytes_do_no_harm),
        cmocka_unit_test(tiles_make_a_picture),
        cmocka_unit_test(a_tiff_in_cielab_is_refused_by_its_header),
        cmocka_unit_test(what_is_no_picture_is_refused),
        cmocka_unit_test(huge_pictures_are_refused_by_their_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
