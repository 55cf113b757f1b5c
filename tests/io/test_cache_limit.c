/* The limit of the cache: what was used least recently goes first, what a running process uses
 * stays, and nothing else is touched. */
#include "support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "io/array_cache.h"
#include "io/cache_limit.h"
#include "io/newfile.h"
#include "io/shared_arrays.h"
#include "support/files.h"

static const float values[64] = {1, 2, 3};
static const safetensors_tensor array = {
    .name = "v", .dtype = SAFETENSORS_F32, .rank = 1, .dim = {64}, .data = values};

/* 64 digits, the last of them `i`. */
static const char *key_of(int i)
{
    static char key[SHA256_HEX];
    memset(key, 'a', SHA256_HEX - 1);
    key[SHA256_HEX - 2] = (char)('0' + i);
    return key;
}

static const char *path_of(const char *folder, int i)
{
    static char name[200];
    snprintf(name, sizeof name, "latents/%s.safetensors", key_of(i));
    return files_path(folder, name);
}

static bool is_there(const char *folder, int i) { return access(path_of(folder, i), F_OK) == 0; }

/* Items 0 to count - 1, used at second 1000 + i of 1970. */
static int64_t fill(const char *folder, int count)
{
    struct stat about = {0};
    CHECK_OK(newfile_make_folder(files_path(folder, "latents")));
    for (int i = 0; i < count; i++) {
        CHECK_OK(array_cache_store(folder, "latents", key_of(i), &array, 1));
        const struct timespec then[2] = {{1000 + i, 0}, {1000 + i, 0}};
        assert_int_equal(utimensat(AT_FDCWD, path_of(folder, i), then, 0), 0);
        assert_int_equal(stat(path_of(folder, i), &about), 0);
    }
    return about.st_size;
}

static void use(const char *folder, int i)
{
    soda_safetensors *set;
    CHECK_OK(array_cache_load(folder, "latents", key_of(i), &array, 1, &set));
    assert_non_null(set);
    safetensors_close(set);
}

static void least_recently_used_files_go_first(void **state)
{
    const char *folder = *state;
    cache_size removed, left;
    const int64_t bytes = fill(folder, 5);
    use(folder, 0);
    CHECK_OK(cache_limit_apply(folder, 5 * bytes, &removed, &left));
    assert_int_equal(removed.files, 0);
    CHECK_OK(cache_limit_apply(folder, 3 * bytes - 1, &removed, &left));
    assert_int_equal(removed.files, 3);
    assert_int_equal(removed.bytes, 3 * bytes);
    assert_int_equal(left.files, 2);
    assert_int_equal(left.bytes, 2 * bytes);
    const bool stay[5] = {true, false, false, false, true};
    for (int i = 0; i < 5; i++) assert_int_equal(is_there(folder, i), stay[i]);
}

/* A folder of models given as the cache by mistake loses none of them. */
static void only_files_of_a_cache_are_removed(void **state)
{
    const char *folder = *state;
    static const char *const others[] = {"latents/model.safetensors", "latents/notes.txt",
                                         "model.safetensors"};
    cache_size sizes[CACHE_KINDS], removed, left;
    int count;
    const int64_t bytes = fill(folder, 2);
    char half[300];
    snprintf(half, sizeof half, "latents/%s.safetensors.tmp-host-1", key_of(7));
    files_write(folder, half, "half", 4); /* of a process that has gone */
    for (int i = 0; i < 3; i++) files_write(folder, others[i], "mine", 4);
    CHECK_OK(cache_limit_measure(folder, sizes, &count, &left));
    assert_int_equal(count, 1);
    assert_string_equal(sizes[0].kind, "latents");
    assert_int_equal(left.files, 3);
    assert_int_equal(left.bytes, 2 * bytes + 4);
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_int_equal(removed.files, 3);
    for (int i = 0; i < 3; i++) assert_int_equal(access(files_path(folder, others[i]), F_OK), 0);
}

/* A child that uses the cache, and item `i` of it, until it is killed. */
static pid_t start_user(const char *folder, int i)
{
    int ready[2];
    char byte;
    assert_int_equal(pipe(ready), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        cache_use *mine;
        soda_safetensors *set = NULL;
        if (cache_limit_begin(folder, &mine) == SODA_OK && mine &&
            array_cache_load(folder, "latents", key_of(i), &array, 1, &set) == SODA_OK && set &&
            write(ready[1], "r", 1) == 1)
            pause();
        _exit(1);
    }
    close(ready[1]);
    assert_int_equal(read(ready[0], &byte, 1), 1);
    close(ready[0]);
    return child;
}

static void stop(pid_t child)
{
    int how;
    kill(child, SIGKILL);
    assert_int_equal(waitpid(child, &how, 0), child);
    assert_true(WIFSIGNALED(how) && WTERMSIG(how) == SIGKILL);
}

