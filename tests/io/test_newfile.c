/* newfile.h: folders. Files are tested by test_io_memory.c and by all that write. */
#include "support/check.h"
#include "support/files.h"

#include <unistd.h>

#include "io/newfile.h"

static void a_folder_that_cannot_be_made_says_why(void **state)
{
    const char *path = files_path(*state, "link");
    assert_int_equal(symlink("/nowhere/at/all", path), 0);
    CHECK_FAILS(newfile_make_folder(path), SODA_ERR_IO);
    check_message_has("link: cannot make the folder: this is a symbolic link to /nowhere/at/all, "
                      "which does not exist");
}

static void a_file_in_the_way_is_no_folder(void **state)
{
    files_write(*state, "file", "x", 1);
    CHECK_FAILS(newfile_make_folder(files_path(*state, "file/below")), SODA_ERR_IO);
    check_message_has("file: cannot make the folder: Not a directory");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_says_why, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_file_in_the_way_is_no_folder, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
