/* The k-th allocation fails, for k = 1, 2, ... until the call succeeds: each failure says so,
 * leaves the folder as it was, and nothing behind in memory. */
#include "io/checkpoint_case.h"
#include "support/alloc_fault.h"

#include "io/spectra.h"

typedef soda_status (*call)(const char *folder);

/* Returns how many allocations the call makes. */
static long sweep(call run, const char *folder)
{
    const int files = files_count(folder);
    for (long k = 1;; k++) {
        alloc_fault_set(k);
        const soda_status s = run(folder);
        const long count = alloc_fault_count;
        alloc_fault_set(0);
        if (count < k) {
            check_status(s, SODA_OK, __FILE__, __LINE__);
            return count;
        }
        check_status(s, SODA_ERR_MEMORY, __FILE__, __LINE__);
        check_message_has("out of memory");
        assert_int_equal(files_count(folder), files);
    }
}

static soda_status read_one(const char *folder)
{
    soda_checkpoint read;
    TRY(checkpoint_read(files_path(folder, "step-00000001.h5"), &read));
    checkpoint_free(&read);
    return SODA_OK;
}

static soda_status read_newest(const char *folder)
{
    soda_checkpoint read;
    char path[1024];
    bool found;
    TRY(checkpoint_read_newest(folder, &read, path, sizeof path, &found));
    checkpoint_free(&read);
    return SODA_OK;
}

static void reading_survives_every_failed_allocation(void **state)
{
    case_write(*state, 1, 1);
    assert_true(sweep(read_one, *state) > 20);
    assert_true(sweep(read_newest, *state) > 20);
}

/* Up to the commit: `latest` and the list of files to delete come after it. */
static soda_status write_one(const char *folder)
{
    static checkpoint_case c;
    case_create(&c, 1);
    return checkpoint_write(folder, &c.checkpoint, 1);
}

static void writing_survives_every_failed_allocation(void **state)
{
    case_write(*state, 1, 1);
    assert_true(sweep(write_one, *state) > 10);
    case_check_file(files_path(*state, "step-00000001.h5"), 1);
}

static soda_status record(const char *folder)
{
    static const float sigma[2] = {2, 1}, angles[3] = {1, 1, 0};
    const spectra_layer layer = {"x", 2, 3, sigma, sigma, 1.9, angles, {0, 0, 0}};
    return spectra_record(files_path(folder, "spectra.h5"), 1, &layer, 1, NULL);
}

static void recording_survives_every_failed_allocation(void **state)
{
    CHECK_OK(record(*state));
    assert_true(sweep(record, *state) > 5);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(reading_survives_every_failed_allocation, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(writing_survives_every_failed_allocation, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(recording_survives_every_failed_allocation, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