/* Two runs share the cache: each one's files stay until it is gone, even if it was killed. */
static void files_in_use_stay(void **state)
{
    const char *folder = *state;
    cache_size removed, left;
    fill(folder, 4);
    const pid_t first = start_user(folder, 1);
    nanosleep(&(struct timespec){.tv_sec = 1, .tv_nsec = 100000000}, NULL); /* another second */
    const pid_t second = start_user(folder, 2);
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_int_equal(removed.files, 2);
    assert_true(is_there(folder, 1) && is_there(folder, 2));
    stop(first); /* the second began later than the first used its file */
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_int_equal(removed.files, 1);
    assert_true(is_there(folder, 2));
    stop(second);
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_int_equal(removed.files, 1);
    assert_int_equal(left.files, 0);
}

/* What arrays stand for is in use as long as the list of them, and may be used again after it. */
static void a_list_of_arrays_holds_its_files(void **state)
{
    const char *folder = *state;
    shared_arrays list;
    cache_size removed, left;
    bool missing;
    fill(folder, 2);
    CHECK_OK(shared_arrays_create("latents", folder, 1, 1, &list));
    list.name[0] = "v";
    list.items[0].shape[0] = SHAPE(64);
    memcpy(list.items[0].key, key_of(0), SHA256_HEX);
    CHECK_OK(shared_arrays_link(&list));
    CHECK_OK(shared_arrays_missing(&list, 0, &missing));
    assert_false(missing);
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_true(is_there(folder, 0));
    assert_false(is_there(folder, 1));
    shared_arrays_destroy(&list);
    CHECK_OK(cache_limit_apply(folder, 0, &removed, &left));
    assert_false(is_there(folder, 0));
}

static void the_limit_is_in_gib(void **state)
{
    (void)state;
    int64_t bytes;
    unsetenv("SODA_CACHE_LIMIT");
    CHECK_OK(cache_limit_bytes(&bytes));
    assert_int_equal(bytes, 50LL << 30);
    setenv("SODA_CACHE_LIMIT", "0.5", 1);
    CHECK_OK(cache_limit_bytes(&bytes));
    assert_int_equal(bytes, 1LL << 29);
    setenv("SODA_CACHE_LIMIT", "none", 1);
    CHECK_OK(cache_limit_bytes(&bytes));
    assert_int_equal(bytes, INT64_MAX);
    static const char *const wrong[] = {"-1", "10GB", "much", "nan"};
    for (int i = 0; i < 4; i++) {
        setenv("SODA_CACHE_LIMIT", wrong[i], 1);
        CHECK_FAILS(cache_limit_bytes(&bytes), SODA_ERR_USAGE);
        check_message_has(wrong[i]);
        check_message_has("--cache-limit");
    }
    unsetenv("SODA_CACHE_LIMIT");
}

/* What a list of one item of `rows` x 1024 x 1024 numbers says on stderr. */
static char *warning_of(const char *folder, int64_t rows)
{
    shared_arrays list;
    size_t bytes;
    fflush(stderr);
    const int kept = dup(STDERR_FILENO);
    const int log = open(files_path(folder, "log"), O_CREAT | O_TRUNC | O_WRONLY, 0600);
    dup2(log, STDERR_FILENO);
    CHECK_OK(shared_arrays_create("factors", NULL, 1, 1, &list));
    list.items[0].shape[0] = SHAPE(rows, 1024, 1024);
    memcpy(list.items[0].key, key_of(0), SHA256_HEX);
    CHECK_OK(shared_arrays_link(&list));
    shared_arrays_destroy(&list);
    fflush(stderr);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(log);
    return files_read(files_path(folder, "log"), &bytes);
}

static void gigabytes_in_the_home_folder_are_announced(void **state)
{
    const char *folder = *state;
    setenv("HOME", folder, 1);
    unsetenv("SODA_CACHE");
    unsetenv("XDG_CACHE_HOME");
    char *much = warning_of(folder, 640), *little = warning_of(folder, 200);
    assert_non_null(strstr(much, "2.5 GiB of factors"));
    assert_non_null(strstr(much, "/.cache/soda"));
    assert_non_null(strstr(much, "--cache DIR"));
    assert_string_equal(little, "");
    setenv("SODA_CACHE", files_path(folder, "mine"), 1);
    char *chosen = warning_of(folder, 640);
    assert_string_equal(chosen, "");
    free(much);
    free(little);
    free(chosen);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(least_recently_used_files_go_first, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(only_files_of_a_cache_are_removed, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(files_in_use_stay, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_list_of_arrays_holds_its_files, files_setup,
                                        files_teardown),
        cmocka_unit_test(the_limit_is_in_gib),
        cmocka_unit_test_setup_teardown(gigabytes_in_the_home_folder_are_announced, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
