/* The metadata files of image folders: what they say of each picture, and the lines that are
 * refused. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "core/log.h"
#include "data/image_folder.h"
#include "io/newfile.h"
#include "support/files.h"

static void metadata_lists_pictures(void **state)
{
    const char *folder = *state;
    image_folder *f;
    char path[4096];
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    files_put(folder, "b.png", "");
    files_put(folder, "B.jpg", "");
    files_put(folder, "sub/a..b.webp", "");
    files_put(folder, "metadata.jsonl",
              "{\"file_name\": \"b.png\", \"text\": \"a \\u00fc \\\"b\\\"\", \"keywords\": [1]}\r\n"
              "\n  \t\n"
              "{\"file_name\": \"sub/a..b.webp\", \"text\": \"\", \"class_text\": \"a thing\"}\n"
              "{\"file_name\": \"B.jpg\", \"text\": \"x\", \"class_text\": null}");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[0].file, "B.jpg");
    assert_null(f->list.items[0].class_text);
    assert_int_equal(f->list.items[0].line, 5);
    assert_string_equal(f->list.items[1].file, "b.png");
    assert_string_equal(f->list.items[1].text, "a \xc3\xbc \"b\"");
    assert_string_equal(f->list.items[2].file, "sub/a..b.webp");
    assert_string_equal(f->list.items[2].text, "");
    assert_string_equal(f->list.items[2].class_text, "a thing");
    CHECK_OK(image_folder_path(f, 2, path, sizeof path));
    assert_string_equal(path, files_path(folder, "sub/a..b.webp"));
    CHECK_FAILS(image_folder_path(f, 2, path, 10), SODA_ERR_INPUT);
    image_folder_close(f);
}

/* What pandas.read_csv makes of it, but for an absent field, which is an empty text. */
static void csv_is_read_as_pandas_does(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    static const char *const names[] = {"a.png", "b.png", "sub/c.png", "d.png"};
    for (int i = 0; i < 4; i++) files_put(folder, names[i], "");
    files_put(folder, "metadata.csv",
              "\xef\xbb\xbfhash,file_name,text,class_text\r\n"
              "18446744073709551615,a.png,\"one, \"\"two\"\"\r\nthree\",\r\n"
              "\r\n"
              ",b.png,NA,a thing\r\n"
              "1,sub\\c.png\r\n"
              "2,./d.png,x\"y\"z");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 4);
    assert_string_equal(f->list.items[0].text, "one, \"two\"\nthree");
    assert_null(f->list.items[0].class_text);
    assert_int_equal(f->list.items[0].line, 2);
    assert_string_equal(f->list.items[1].text, "NA");
    assert_string_equal(f->list.items[1].class_text, "a thing");
    assert_int_equal(f->list.items[1].line, 5);
    assert_string_equal(f->list.items[2].file, "d.png");
    assert_string_equal(f->list.items[2].text, "x\"y\"z");
    assert_string_equal(f->list.items[3].file, "sub/c.png");
    assert_string_equal(f->list.items[3].text, "");
    image_folder_close(f);
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"file_name;text\na.png;b", "metadata.csv:1: expected the columns file_name and text, "
                                    "separated by commas, found file_name;text"},
        {"file_name,text\na.png,one, two\n", "metadata.csv:2: expected 2 fields, found more"},
        {"file_name,text\na.png,\"one\ntwo", "metadata.csv:2: a quoted field"},
        {"file_name,text\n,x\n", "metadata.csv:2: file_name: expected a path below the folder"},
        {"file_name,text\n../a.png,x\n", ":2: file_name: expected a path below the folder"},
        {"file_name,text\na.png,x\n\na.png,y", ":4: a.png is already listed in line 2"},
        {"file_name,text\nnone.png,x\n", ":2: file_name: "},
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        files_put(folder, "metadata.csv", cases[i].text);
        CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has(cases[i].message);
    }
    files_put(folder, "metadata.jsonl", "");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("expected one metadata file, found metadata.csv as well");
}

static void bad_metadata_is_refused_by_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "found none: 1 picture is not listed in the metadata file and is left out: a.png"},
        {"{}", "metadata.jsonl:1: expected the keys file_name and text, found none"},
        {"\n{\"file_name\": \"a.png\"}",
         "jsonl:2: expected the keys file_name and text, found file_name"},
        {"{\"file_name\": \"a.png\", \"caption\": \"\", \"text\": null}",
         "text: expected a value, found null"},
        {"{\"file_name\": \"a.png\", \"caption\": \"\"}", "found file_name, caption"},
        {"[{\"file_name\": \"a.png\",",
         "jsonl:1: expected a JSON object on each line, found the start of a list"},
        {"{\"file_name\": 5, \"text\": \"\"}", ":1: file_name: expected a string, found 5"},
        {"{\"file_name\": \"a.png\", \"text\": [1]}", ":1: text: expected a string, found [1]"},
        {"{\"file_name\": \"a.png\", \"text\": \"\", \"class_text\": 1}",
         "class_text: expected a s"},
        {"{\"file_name\": \"a.png\", \"text\": \"a\"}\n{\"file_name\"",
         "jsonl:2: not valid JSON at column 12"},
        {"[1]", "metadata.jsonl:1: expected a JSON object"},
        {"{\"file_name\": \"a.png\", \"text\": \"\xff\"}",
         "metadata.jsonl:1: expected text in UTF-8"},
        {"{\"file_name\": \"a.png\", \"text\": \"a\\u0000b\"}",
         "metadata.jsonl:1: text: expected a string"},
        {"{\"file_name\": \"a.png\", \"text\": \"a\"}\n\n{\"file_name\": \"a.png\", \"text\": "
         "\"b\"}",
         "metadata.jsonl:3: a.png is already listed in line 1"},
        {"{\"file_name\": \"b.png\", \"text\": \"a\"}", "jsonl:1: file_name: "},
        {"{\"file_name\": \"sub\", \"text\": \"a\"}", "/sub: not a regular file"},
        {"{\"file_name\": \"a.png/b\", \"text\": \"a\"}", "Not a directory"},
        {"{\"file_name\": \"../a.png\", \"text\": \"a\"}",
         ":1: file_name: expected a path below the folder, found \"../a.png\""},
        {"{\"file_name\": \"/etc/passwd\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub/../a.png\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub/..\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"./../a.png\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub//a.png\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub/\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"\", \"text\": \"a\"}", "expected a path below the folder"},
    };
    const char *folder = *state;
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    files_put(folder, "a.png", "");
    log_set_quiet(true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image_folder *f = (image_folder *)folder;
        files_put(folder, "metadata.jsonl", cases[i].text);
        CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has(cases[i].message);
        check_message_has(folder);
        assert_null(f);
    }
    log_set_quiet(false);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(metadata_lists_pictures, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(csv_is_read_as_pandas_does, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(bad_metadata_is_refused_by_line, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
