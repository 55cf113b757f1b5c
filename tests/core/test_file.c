/* file: whole files come into memory; what is no file, or too large, does not. */
#include "support/check.h"
#include "support/files.h"

#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "core/file.h"

static void files_are_read_whole(void **state)
{
    void *data;
    size_t bytes;
    CHECK_OK(file_read(files_write(*state, "f", "ab\0c", 4), 4, &data, &bytes));
    assert_int_equal(bytes, 4);
    assert_memory_equal(data, "ab\0c", 5); /* and a zero */
    free(data);
    CHECK_OK(file_read(files_write(*state, "empty", "", 0), 0, &data, &bytes));
    assert_int_equal(bytes, 0);
    assert_memory_equal(data, "", 1);
    free(data);
}

static void what_cannot_be_read_is_named(void **state)
{
    void *data;
    size_t bytes;
    CHECK_FAILS(file_read(files_write(*state, "f", "abcd", 4), 3, &data, &bytes), SODA_ERR_INPUT);
    check_message_has("/f: expected at most 3 bytes, found 4");
    assert_null(data);
    CHECK_FAILS(file_read(files_path(*state, "none"), 3, &data, &bytes), SODA_ERR_IO);
    check_message_has("/none: cannot open: No such file");
    CHECK_FAILS(file_read(*state, 3, &data, &bytes), SODA_ERR_INPUT);
    check_message_has("not a regular file");
    assert_int_equal(mkfifo(files_path(*state, "pipe"), 0600), 0); /* nobody will write to it */
    CHECK_FAILS(file_read(files_path(*state, "pipe"), 3, &data, &bytes), SODA_ERR_INPUT);
    check_message_has("/pipe: not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(files_are_read_whole, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_read_is_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
