/* png: pixels survive, folders are made, and a failure leaves no picture. */
#include "support/check.h"
#include "support/files.h"

#include <png.h>
#include <stdlib.h>
#include <string.h>

#include "io/newfile.h"
#include "io/png.h"

enum { WIDTH = 13, HEIGHT = 7, BYTES = 3 * WIDTH * HEIGHT };

static const uint8_t *pixels(void)
{
    static uint8_t p[BYTES];
    for (int i = 0; i < BYTES; i++) p[i] = (uint8_t)(i * 37 + i * i % 11);
    return p;
}

static void pixels_survive(void **state)
{
    const char *path = files_path(*state, "a/b/../c.png");
    CHECK_OK(soda_png_write(path, pixels(), WIDTH, HEIGHT));
    png_image image = {.version = PNG_IMAGE_VERSION};
    assert_true(png_image_begin_read_from_file(&image, path));
    assert_int_equal(image.width, WIDTH);
    assert_int_equal(image.height, HEIGHT);
    assert_int_equal(image.format, PNG_FORMAT_RGB);
    uint8_t got[BYTES];
    assert_true(png_image_finish_read(&image, NULL, got, 0, NULL));
    assert_memory_equal(got, pixels(), BYTES);
    assert_int_equal(files_count(files_path(*state, "a")), 2); /* b and c.png */
}

static void what_cannot_be_written_is_named(void **state)
{
    CHECK_FAILS(soda_png_write(files_path(files_write(*state, "file", "x", 1), "p.png"), pixels(),
                               WIDTH, HEIGHT),
                SODA_ERR_IO);
    check_message_has("/file: cannot make the folder: Not a directory");
    CHECK_FAILS(soda_png_write("/proc/soda/p.png", pixels(), WIDTH, HEIGHT), SODA_ERR_IO);
    check_message_has("/proc/soda: cannot make the folder: ");
    CHECK_OK(newfile_make_folder(files_path(*state, "folder/in/folder")));
    CHECK_FAILS(soda_png_write(files_path(*state, "folder"), pixels(), WIDTH, HEIGHT), SODA_ERR_IO);
    check_message_has("/folder: cannot rename to: Is a directory");
    assert_int_equal(files_count(*state), 2);
    CHECK_FAILS(soda_png_write(files_path(*state, "none.png"), pixels(), 0, HEIGHT),
                SODA_ERR_INTERNAL);
    assert_int_equal(files_count(*state), 2);
}

/* The disk is full after `limit` bytes, for every limit up to the size of the picture. */
static void a_full_disk_leaves_no_picture(void **state)
{
    const char *path = files_path(*state, "p.png");
    int failures = 0;
    for (rlim_t limit = 0;; limit++) {
        files_limit(limit);
        const soda_status s = soda_png_write(path, pixels(), WIDTH, HEIGHT);
        files_limit(RLIM_INFINITY);
        if (s == SODA_OK) break;
        failures++;
        check_status(s, SODA_ERR_IO, __FILE__, __LINE__);
        check_message_has("p.png: cannot write: File too large");
        assert_int_equal(files_count(*state), 0);
    }
    size_t bytes;
    free(files_read(path, &bytes));
    assert_int_equal(failures, bytes); /* limits 0 to bytes - 1 */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pixels_survive, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_written_is_named, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_no_picture, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
