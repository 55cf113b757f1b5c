#include "support/address_space.h"

#include <stdio.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include "support/check.h"

enum { SUCCEEDED, REFUSED, OTHERWISE, OUTCOMES, LIMIT_S = 10 };

static int64_t mapped_kib(void)
{
    long pages = 0;
    FILE *statm = fopen("/proc/self/statm", "r");
    assert_non_null(statm);
    assert_int_equal(fscanf(statm, "%ld", &pages), 1);
    fclose(statm);
    return pages * (sysconf(_SC_PAGE_SIZE) >> 10);
}

static void run_in_child(int64_t kib, soda_status (*run)(void))
{
    const rlim_t most = (rlim_t)(mapped_kib() + kib) << 10;
    setrlimit(RLIMIT_AS, &(struct rlimit){most, most});
    alarm(LIMIT_S);
    const soda_status s = run();
    if (s == SODA_OK) _exit(SUCCEEDED);
    if (s == SODA_ERR_MEMORY && strstr(status_message(), "out of memory")) _exit(REFUSED);
    fprintf(stderr, "%lld KiB: %s\n", (long long)kib, status_message());
    _exit(OTHERWISE);
}

void address_space_test(int64_t most_kib, int64_t step_kib, soda_status (*run)(void))
{
    int count[OUTCOMES] = {0};
    for (int64_t kib = 0; kib < most_kib; kib += step_kib) {
        int status;
        const pid_t child = fork();
        assert_true(child >= 0);
        if (child == 0) run_in_child(kib, run);
        assert_int_equal(waitpid(child, &status, 0), child);
        if (!WIFEXITED(status)) fail_msg("%lld KiB: signal %d", (long long)kib, WTERMSIG(status));
        assert_in_range(WEXITSTATUS(status), SUCCEEDED, OTHERWISE);
        count[WEXITSTATUS(status)]++;
    }
    assert_int_equal(count[OTHERWISE], 0);
    assert_true(count[SUCCEEDED] > 0 && count[REFUSED] > 0);
}
