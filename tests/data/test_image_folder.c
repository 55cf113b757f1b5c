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

/* A data set from macOS has "u" and two dots where others write one letter, or the reverse. */
static void names_are_found_in_either_unicode_form(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "a\xcc\x8a")));
    files_put(folder, "z.png", "");
    files_put(folder, "a\xcc\x8a/u\xcc\x88.png", ""); /* NFD on the disk, NFC in the list */
    files_put(folder, "\xc3\xb6.png", "");            /* NFC on the disk, NFD in the list */
    files_put(folder, "metadata.csv",
              "file_name,text\nz.png,z\n\xc3\xa5/\xc3\xbc.png,u\no\xcc\x88.png,o\n");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[0].file, "a\xcc\x8a/u\xcc\x88.png");
    assert_string_equal(f->list.items[0].text, "u");
    assert_string_equal(f->list.items[1].file, "z.png");
    assert_string_equal(f->list.items[2].file, "\xc3\xb6.png");
    assert_string_equal(f->list.items[2].text, "o");
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++) assert_int_equal(f->left[kind].count, 0);
    image_folder_close(f);
    files_put(folder, "metadata.csv",
              "file_name,text\n\xc3\xb6.png,o\no\xcc\x88.png,the same picture\n");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("is already listed in line 2");
}

static void captions_are_found_in_either_unicode_form(void **state)
{
    const char *folder = *state;
    image_folder *f;
    files_put(folder, "cafe\xcc\x81.png", ""); /* NFD, and its caption NFC */
    files_put(folder, "caf\xc3\xa9.txt", "a cup");
    files_put(folder, "\xc3\xb6.png", ""); /* NFC, and its caption NFD */
    files_put(folder, "o\xcc\x88.txt", "a letter");
    files_put(folder, "\xff.png", ""); /* no UTF-8 */
    files_put(folder, "\xff.txt", "a byte");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[0].text, "a cup");
    assert_string_equal(f->list.items[0].caption_file, "caf\xc3\xa9.txt");
    assert_string_equal(f->list.items[1].text, "a letter");
    assert_string_equal(f->list.items[2].text, "a byte");
    for (int kind = 0; kind < LEFT_OUT_KINDS; kind++) assert_int_equal(f->left[kind].count, 0);
    image_folder_close(f);
    unlink(files_path(folder, "\xff.txt"));
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("found neither");
}

static void check_left_out(const image_folder *f, left_out_kind kind, const char *want)
{
    char line[1024] = "";
    assert_int_equal(image_folder_left_out(f, kind, line, sizeof line), want != NULL);
    assert_string_equal(line, want ? want : "");
}

static void captions_lie_beside_pictures(void **state)
{
    const char *folder = *state;
    image_folder *f;
    files_put(folder, "x.PNG", "");
    files_put(folder, "x.txt", "\xef\xbb\xbf \n one\ntwo \r\n");
    files_put(folder, "a.b.jpeg", "");
    files_put(folder, "a.b.txt", "");
    files_put(folder, "a.b.jpg", "");
    files_put(folder, "notes.md", "not a picture");
    files_put(folder, ".png", "a hidden file, not a picture");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[0].file, "a.b.jpeg");
    assert_string_equal(f->list.items[0].text, "");
    assert_string_equal(f->list.items[1].file, "a.b.jpg");
    assert_string_equal(f->list.items[2].file, "x.PNG");
    assert_string_equal(f->list.items[2].text, "one\ntwo");
    assert_null(f->list.items[2].class_text);
    check_left_out(f, EMPTY_CAPTION, "2 pictures have empty captions; the first is a.b.jpeg");
    image_folder_close(f);
}

static void what_is_left_out_is_counted(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "10_dog")));
    CHECK_OK(newfile_make_folder(files_path(folder, ".ipynb_checkpoints")));
    CHECK_OK(newfile_make_folder(files_path(folder, "__MACOSX")));
    files_put(folder, ".ipynb_checkpoints/a.png", "");
    files_put(folder, "__MACOSX/a.png", "");
    files_put(folder, "b.png", "");
    files_put(folder, ".c.png", "");
    files_put(folder, "10_dog/._c.tiff", "");
    assert_int_equal(symlink("/gone/pictures", files_path(folder, "10_dog/more")), 0);
    assert_int_equal(symlink("/gone/pictures", files_path(folder, ".more")), 0);
    files_put(folder, "b.JFIF", "");
    files_put(folder, "b.txt", "b");
    files_put(folder, "10_dog/c.tiff", "");
    files_put(folder, "10_dog/c.TXT", "c");
    files_put(folder, "10_dog/d.heic", "");
    files_put(folder, "10_dog/d.txt", "d");
    files_put(folder, "10_dog/e.AVIF", "");
    files_put(folder, "10_dog/f.dib",
              ""); /* most have no header that tells them from other files */
    files_put(folder, "readme.txt", "e");
    files_put(folder, "set.zip", "");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[0].file, "10_dog/c.tiff");
    assert_string_equal(f->list.items[0].text, "c");
    assert_string_equal(f->list.items[0].caption_file, "10_dog/c.TXT");
    assert_string_equal(f->list.items[1].text, "b");
    check_left_out(f, LEFT_OUT_UNLISTED, NULL);
    check_left_out(f, LEFT_OUT_FORMAT,
                   "3 pictures are left out: their formats are not ones that "
                   "soda reads; the first is 10_dog/d.heic");
    check_left_out(f, LEFT_OUT_HIDDEN, "1 picture is left out: its name begins with a dot: .c.png");
    check_left_out(f, LEFT_OUT_ARCHIVE, "1 archive is left out: unpack it: set.zip");
    check_left_out(f, LEFT_OUT_LINK, "1 symbolic link leads nowhere and is left out: 10_dog/more");
    check_left_out(f, LEFT_OUT_CAPTION,
                   "1 caption file has no picture and is left out: readme.txt");
    check_left_out(f, SHARED_CAPTION,
                   "1 picture has the name, and so the caption, of another but "
                   "for the ending: b.png");
    check_left_out(f, EMPTY_CAPTION, NULL);
    check_left_out(f, REPEATS_FOLDER,
                   "1 folder name begins with repeats, as kohya's scripts read them, which soda "
                   "does not: all pictures are drawn equally often, and train.steps counts steps: "
                   "10_dog");
    image_folder_close(f);
}

