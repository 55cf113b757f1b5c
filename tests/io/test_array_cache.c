/* The cache of arrays: what was stored comes back; what was damaged does not. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/log.h"
#include "io/array_cache.h"
#include "io/newfile.h"
#include "support/files.h"

static const float u_data[6] = {1, 2, 3, 4, 5, 6}, s_data[2] = {7, 8};
static const safetensors_tensor arrays[] = {
    {.name = "U", .dtype = SAFETENSORS_F32, .rank = 2, .dim = {3, 2}, .data = u_data},
    {.name = "s", .dtype = SAFETENSORS_F32, .rank = 1, .dim = {2}, .data = s_data},
};
static const char key[] = "0011223344556677889900112233445566778899001122334455667788990011";

static const char *stored_path(const char *folder)
{
    static char path[4200];
    snprintf(path, sizeof path, "%s/factors/%s.safetensors", folder, key);
    return path;
}

static void store(const char *folder)
{
    char factors[4200];
    snprintf(factors, sizeof factors, "%s/factors", folder);
    CHECK_OK(newfile_make_folder(factors));
    CHECK_OK(array_cache_store(folder, "factors", key, arrays, 2));
}

static void stored_arrays_come_back(void **state)
{
    const char *folder = *state;
    soda_safetensors *set;
    store(folder);
    CHECK_OK(array_cache_load(folder, "factors", key, arrays, 2, &set));
    assert_non_null(set);
    assert_memory_equal(safetensors_find(set, "U")->data, u_data, sizeof u_data);
    assert_memory_equal(safetensors_find(set, "s")->data, s_data, sizeof s_data);
    safetensors_close(set);
    CHECK_OK(
        array_cache_load(folder, "factors", "ff", arrays, 2, &set)); /* never stored: no warning */
    assert_null(set);
}

/* Every bit of the file in turn, and every shorter length: never wrong data, never an error. */
static void damaged_files_are_not_there(void **state)
{
    const char *folder = *state;
    soda_safetensors *set;
    size_t bytes;
    store(folder);
    char *whole = files_read(stored_path(folder), &bytes);
    log_set_quiet(true);
    for (size_t i = 0; i < 2 * bytes; i++) {
        FILE *file = fopen(stored_path(folder), "wb");
        if (i < bytes) whole[i] ^= (char)(1 << i % 8);
        assert_int_equal(fwrite(whole, 1, i < bytes ? bytes : i - bytes, file),
                         i < bytes ? bytes : i - bytes);
        fclose(file);
        if (i < bytes) whole[i] ^= (char)(1 << i % 8);
        CHECK_OK(array_cache_load(folder, "factors", key, arrays, 2, &set));
        if (!set) continue;
        /* a bit of the header that means nothing, such as a space turned into a tab */
        assert_memory_equal(safetensors_find(set, "U")->data, u_data, sizeof u_data);
        assert_memory_equal(safetensors_find(set, "s")->data, s_data, sizeof s_data);
        assert_true(i < bytes - sizeof u_data - sizeof s_data);
        safetensors_close(set);
    }
    log_set_quiet(false);
    CHECK_OK(array_cache_store(folder, "factors", key, arrays, 2)); /* and it can be replaced */
    CHECK_OK(array_cache_load(folder, "factors", key, arrays, 2, &set));
    assert_non_null(set);
    safetensors_close(set);
    free(whole);
}

static void other_shapes_and_keys_are_not_taken(void **state)
{
    const char *folder = *state;
    soda_safetensors *set;
    safetensors_tensor other[2];
    char moved[4200];
    store(folder);
    log_set_quiet(true);
    memcpy(other, arrays, sizeof other);
    other[0].dim[0] = 2;
    other[0].dim[1] = 3;
    CHECK_OK(array_cache_load(folder, "factors", key, other, 2, &set));
    assert_null(set);
    snprintf(moved, sizeof moved, "%s/factors/aa.safetensors", folder);
    assert_int_equal(rename(stored_path(folder), moved), 0);
    CHECK_OK(array_cache_load(folder, "factors", "aa", arrays, 2, &set));
    assert_null(set);
    log_set_quiet(false);
}

