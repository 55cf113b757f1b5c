/* The folder of checkpoints: which are kept, which one a run goes on from, whatever happened. */
#include "io/checkpoint_case.h"
#include "io/hdf5_leaks.h"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <time.h>

/* The newest good checkpoint must be that of `step`. */
static void check_newest(const char *folder, int64_t step)
{
    static checkpoint_case c;
    soda_checkpoint read;
    char path[1024], want[1024];
    bool found;
    case_create(&c, step);
    CHECK_OK(checkpoint_read_newest(folder, &read, path, sizeof path, &found));
    assert_true(found);
    case_check_equal(&read, &c.checkpoint);
    checkpoint_free(&read);
    snprintf(want, sizeof want, "%s/step-%08lld.h5", folder, (long long)step);
    assert_string_equal(path, want);
}

static void damage(const char *folder, const char *name)
{
    const int fd = open(files_path(folder, name), O_WRONLY);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, "damage", 6, 3000), 6);
    close(fd);
}

static void the_newest_are_kept(void **state)
{
    const char *folder = *state;
    for (int64_t step = 98; step <= 104; step++) case_write(folder, step, step < 102 ? 9 : 3);
    assert_int_equal(files_count(folder), 4);
    assert_true(case_exists(folder, "step-00000102.h5"));
    assert_true(case_exists(folder, "step-00000103.h5"));
    assert_true(case_exists(folder, "step-00000104.h5"));
    case_write(folder, 105, 1);
    assert_int_equal(files_count(folder), 2);
    check_newest(folder, 105);
    case_write(folder, 100000000, 2); /* more digits, and larger */
    case_write(folder, 100000001, 2);
    assert_int_equal(files_count(folder), 3);
    check_newest(folder, 100000001);
}

/* A run that went back to an older checkpoint keeps what it writes itself. */
static void later_steps_are_the_oldest(void **state)
{
    const char *folder = *state;
    for (int64_t step = 1; step <= 5; step++) case_write(folder, 10 * step, 9);
    case_write(folder, 25, 4); /* of 25, 20, 10, 50, 40, 30 */
    assert_int_equal(files_count(folder), 5);
    assert_false(case_exists(folder, "step-00000030.h5"));
    assert_false(case_exists(folder, "step-00000040.h5"));
    check_newest(folder, 25);
    case_write(folder, 26, 2);
    assert_int_equal(files_count(folder), 3);
    assert_true(case_exists(folder, "step-00000025.h5"));
    case_write(folder, 5, 1);
    assert_int_equal(files_count(folder), 2);
    check_newest(folder, 5);
}

static void only_our_leftovers_are_removed(void **state)
{
    const char *folder = *state;
    static const char *const kept[] = {"notes.txt",
                                       "step-5.h5",
                                       "step-00000001.h5.bak",
                                       "mine.h5.tmp-1",
                                       "best-step-00000001.h5",
                                       "step-0000000x.h5"};
    for (int i = 0; i < 6; i++) files_write(folder, kept[i], "x", 1);
    files_write(folder, "step-00000003.h5.tmp-1", "x", 1);
    files_write(folder, "latest.tmp-77", "x", 1);
    case_write(folder, 1, 1);
    case_write(folder, 2, 1);
    for (int i = 0; i < 6; i++) assert_true(case_exists(folder, kept[i]));
    assert_int_equal(files_count(folder), 6 + 2);
    check_newest(folder, 2);
}

/* What cannot be deleted is no reason to stop. */
static void what_cannot_be_deleted_stays(void **state)
{
    assert_int_equal(mkdir(files_path(*state, "step-00000001.h5"), 0777), 0);
    log_set_quiet(true);
    case_write(*state, 2, 1);
    log_set_quiet(false);
    assert_int_equal(files_count(*state), 3);
    check_newest(*state, 2);
}

static void damaged_ones_are_passed_over(void **state)
{
    const char *folder = *state;
    soda_checkpoint read;
    char path[1024];
    bool found = true;
    for (int64_t step = 1; step <= 3; step++) case_write(folder, step, 3);
    log_set_quiet(true);
    damage(folder, "step-00000003.h5");
    check_newest(folder, 2);
    assert_int_equal(truncate(files_path(folder, "step-00000002.h5"), 100), 0);
    check_newest(folder, 1);
    assert_int_equal(unlink(files_path(folder, "step-00000001.h5")), 0);
    CHECK_FAILS(checkpoint_read_newest(folder, &read, path, sizeof path, &found), SODA_ERR_INPUT);
    check_message_has("none of its 2 checkpoints can be used: ");
    check_message_has("step-00000002.h5: cut short");
    log_set_quiet(false);
    assert_false(found);
    assert_int_equal(files_count(folder), 3); /* reading removes nothing */
}

static void latest_comes_first_if_it_makes_sense(void **state)
{
    const char *folder = *state;
    static const char *const nonsense[] = {
        "", "\n", "../step-00000001.h5\n", "step-00000009.h5\n", "step-1.h5", "/etc/passwd\n"};
    for (int64_t step = 1; step <= 3; step++) case_write(folder, step, 3);
    files_write(folder, "latest", "step-00000001.h5\n", 17);
    check_newest(folder, 1);
    files_write(folder, "latest", "step-00000002.h5", 16); /* by hand, without a newline */
    check_newest(folder, 2);
    log_set_quiet(true);
    for (int i = 0; i < 6; i++) {
        files_write(folder, "latest", nonsense[i], strlen(nonsense[i]));
        check_newest(folder, 3);
    }
    log_set_quiet(false);
    assert_int_equal(unlink(files_path(folder, "latest")), 0);
    check_newest(folder, 3);
}

