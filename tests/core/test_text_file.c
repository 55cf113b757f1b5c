/* text_file: text from any system comes in one form; what is no text is named as what it is. */
#include "support/check.h"
#include "support/files.h"

#include <stdlib.h>
#include <string.h>

#include "core/file_kind.h"
#include "core/text_file.h"

static void text_comes_in_one_form(void **state)
{
    static const struct {
        const char *bytes, *want;
    } cases[] = {
        {"", ""},
        {"\xef\xbb\xbf", ""},
        {"\xef\xbb\xbf"
         "a\r\nb\rc\n\r\n",
         "a\nb\nc\n\n"},
        {"a\xef\xbb\xbf", "a\xef\xbb\xbf"}, /* a mark elsewhere is a character */
        {"\r", "\n"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text;
        size_t bytes;
        const char *path = files_write(*state, "f", cases[i].bytes, strlen(cases[i].bytes));
        CHECK_OK(text_file_read(path, 100, &text, &bytes));
        assert_string_equal(text, cases[i].want);
        assert_int_equal(bytes, strlen(cases[i].want));
        free(text);
    }
}

static void what_is_no_text_is_named(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
        const char *message;
    } cases[] = {
        {"\xff\xfe{\0", 4, "/f: expected text in UTF-8, found UTF-16 (little-endian)"},
        {"\xfe\xff\0{", 4, "/f: expected text in UTF-8, found UTF-16 (big-endian)"},
        {"{\0}\0", 4, "UTF-16 (little-endian)"},
        {"\0{\0}", 4, "UTF-16 (big-endian)"},
        {"\xff\xfe\0\0", 4, "UTF-32"},
        {"a\nb\xe9\n", 5, "/f:2: expected text in UTF-8, found the byte 0xE9 (of Latin-1"},
        {"a\n\nb\0", 5, "/f:3: expected text in UTF-8, found the byte 0x00"},
        {"version https://git-lfs.github.com/spec/v1\noid", 46, "git lfs pull"},
        {" \n<!DocType HTML>", 17, "an HTML page"},
        {"PK\3\4", 4, "a ZIP archive or a PyTorch file"},
        {"\x80\2}q", 4, "a Python pickle or a PyTorch file"},
        {"\x80\3\0\0\0\0\0\0{\"", 10, "a safetensors file"},
        {"\x89PNG\r\n\x1a\n", 8, "a PNG picture"},
        {"\x40\0\0\0\0\0\0\0{\"a", 11, "a safetensors file"},
        {"\x80\4\0\0\0\0\0\0{\"a", 11, "a safetensors file"}, /* 1152 bytes, no pickle */
        {"\x80\4\0\0\0\0\0\0{ \"a", 12, "a safetensors file"},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        char *text = "x";
        size_t bytes;
        const char *path = files_write(*state, "f", cases[i].bytes, cases[i].size);
        CHECK_FAILS(text_file_read(path, 100, &text, &bytes), SODA_ERR_INPUT);
        check_message_has(cases[i].message);
        assert_null(text);
    }
    assert_null(file_kind("12345678{\"text\"", 15)); /* text, though a safetensors file in part */
    assert_null(file_kind("a < b", 5));
}

static void what_was_expected_is_said(void **state)
{
    (void)state;
    CHECK_FAILS(file_kind_refuse("", 0, "a.png", "a picture"), SODA_ERR_INPUT);
    check_message_has("a.png: expected a picture, found an empty file");
    CHECK_FAILS(file_kind_refuse("Entry not found", 15, "a.png", "a picture"), SODA_ERR_INPUT);
    check_message_has("found 15 bytes that start with \"Entry not found\"");
    CHECK_FAILS(file_kind_refuse("ab\1", 3, "a.png", "a picture"), SODA_ERR_INPUT);
    check_message_has("found 3 bytes of something else");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(text_comes_in_one_form, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_is_no_text_is_named, files_setup, files_teardown),
        cmocka_unit_test(what_was_expected_is_said),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
