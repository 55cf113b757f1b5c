/* Checkpoints: what was written comes back to the bit, or an error does. */
#include "io/checkpoint_case.h"
#include "io/hdf5_leaks.h"

#include <fcntl.h>
#include <time.h>

static void what_was_written_comes_back(void **state)
{
    case_check_file(case_write(*state, 100, 3), 100);
    assert_int_equal(files_count(*state), 2);
    size_t bytes;
    char *latest = files_read(files_path(*state, "latest"), &bytes);
    assert_string_equal(latest, "step-00000100.h5\n");
    free(latest);
}

/* Tensors and columns may be given in any order; nothing in the file tells when it was written. */
static void equal_contents_give_equal_bytes(void **state)
{
    static checkpoint_case c;
    size_t first, second;
    char *a = files_read(case_write(*state, 7, 1), &first);
    case_create(&c, 7);
    for (const time_t now = time(NULL); time(NULL) == now;) /* time stamps of HDF5 are in seconds */
        usleep(10000);
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    char *b = files_read(files_path(*state, "step-00000007.h5"), &second);
    assert_int_equal(first, second);
    assert_memory_equal(a, b, first);
    const checkpoint_tensor swapped = c.tensor[0];
    c.tensor[0] = c.tensor[2];
    c.tensor[2] = swapped;
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    case_check_file(files_path(*state, "step-00000007.h5"), 7);
    free(a);
    free(b);
}

static void sizes_at_the_ends_come_back(void **state)
{
    const char *path = files_path(*state, "step-123456789012.h5");
    checkpoint_case c;
    soda_checkpoint read;
    case_create(&c, 123456789012);
    char *config = malloc(200001); /* more than an attribute of HDF5 holds by itself */
    memset(config, 'x', 200000);
    config[200000] = '\0';
    c.checkpoint.config = config;
    c.checkpoint.rows = 0;
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    CHECK_OK(checkpoint_read(path, &read));
    case_check_equal(&read, &c.checkpoint);
    checkpoint_free(&read);
    free(config);

    c.checkpoint.config = c.checkpoint.method = "";
    c.checkpoint.count = c.checkpoint.columns = 0;
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    CHECK_OK(checkpoint_read(path, &read));
    case_check_equal(&read, &c.checkpoint);
    checkpoint_free(&read);
    checkpoint_free(&read); /* freeing what is empty does nothing */
}

/* 300,003 values are more than a chunk holds, and no chunk fits a whole number of times. */
static void large_tensors_come_back(void **state)
{
    const int64_t count = 3 * 100001;
    checkpoint_case c;
    soda_checkpoint read;
    float *values = malloc((size_t)count * sizeof *values);
    for (int64_t i = 0; i < count; i++) values[i] = (float)(i % 65521);
    case_create(&c, 1);
    c.tensor[1].dim[0] = 3;
    c.tensor[1].dim[1] = 100001;
    c.tensor[1].value = c.tensor[1].first = c.tensor[1].second = values;
    c.tensor[2].dim[0] = count;
    c.tensor[2].value = c.tensor[2].first = c.tensor[2].second = values;
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    CHECK_OK(checkpoint_read(files_path(*state, "step-00000001.h5"), &read));
    case_check_equal(&read, &c.checkpoint);
    checkpoint_free(&read);
    free(values);
}

static void what_a_file_cannot_hold_is_refused(void **state)
{
    checkpoint_case c;
    const char *const bad[] = {"", ".", "a/b"};
    for (int i = 0; i < 3; i++) {
        case_create(&c, 1);
        c.tensor[1].name = bad[i];
        CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_INTERNAL);
        case_create(&c, 1);
        c.column[1].name = bad[i];
        CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_INTERNAL);
    }
    case_create(&c, 1);
    c.tensor[1].name = c.tensor[2].name;
    CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_INTERNAL);
    check_message_has("delta");
    check_message_has("exists"); /* the reason is HDF5's */
    case_create(&c, 1);
    c.tensor[1].dim[0] = 0;
    CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_INTERNAL);
    case_create(&c, -1);
    CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_INTERNAL);
    assert_int_equal(files_count(*state), 0);
}

/* Fails unless reading the file, of which `bytes` at `at` were replaced by `with`, is refused. The
 * file is changed in place and then restored. */
static void check_replaced(const char *path, int fd, const char *whole, size_t at, const char *with,
                           size_t bytes)
{
    soda_checkpoint read;
    assert_int_equal(pwrite(fd, with, bytes, (off_t)at), bytes);
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    check_message_has(path);
    assert_int_equal(pwrite(fd, whole + at, bytes, (off_t)at), bytes);
}

/* One bit of every byte, then noise over longer stretches, then every shorter length. */
static void every_damage_is_noticed(void **state)
{
    const char *path = case_write(*state, 1, 1);
    soda_checkpoint read;
    size_t bytes;
    char *whole = files_read(path, &bytes), noise[64];
    const int fd = open(path, O_RDWR);
    assert_true(fd >= 0);
    for (size_t i = 0; i < bytes; i++) {
        const char flipped = (char)(whole[i] ^ (1 << i % 8));
        check_replaced(path, fd, whole, i, &flipped, 1);
    }
    for (size_t at = 0; at + sizeof noise <= bytes; at += 97) {
        for (size_t i = 0; i < sizeof noise; i++) noise[i] = (char)(31 * (at + i * i) + 7);
        check_replaced(path, fd, whole, at, noise, sizeof noise);
    }
    case_check_file(path, 1);
    for (size_t length = bytes; length-- > 0;) {
        assert_int_equal(ftruncate(fd, (off_t)length), 0);
        CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
        check_message_has("cut short: expected");
    }
    assert_int_equal(pwrite(fd, whole, bytes + 1, 0), bytes + 1); /* one more than there were */
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    assert_int_equal(ftruncate(fd, (off_t)bytes), 0);
    case_check_file(path, 1);
    close(fd);
    free(whole);
}