/* Anything the factors depend on changes the key. */
static void keys_tell_weights_and_methods_apart(void **state)
{
    (void)state;
    float data[6] = {1, 2, 3, 4, 5, 6};
    soda_tensor w = {SODA_F32, SHAPE(2, 3), data};
    char first[SHA256_HEX], again[SHA256_HEX];
    CHECK_OK(array_cache_weight_key(&w, "svd", 1, first));
    CHECK_OK(array_cache_weight_key(&w, "svd", 1, again));
    assert_string_equal(first, again);
    assert_int_equal(strlen(first), 64);
    CHECK_OK(array_cache_weight_key(&w, "lq", 1, again));
    assert_string_not_equal(first, again);
    CHECK_OK(array_cache_weight_key(&w, "svd", 2, again));
    assert_string_not_equal(first, again);
    w.shape = SHAPE(3, 2);
    CHECK_OK(array_cache_weight_key(&w, "svd", 1, again));
    assert_string_not_equal(first, again);
    w.shape = SHAPE(2, 3);
    data[5] = 6.000001f;
    CHECK_OK(array_cache_weight_key(&w, "svd", 1, again));
    assert_string_not_equal(first, again);
}

/* Two processes that store and load the same key at once never see anything but the whole file. */
static void processes_may_race(void **state)
{
    const char *folder = *state;
    store(folder);
    pid_t child[2];
    for (int p = 0; p < 2; p++) {
        if ((child[p] = fork()) != 0) continue;
        bool good = true;
        for (int i = 0; i < 30 && good; i++) {
            soda_safetensors *set = NULL;
            good = array_cache_store(folder, "factors", key, arrays, 2) == SODA_OK &&
                   array_cache_load(folder, "factors", key, arrays, 2, &set) == SODA_OK && set &&
                   !memcmp(safetensors_find(set, "U")->data, u_data, sizeof u_data);
            safetensors_close(set);
        }
        _exit(good ? 0 : 1);
    }
    for (int p = 0; p < 2; p++) {
        int how;
        assert_int_equal(waitpid(child[p], &how, 0), child[p]);
        assert_true(WIFEXITED(how) && WEXITSTATUS(how) == 0);
    }
    assert_int_equal(files_count(files_path(folder, "factors")), 1);
}

static void folder_is_taken_from_the_environment(void **state)
{
    const char *root = *state;
    char folder[4096], want[4200];
    struct stat about;
    setenv("HOME", root, 1);
    unsetenv("SODA_CACHE");
    unsetenv("XDG_CACHE_HOME");
    CHECK_OK(array_cache_folder("factors", folder, sizeof folder));
    snprintf(want, sizeof want, "%s/.cache/soda", root);
    assert_string_equal(folder, want);
    snprintf(want, sizeof want, "%s/.cache/soda/factors", root);
    assert_true(stat(want, &about) == 0 && S_ISDIR(about.st_mode));

    snprintf(want, sizeof want, "%s/xdg", root);
    setenv("XDG_CACHE_HOME", want, 1);
    CHECK_OK(array_cache_folder("factors", folder, sizeof folder));
    snprintf(want, sizeof want, "%s/xdg/soda", root);
    assert_string_equal(folder, want);

    snprintf(want, sizeof want, "%s/own", root);
    setenv("SODA_CACHE", want, 1);
    CHECK_OK(array_cache_folder("factors", folder, sizeof folder));
    assert_string_equal(folder, want);
    CHECK_FAILS(array_cache_folder("factors", folder, 5), SODA_ERR_INPUT);
    setenv("SODA_CACHE", "/dev/null/cache", 1);
    CHECK_FAILS(array_cache_folder("factors", folder, sizeof folder), SODA_ERR_IO);
    check_message_has("/dev/null");
}

static void a_store_that_fails_says_where(void **state)
{
    CHECK_FAILS(array_cache_store(files_path(*state, "absent"), "factors", key, arrays, 2),
                SODA_ERR_IO);
    check_message_has("absent/factors/0011");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(stored_arrays_come_back, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(damaged_files_are_not_there, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(other_shapes_and_keys_are_not_taken, files_setup,
                                        files_teardown),
        cmocka_unit_test(keys_tell_weights_and_methods_apart),
        cmocka_unit_test_setup_teardown(processes_may_race, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(folder_is_taken_from_the_environment, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(a_store_that_fails_says_where, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
