/* The k-th allocation fails, for k = 1, 2, ... until the call succeeds: each failure says so, and
 * leaves nothing behind (the sanitizers of the debug build watch for leaks). */
#include "io/safetensors_file.h"
#include "support/alloc_fault.h"
#include "support/check.h"

#include "io/newfile.h"
#include "io/safetensors.h"
#include "model/weight_files.h"

typedef soda_status (*call)(void *argument);

/* Returns how many allocations the call makes. */
static long sweep(call run, void *argument)
{
    for (long k = 1;; k++) {
        alloc_fault_set(k);
        const soda_status s = run(argument);
        const long count = alloc_fault_count;
        alloc_fault_set(0);
        if (count < k) {
            check_status(s, SODA_OK, __FILE__, __LINE__);
            return count;
        }
        check_status(s, SODA_ERR_MEMORY, __FILE__, __LINE__);
        check_message_has("memory");
    }
}

static soda_status open_folder(void *folder)
{
    soda_safetensors *set;
    soda_weight_source *source;
    TRY(safetensors_open_folder(folder, "m", &set));
    const soda_status s = weight_files_create(set, "vae.", &source);
    if (s == SODA_OK) weight_files_destroy(source);
    safetensors_close(set);
    return s;
}

static void opening_survives_every_failed_allocation(void **state)
{
    const char *header = "{\"__metadata__\":{\"k\":\"v\"},\"a\":{\"dtype\":\"F32\",\"shape\":[1],"
                         "\"data_offsets\":[0,4]}}";
    const char *index = "{\"weight_map\":{\"a\":\"m-1.safetensors\"}}";
    file_with(*state, "m-1.safetensors", header, 4);
    files_write(*state, "m.safetensors.index.json", index, strlen(index));
    assert_true(sweep(open_folder, *state) > 20);
}

static soda_status write_file(void *folder)
{
    static const float f[2] = {1, 2};
    const safetensors_pair pair = {"k", "v"};
    const safetensors_tensor t = {
        .name = "x", .dtype = SAFETENSORS_F32, .rank = 1, .dim = {2}, .data = f};
    return safetensors_write(files_path(folder, "w.safetensors"), &t, 1, &pair, 1);
}

static void writing_survives_every_failed_allocation(void **state)
{
    assert_true(sweep(write_file, *state) > 10);
    assert_int_equal(files_count(*state), 1);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(opening_survives_every_failed_allocation, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(writing_survives_every_failed_allocation, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