/* A full disk: all that is older than the newest good one goes, and nothing else. */
static void room_is_made_of_older_ones(void **state)
{
    const char *folder = *state;
    int deleted = 7;
    CHECK_OK(checkpoint_make_room(folder, &deleted));
    assert_int_equal(deleted, 0);
    for (int64_t step = 10; step <= 40; step += 10) case_write(folder, step, 9);
    damage(folder, "step-00000040.h5");
    files_write(folder, "step-00000050.h5.tmp-n1-7", "x", 1);
    CHECK_OK(checkpoint_make_room(folder, &deleted));
    assert_int_equal(deleted, 2);
    assert_int_equal(files_count(folder), 3); /* 30, the damaged 40, `latest` */
    check_newest(folder, 30);
    CHECK_OK(checkpoint_make_room(folder, &deleted));
    assert_int_equal(deleted, 0);
    check_newest(folder, 30);
}

static soda_status count_down(const void *context)
{
    int *left = *(int *const *)context;
    return (*left)-- > 0 ? SODA_OK : FAIL(SODA_ERR_INPUT, "another run has this folder");
}

/* An attempt that was cut off while it wrote, and goes on after another one wrote newer ones: at
 * most its file is there, and nothing is deleted for it. */
static void who_lost_the_folder_deletes_nothing(void **state)
{
    static checkpoint_case c;
    const char *folder = *state;
    for (int may = 0; may < 2; may++) {
        int left = may;
        int *const counter = &left;
        for (int64_t step = 20; step <= 30; step += 10) case_write(folder, step, 2);
        case_create(&c, 10);
        c.checkpoint.permission = (newfile_permission){count_down, &counter};
        CHECK_FAILS(checkpoint_write(folder, &c.checkpoint, 1), SODA_ERR_INPUT);
        assert_int_equal(left, -1);
        assert_int_equal(files_count(folder), 3 + may); /* 20, 30, `latest`; 10 */
        check_newest(folder, 30);
    }
}

static void no_checkpoint_is_not_a_failure(void **state)
{
    soda_checkpoint read;
    char path[1024] = "as it was";
    bool found = true;
    CHECK_OK(checkpoint_read_newest(*state, &read, path, sizeof path, &found));
    assert_false(found);
    found = true;
    CHECK_OK(checkpoint_read_newest(files_path(*state, "no"), &read, path, sizeof path, &found));
    assert_false(found);
    assert_string_equal(path, "as it was");
    CHECK_FAILS(checkpoint_read_newest("/dev/null", &read, path, sizeof path, &found), SODA_ERR_IO);
    check_message_has("/dev/null");
    case_write(*state, 1, 1);
    CHECK_FAILS(checkpoint_read_newest(*state, &read, path, 10, &found), SODA_ERR_INPUT);
}

/* Writes checkpoints until it is killed; says so with a byte after each. */
static void write_for_ever(const char *folder, int64_t step, int to)
{
    static checkpoint_case c;
    for (;; step++) {
        case_create(&c, step);
        if (checkpoint_write(folder, &c.checkpoint, 2) != SODA_OK) _exit(1);
        if (write(to, "", 1) != 1) _exit(1);
    }
}

/* kill -9 at any moment: what was reported as written is there, or something newer. */
static void a_kill_harms_no_checkpoint(void **state)
{
    const char *folder = *state;
    int64_t step = 1;
    for (int kill_at = 0; kill_at < 12; kill_at++) {
        int ends[2], status;
        char byte;
        assert_int_equal(pipe(ends), 0);
        const pid_t child = fork();
        if (child == 0) write_for_ever(folder, step, ends[1]);
        close(ends[1]);
        assert_int_equal(read(ends[0], &byte, 1), 1);
        int64_t written = step;
        nanosleep(&(struct timespec){0, 700000 * kill_at}, NULL);
        assert_int_equal(kill(child, SIGKILL), 0);
        while (read(ends[0], &byte, 1) == 1) written++;
        close(ends[0]);
        assert_int_equal(waitpid(child, &status, 0), child);
        assert_true(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL);
        soda_checkpoint found_one;
        char path[1024];
        bool found;
        CHECK_OK(checkpoint_read_newest(folder, &found_one, path, sizeof path, &found));
        assert_true(found && found_one.step >= written && found_one.step <= written + 1);
        step = found_one.step;
        checkpoint_free(&found_one);
        check_newest(folder, step);
    }
    case_write(folder, step + 1, 2);
    assert_int_equal(files_count(folder), 3); /* and nothing unfinished is left */
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_newest_are_kept, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(later_steps_are_the_oldest, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(only_our_leftovers_are_removed, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_cannot_be_deleted_stays, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(damaged_ones_are_passed_over, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(latest_comes_first_if_it_makes_sense, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(room_is_made_of_older_ones, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(who_lost_the_folder_deletes_nothing, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(no_checkpoint_is_not_a_failure, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_kill_harms_no_checkpoint, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