static void only_folders_like_kohyas_have_repeats(void **state)
{
    static const char *const names[] = {"2023_summer", "001_fox", "10_", "10", "dog_10", "12x_a"};
    const char *folder = *state;
    char path[64];
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "7_empty")));
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_OK(newfile_make_folder(files_path(folder, names[i])));
        snprintf(path, sizeof path, "%s/a.png", names[i]);
        files_put(folder, path, "");
        snprintf(path, sizeof path, "%s/a.txt", names[i]);
        files_put(folder, path, "a");
    }
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 6);
    check_left_out(f, REPEATS_FOLDER, NULL);
    image_folder_close(f);
}

/* datasets makes splits of such folders, and scripts train on one of them alone. */
static void folders_that_are_not_for_training_are_named(void **state)
{
    static const char *const names[] = {"Test", "sub/val", "sub/eval", "test_1", "attest"};
    const char *folder = *state;
    char path[64];
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "sub")));
    CHECK_OK(newfile_make_folder(files_path(folder, "validation"))); /* without pictures */
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        CHECK_OK(newfile_make_folder(files_path(folder, names[i])));
        snprintf(path, sizeof path, "%s/a.png", names[i]);
        files_put(folder, path, "");
        snprintf(path, sizeof path, "%s/metadata.jsonl", names[i]);
        files_put(folder, path, "{\"file_name\": \"a.png\", \"text\": \"a\"}\n");
    }
    CHECK_OK(image_folder_open(folder, &f));
    check_left_out(f, SPLIT_FOLDER, NULL); /* no folder for training */
    image_folder_close(f);
    CHECK_OK(newfile_make_folder(files_path(folder, "train")));
    CHECK_OK(image_folder_open(folder, &f));
    check_left_out(f, SPLIT_FOLDER,
                   "1 folder beside train is part of the data set, too (data.path: .../train "
                   "leaves it out): Test");
    image_folder_close(f);
    CHECK_OK(newfile_make_folder(files_path(folder, "sub/training")));
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 5);
    check_left_out(f, SPLIT_FOLDER,
                   "3 folders beside train are part of the data set, too (data.path: .../train "
                   "leaves them out); the first is Test");
    image_folder_close(f);
}

/* A run whose output is the data set's folder, or one in it, draws pictures there. */
static void what_runs_wrote_is_left_out(void **state)
{
    static const char *const made[] = {"run", "run/samples", "samples", "other", "other/samples"};
    const char *folder = *state;
    image_folder *f;
    for (size_t i = 0; i < sizeof made / sizeof *made; i++)
        CHECK_OK(newfile_make_folder(files_path(folder, made[i])));
    files_put(folder, "a.png", "");
    files_put(folder, "a.txt", "a");
    files_put(folder, "run/.lock", "");
    files_put(folder, "run/metrics.jsonl", "");
    files_put(folder, "run/samples/b.png", "");
    files_put(folder, "other/samples/c.png", "");
    files_put(folder, "other/samples/c.txt", "c");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 2);
    check_left_out(f, LEFT_OUT_RUN, "1 folder is left out: a run of soda wrote it: run");
    image_folder_close(f);
    files_put(folder, ".lock", "");
    files_put(folder, "metrics.jsonl", "");
    files_put(folder, "samples/d.png", "");
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 2);
    check_left_out(f, LEFT_OUT_RUN,
                   "2 folders are left out: runs of soda wrote them; the first is run");
    image_folder_close(f);
}

