/* newfile.h: folders, and files that replace nothing. Other files are tested by test_io_memory.c
 * and by all that write. */
#include "support/check.h"
#include "support/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
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

static bool no_hard_links;

/* In place of libc's: the second way to a name that is free is for file systems without links. */
int link(const char *from, const char *to)
{
    if (!no_hard_links) return linkat(AT_FDCWD, from, AT_FDCWD, to, 0);
    errno = EPERM;
    return -1;
}

static bool commit_new(const char *path, const char *text)
{
    soda_newfile *file;
    bool taken;
    CHECK_OK(newfile_create(path, &file));
    CHECK_OK(newfile_write(file, text, 3));
    CHECK_OK(newfile_commit_new(file, &taken));
    newfile_close(file);
    return taken;
}

static void a_new_file_replaces_nothing(void **state)
{
    for (int i = 0; i < 2; i++) {
        const char *path = files_path(*state, i ? "unlinked" : "linked");
        size_t bytes;
        no_hard_links = i == 1;
        assert_false(commit_new(path, "one"));
        assert_true(commit_new(path, "two"));
        char *text = files_read(path, &bytes);
        assert_string_equal(text, "one");
        free(text);
        assert_int_equal(files_count(*state), i + 1); /* and nothing temporary */
    }
    no_hard_links = false;
}

/* Its name is not of a file that could be whole or not: a rename would take its place, which root
 * may do in /dev. */
static void a_pipe_is_written_to_and_stays(void **state)
{
    const char *path = files_path(*state, "pipe");
    struct stat about;
    soda_newfile *file;
    char got[4] = "";
    assert_int_equal(mkfifo(path, 0666), 0);
    const int reader = open(path, O_RDONLY | O_NONBLOCK);
    assert_true(reader >= 0);
    CHECK_OK(newfile_create(path, &file));
    CHECK_OK(newfile_write(file, "one", 3));
    CHECK_OK(newfile_commit(file));
    newfile_close(file);
    assert_int_equal(read(reader, got, 3), 3);
    assert_string_equal(got, "one");
    CHECK_OK(newfile_create(path, &file));
    newfile_close(file); /* as after a failure */
    close(reader);
    assert_int_equal(stat(path, &about), 0);
    assert_true(S_ISFIFO(about.st_mode));
    assert_int_equal(files_count(*state), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_folder_that_cannot_be_made_says_why, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_file_in_the_way_is_no_folder, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_new_file_replaces_nothing, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_pipe_is_written_to_and_stays, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
