/* Image folders: what they list, in an order that is the same everywhere, and what they refuse. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "data/image_folder.h"
#include "io/newfile.h"
#include "support/files.h"

static void put(const char *folder, const char *name, const char *text)
{
    files_write(folder, name, text, strlen(text));
}

static void metadata_lists_pictures(void **state)
{
    const char *folder = *state;
    image_folder *f;
    char path[4096];
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    put(folder, "b.png", "");
    put(folder, "B.jpg", "");
    put(folder, "sub/a..b.webp", "");
    put(folder, "metadata.jsonl",
        "{\"file_name\": \"b.png\", \"text\": \"a \\u00fc \\\"b\\\"\", \"keywords\": [1]}\r\n"
        "\n  \t\n"
        "{\"file_name\": \"sub/a..b.webp\", \"text\": \"\", \"class_text\": \"a thing\"}\n"
        "{\"file_name\": \"B.jpg\", \"text\": \"x\", \"class_text\": null}");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->count, 3);
    assert_string_equal(f->items[0].file, "B.jpg");
    assert_null(f->items[0].class_text);
    assert_int_equal(f->items[0].line, 5);
    assert_string_equal(f->items[1].file, "b.png");
    assert_string_equal(f->items[1].text, "a \xc3\xbc \"b\"");
    assert_string_equal(f->items[2].file, "sub/a..b.webp");
    assert_string_equal(f->items[2].text, "");
    assert_string_equal(f->items[2].class_text, "a thing");
    CHECK_OK(image_folder_path(f, 2, path, sizeof path));
    assert_string_equal(path, files_path(folder, "sub/a..b.webp"));
    CHECK_FAILS(image_folder_path(f, 2, path, 10), SODA_ERR_INPUT);
    image_folder_close(f);
}

static void captions_lie_beside_pictures(void **state)
{
    const char *folder = *state;
    image_folder *f;
    put(folder, "x.PNG", "");
    put(folder, "x.txt", "\xef\xbb\xbf \n one\ntwo \r\n");
    put(folder, "a.b.jpeg", "");
    put(folder, "a.b.txt", "");
    put(folder, "a.b.jpg", "");
    put(folder, "notes.md", "not a picture");
    put(folder, ".png", "a hidden file, not a picture");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->count, 3);
    assert_string_equal(f->items[0].file, "a.b.jpeg");
    assert_string_equal(f->items[0].text, "");
    assert_string_equal(f->items[1].file, "a.b.jpg");
    assert_string_equal(f->items[2].file, "x.PNG");
    assert_string_equal(f->items[2].text, "one\ntwo");
    assert_null(f->items[2].class_text);
    image_folder_close(f);
}

/* A warning goes to stderr: read it back from a file. */
static void pictures_without_a_line_are_counted(void **state)
{
    const char *folder = *state, *log = files_path(folder, "log");
    image_folder *f;
    put(folder, "a.png", "");
    put(folder, "b.png", "");
    put(folder, "c.jpg", "");
    put(folder, "metadata.jsonl", "{\"file_name\": \"b.png\", \"text\": \"b\"}\n");
    fflush(stderr);
    const int kept = dup(2);
    assert_non_null(freopen(log, "w", stderr));
    const soda_status s = image_folder_open(folder, &f);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    CHECK_OK(s);
    assert_int_equal(f->count, 1);
    image_folder_close(f);
    char line[512] = "";
    FILE *file = fopen(log, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_non_null(strstr(line, "2 pictures are not listed in metadata.jsonl"));
}

static void bad_metadata_is_refused_by_line(void **state)
{
    static const struct {
        const char *text, *message;
    } cases[] = {
        {"", "expected pictures (metadata.jsonl, or *.png, *.jpg, *.jpeg, *.webp), found none"},
        {"{}", "metadata.jsonl:1: file_name: expected a value, found nothing"},
        {"\n{\"file_name\": \"a.png\"}", "metadata.jsonl:2: text: expected a value, found nothing"},
        {"{\"file_name\": 5, \"text\": \"\"}", ":1: file_name: expected a string, found 5"},
        {"{\"file_name\": \"a.png\", \"text\": [1]}", ":1: text: expected a string, found [1]"},
        {"{\"file_name\": \"a.png\", \"text\": \"\", \"class_text\": 1}",
         "class_text: expected a s"},
        {"{\"file_name\": \"a.png\", \"text\": \"a\"}\n{\"file_name\"",
         "jsonl:2:1:12: not valid JSON"},
        {"[1]", "metadata.jsonl:1: expected a JSON object"},
        {"{\"file_name\": \"a.png\", \"text\": \"\xff\"}", "metadata.jsonl:1:1:"},
        {"{\"file_name\": \"a.png\", \"text\": \"a\\u0000b\"}", "metadata.jsonl:1:1:"},
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
        {"{\"file_name\": \"./a.png\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub//a.png\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"sub/\", \"text\": \"a\"}", "expected a path below the folder"},
        {"{\"file_name\": \"\", \"text\": \"a\"}", "expected a path below the folder"},
    };
    const char *folder = *state;
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    put(folder, "a.png", "");
    log_set_quiet(true);
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        image_folder *f = (image_folder *)folder;
        put(folder, "metadata.jsonl", cases[i].text);
        CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has(cases[i].message);
        check_message_has(folder);
        assert_null(f);
    }
    log_set_quiet(false);
}

static void folders_without_captions_are_refused(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("found none");
    CHECK_FAILS(image_folder_open(files_path(folder, "none"), &f), SODA_ERR_IO);
    check_message_has("/none: cannot open: No such file");
    put(folder, "a.png", "");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("/a.png: expected its caption in a.txt or metadata.jsonl, found neither");
    static const char *const bad[] = {"ab\xff",       "a\xc3",           "\xe2\x82",
                                      "\xed\xa0\x80", "\xc0\x80",        "\xf4\x90\x80\x80",
                                      "\xe0\x80\x80", "\xf0\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        put(folder, "a.txt", bad[i]);
        CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has("a.txt: byte ");
    }
    files_write(folder, "a.txt", "a\0b", 3);
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("a.txt: byte 1: expected text in UTF-8");
    put(folder, "a.txt", "\xf4\x8f\xbf\xbf \xed\x9f\xbf \xe0\xa0\x80 \xf0\x90\x80\x80");
    CHECK_OK(image_folder_open(folder, &f));
    image_folder_close(f);
    unlink(files_path(folder, "a.txt"));
    CHECK_OK(newfile_make_folder(files_path(folder, "a.txt")));
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("a.txt: not a regular file");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(metadata_lists_pictures, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(captions_lie_beside_pictures, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(pictures_without_a_line_are_counted, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(bad_metadata_is_refused_by_line, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(folders_without_captions_are_refused, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