/* A warning goes to stderr: read it back from a file. */
static void pictures_without_a_line_are_counted(void **state)
{
    const char *folder = *state, *log = files_path(folder, "log");
    image_folder *f;
    files_put(folder, "a.png", "");
    files_put(folder, "b.png", "");
    files_put(folder, "c.jpg", "");
    files_put(folder, "metadata.jsonl", "{\"file_name\": \"b.png\", \"text\": \"b\"}\n");
    CHECK_OK(image_folder_open(folder, &f));
    fflush(stderr);
    const int kept = dup(2);
    assert_non_null(freopen(log, "w", stderr));
    image_folder_warn(f);
    fflush(stderr);
    dup2(kept, 2);
    close(kept);
    assert_int_equal(f->list.count, 1);
    image_folder_close(f);
    char line[512] = "";
    FILE *file = fopen(log, "r");
    assert_non_null(file);
    assert_non_null(fgets(line, sizeof line, file));
    fclose(file);
    assert_non_null(strstr(line, "2 pictures are not listed in the metadata file"));
    assert_non_null(strstr(line, "the first is a.png"));
}

static void metadata_counts_for_the_folders_below(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_OK(newfile_make_folder(files_path(folder, "one")));
    CHECK_OK(newfile_make_folder(files_path(folder, "one/two")));
    files_put(folder, "z.png", "");
    files_put(folder, "z.txt", "z");
    files_put(folder, "one/a.png", "");
    files_put(folder, "one/two/b.png", "");
    files_put(folder, "one/two/c.png", "");
    files_put(folder, "one/metadata.jsonl",
              "{\"file_name\": \"a.png\", \"text\": \"a\"}\n"
              "{\"file_name\": \"two/b.png\", \"text\": \"b\"}\n");
    assert_int_equal(symlink("..", files_path(folder, "one/back")), 0);
    assert_int_equal(symlink("../../z.png", files_path(folder, "one/two/link.png")), 0);
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[1].file, "one/two/b.png");
    assert_string_equal(f->list.items[1].caption_file, "one/metadata.jsonl");
    assert_string_equal(f->list.items[2].file, "z.png");
    check_left_out(f, LEFT_OUT_UNLISTED,
                   "2 pictures are not listed in the metadata file and are "
                   "left out; the first is one/two/c.png");
    image_folder_close(f);
    files_put(folder, "metadata.csv", "file_name,text\none/two/c.png,c\n"); /* of both files */
    CHECK_OK(image_folder_open(folder, &f));
    assert_int_equal(f->list.count, 3);
    assert_string_equal(f->list.items[2].file, "one/two/c.png");
    check_left_out(f, LEFT_OUT_UNLISTED,
                   "2 pictures are not listed in the metadata file and are "
                   "left out; the first is one/two/link.png");
    image_folder_close(f);
    files_put(folder, "metadata.csv", "file_name,text\none/a.png,x\n");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("one/a.png is already listed in metadata.csv, line 2");
}

static void folders_without_captions_are_refused(void **state)
{
    const char *folder = *state;
    image_folder *f;
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("found none in this folder or its subfolders");
    files_put(folder, "a.heic", "");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("found none: 1 picture is left out: its format is not one that soda reads");
    CHECK_FAILS(image_folder_open(files_path(folder, "a.heic"), &f), SODA_ERR_INPUT);
    check_message_has("expected a folder of pictures, found a file");
    CHECK_FAILS(image_folder_open(files_path(folder, "none"), &f), SODA_ERR_IO);
    check_message_has("/none: cannot open: No such file");
    assert_int_equal(symlink("../.git/annex/objects/x", files_path(folder, "b.png")), 0);
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has(
        "/b.png: a symbolic link to ../.git/annex/objects/x, which does not exist: run");
    unlink(files_path(folder, "b.png"));
    files_put(folder, "a.png", "");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has(
        "/a.png: expected its caption in a.txt or in metadata.jsonl, found neither (1 ");
    files_put(folder, "metadata.json", "[]");
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("found metadata.json: write its entries to metadata.jsonl");
    unlink(files_path(folder, "metadata.json"));
    static const char *const bad[] = {"ab\xff",       "a\xc3",           "\xe2\x82",
                                      "\xed\xa0\x80", "\xc0\x80",        "\xf4\x90\x80\x80",
                                      "\xe0\x80\x80", "\xf0\x80\x80\x80"};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        files_put(folder, "a.txt", bad[i]);
        CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
        check_message_has("a.txt:1: expected text in UTF-8, found the byte 0x");
    }
    files_write(folder, "a.txt", "a\0b", 3);
    CHECK_FAILS(image_folder_open(folder, &f), SODA_ERR_INPUT);
    check_message_has("a.txt: expected text in UTF-8, found UTF-16");
    files_put(folder, "a.txt", "\xf4\x8f\xbf\xbf \xed\x9f\xbf \xe0\xa0\x80 \xf0\x90\x80\x80");
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
        cmocka_unit_test_setup_teardown(names_are_found_in_either_unicode_form, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(captions_are_found_in_either_unicode_form, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(captions_lie_beside_pictures, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_is_left_out_is_counted, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(only_folders_like_kohyas_have_repeats, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(folders_that_are_not_for_training_are_named, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_runs_wrote_is_left_out, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(metadata_counts_for_the_folders_below, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(pictures_without_a_line_are_counted, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(folders_without_captions_are_refused, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
