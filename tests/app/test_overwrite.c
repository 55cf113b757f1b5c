/* Files that are there already stay, unless --overwrite says otherwise. */
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/files.h"
#include "support/program.h"

#define SAMPLE "soda sample --model " SODA_SOURCE_DIR "/tests/golden/tiny-sd1 --prompt a --steps 2 "
#define BENCH "soda bench --arch " SODA_SOURCE_DIR "/tests/golden/tiny-sd1 --latent 8 --repeat 1 "

static void pictures_are_numbered_on(void **state)
{
    size_t bytes, again;
    program_expect(program_run(*state, SAMPLE "--out o --seed 1"), 0, "0000.png");
    char *first = files_read(files_path(*state, "o/0000.png"), &bytes);
    program_expect(program_run(*state, SAMPLE "--out o --seed 2 --n 2"), 0,
                   "o, 0001.png to 0002.png");
    char *kept = files_read(files_path(*state, "o/0000.png"), &again);
    assert_int_equal(files_count(files_path(*state, "o")), 3);
    assert_int_equal(bytes, again);
    assert_memory_equal(first, kept, bytes);
    free(kept);
    program_expect(program_run(*state, SAMPLE "--out o --seed 2 --overwrite"), 0, "0000.png");
    assert_int_equal(files_count(files_path(*state, "o")), 3);
    kept = files_read(files_path(*state, "o/0000.png"), &again);
    assert_true(bytes != again || memcmp(first, kept, bytes) != 0);
    free(kept);
    free(first);
}

/* Both find the same first number free. */
static void two_runs_into_one_folder_keep_all_pictures(void **state)
{
    program_expect(program_run(*state, "mkdir o; " SAMPLE "--out o --n 12 & " SAMPLE
                                       "--out o --n 12 --seed 2 & wait %%1 && wait %%2"),
                   0, "");
    assert_int_equal(files_count(files_path(*state, "o")), 24);
}

static void files_are_not_written_over(void **state)
{
    files_write(*state, "mine", "mine", 4);
    program_expect(program_run(*state, SAMPLE "--out o --save-latents mine"), 1,
                   "mine: expected the name of a new file");
    program_expect(program_run(*state, "soda export mine --to adapter --out mine"), 1,
                   "mine: expected the name of a new file");
    program_expect(program_run(*state, "soda replay run.yaml --batch b --out mine"), 1,
                   "mine: expected the name of a new file");
    program_expect(program_run(*state, BENCH "--dump-text mine"), 1,
                   "mine: expected the name of a new file");
    program_expect(program_run(*state, BENCH "--dump-dot none/g.dot"), 1,
                   "none/g.dot: cannot create: No such file or directory");
    program_expect(program_run(*state, BENCH "--dump-text /dev/full"), 1,
                   "/dev/full: cannot write: No space left on device");
    program_expect(program_run(*state, SAMPLE "--out o --save-latents none/l"), 1,
                   "none/l: cannot create: No such file or directory");
    assert_null(strstr(program_output, "sampling")); /* it shows before */
    program_expect(program_run(*state, "soda export run --to diff --out none/d"), 1,
                   "none/d: cannot create: No such file or directory");
    program_expect(program_run(*state, "soda replay run.yaml --batch b --out none/r"), 1,
                   "none/r: cannot create: No such file or directory");
    program_expect(program_run(*state, SAMPLE "--out new --save-latents new/l"), 0, "1 picture");
    size_t bytes;
    char *kept = files_read(files_path(*state, "mine"), &bytes);
    assert_int_equal(bytes, 4);
    free(kept);
    program_expect(program_run(*state, SAMPLE "--out o --save-latents mine --overwrite"), 0, "");
    free(files_read(files_path(*state, "mine"), &bytes));
    assert_true(bytes > 4);
}

/* Root may write in any folder, unless it gives up that right. */
#define AS_USER                                                                                    \
    "soda() { $([ $(id -u) != 0 ] || echo setpriv --bounding-set=-dac_override) " SODA_PROGRAM     \
    " \"$@\"; }; "

static void a_folder_for_pictures_is_tried_before_they_are_drawn(void **state)
{
    program_expect(program_run(*state, "mkdir -m 555 o; " AS_USER SAMPLE "--out o"), 1,
                   "o/0000.png: cannot create: Permission denied");
    assert_null(strstr(program_output, "sampling")); /* it shows before */
}

/* Also by root, who may put a file in the place of a device. */
static void a_pipe_is_written_to(void **state)
{
    program_expect(program_run(*state, "mkfifo p; cat p >got & " SAMPLE
                                       "--out o --save-latents p && wait && test -p p"),
                   0, "1 picture");
    program_expect(program_run(*state, "soda inspect got"), 0, "latents");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(pictures_are_numbered_on, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(two_runs_into_one_folder_keep_all_pictures, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(files_are_not_written_over, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_folder_for_pictures_is_tried_before_they_are_drawn,
                                        files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_pipe_is_written_to, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
