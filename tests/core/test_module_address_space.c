/* A module of the program in less and less address space (ulimit -v): it is loaded, or refused for
 * want of memory. The loader's own words for that depend on which of its steps failed. */
#include "support/check.h"

#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "core/module.h"

/* A small one that needs no library which is not here already. */
#define MODULE SODA_TEST_MODULES "/tests/libsoda_test_build.so"

enum { MOST_KIB = 1024, STEP_KIB = 4, LOADED = 0, REFUSED = 1, OTHERWISE = 2 };

static int64_t mapped_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%ld", &pages), 1);
    fclose(statm);
    return pages * (sysconf(_SC_PAGE_SIZE) >> 10);
}

/* In a process of its own that may map so many KiB more. */
static int load_within(int64_t kib)
{
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        const rlim_t most = (rlim_t)(mapped_kib() + kib) << 10;
        const void *symbol;
        setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
        const soda_status s = module_load(MODULE, "soda_backend_plugin", &symbol);
        if (s == SODA_OK && symbol) _exit(LOADED);
        if (s == SODA_ERR_MEMORY && strstr(status_message(), "out of memory")) _exit(REFUSED);
        fprintf(stderr, "%lld KiB: %s\n", (long long)kib, status_message());
        _exit(OTHERWISE);
    }
    int status;
    assert_int_equal(waitpid(child, &status, 0), child);
    if (!WIFEXITED(status)) fail_msg("%lld KiB: signal %d", (long long)kib, WTERMSIG(status));
    return WEXITSTATUS(status);
}

static void a_module_without_room_is_refused_for_want_of_memory(void **state)
{
    int count[3] = {0};
    (void)state;
    for (int64_t kib = 0; kib < MOST_KIB; kib += STEP_KIB) count[load_within(kib)]++;
    assert_int_equal(count[OTHERWISE], 0);
    assert_true(count[LOADED] > 0 && count[REFUSED] > 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_module_without_room_is_refused_for_want_of_memory)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