static void other_files_are_refused(void **state)
{
    soda_checkpoint read;
    static const char text[4000] = "a text\nthat is long enough";
    CHECK_FAILS(checkpoint_read(files_path(*state, "none.h5"), &read), SODA_ERR_IO);
    check_message_has("none.h5: cannot open: No such file");
    CHECK_FAILS(checkpoint_read(*state, &read), SODA_ERR_INPUT);
    check_message_has("not a file");
    CHECK_FAILS(checkpoint_read(files_write(*state, "a", "", 0), &read), SODA_ERR_INPUT);
    CHECK_FAILS(checkpoint_read(files_write(*state, "b", text, sizeof text), &read),
                SODA_ERR_INPUT);
    check_message_has("/format: expected \"soda-checkpoint\", found \"a text\"");
    CHECK_FAILS(checkpoint_read(files_write(*state, "c", "soda-checkpoint\n", 17), &read),
                SODA_ERR_INPUT);

    const char *bare = files_path(*state, "bare.h5"); /* HDF5, but nothing of ours */
    const hid_t file = H5Fcreate(bare, H5F_ACC_TRUNC, H5P_DEFAULT, H5P_DEFAULT);
    H5Fclose(file);
    CHECK_FAILS(checkpoint_read(bare, &read), SODA_ERR_INPUT);
    check_message_has("begins with \"soda-checkpoint\"");

    /* A file that claims to be huge takes no memory. */
    const char *path = case_write(*state, 1, 1);
    assert_int_equal(truncate(path, (off_t)1 << 40), 0);
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    check_message_has("found 1099511627776");
}

/* Changes the file as h5py would, without a new seal. */
static void set_attribute(const char *path, const char *name, int64_t value)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDWR, H5P_DEFAULT);
    const hid_t attribute = H5Aopen(file, name, H5P_DEFAULT);
    assert_true(attribute >= 0);
    assert_true(H5Awrite(attribute, H5T_NATIVE_INT64, &value) >= 0);
    H5Aclose(attribute);
    assert_true(H5Fclose(file) >= 0);
}

static void newer_versions_and_edits_are_refused(void **state)
{
    soda_checkpoint read;
    const char *path = case_write(*state, 1, 1);
    set_attribute(path, "version", 2);
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    check_message_has("/version: expected at most 1, found 2");
    path = case_write(*state, 1, 1);
    set_attribute(path, "step", 2);
    CHECK_FAILS(checkpoint_read(path, &read), SODA_ERR_INPUT);
    check_message_has("changed since it was written: expected \"sha256 ");
}

/* Full disks and the like */
static void a_full_disk_leaves_older_checkpoints(void **state)
{
    checkpoint_case c;
    const char *old = case_write(*state, 1, 1);
    struct stat about;
    assert_int_equal(stat(old, &about), 0);
    case_create(&c, 2);
    for (rlim_t room = 0; room < (rlim_t)about.st_size; room += 500) {
        files_limit(room);
        const soda_status status = checkpoint_write(*state, &c.checkpoint, 1);
        files_limit(RLIM_INFINITY);
        CHECK_FAILS(status, SODA_ERR_IO);
        check_message_has("step-00000002.h5: cannot write: File too large");
        assert_int_equal(files_count(*state), 2);
        case_check_file(old, 1);
    }
    CHECK_OK(checkpoint_write(*state, &c.checkpoint, 1));
    case_check_file(files_path(*state, "step-00000002.h5"), 2);
    assert_int_equal(files_count(*state), 2);
}

static void what_fails_is_named(void **state)
{
    checkpoint_case c;
    case_create(&c, 2);
    CHECK_FAILS(checkpoint_write(files_path(*state, "absent"), &c.checkpoint, 1), SODA_ERR_IO);
    check_message_has("absent/step-00000002.h5: cannot create: No such file");
    const char *old = case_write(*state, 1, 1);
    assert_int_equal(unlink(files_path(*state, "latest")), 0);
    assert_int_equal(mkdir(files_path(*state, "latest"), 0777), 0);
    CHECK_FAILS(checkpoint_write(*state, &c.checkpoint, 1), SODA_ERR_IO);
    check_message_has("latest: cannot rename");
    case_check_file(old, 1); /* nothing is deleted after a failure */
    case_check_file(files_path(*state, "step-00000002.h5"), 2);
    char *longer = calloc(1, 5001);
    memset(longer, 'x', 5000);
    CHECK_FAILS(checkpoint_write(longer, &c.checkpoint, 1), SODA_ERR_INPUT);
    check_message_has("too long");
    free(longer);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_was_written_comes_back, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(equal_contents_give_equal_bytes, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(sizes_at_the_ends_come_back, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(large_tensors_come_back, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_a_file_cannot_hold_is_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(every_damage_is_noticed, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(other_files_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(newer_versions_and_edits_are_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_full_disk_leaves_older_checkpoints, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(what_fails_is_named, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
