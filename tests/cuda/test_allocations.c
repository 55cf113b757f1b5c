/* Every allocation of device or pinned memory in a training run fails once, in a run of its own: it
 * ends with one message that says what failed, leaves no adapter and no file that is half written;
 * or it goes on, where the allocation was one of a question that may go without an answer. Each run
 * is a process of its own, because the simulator counts a process's calls. */
#include <dirent.h>
#include <sys/wait.h>
#include <unistd.h>

#include "run/trainer_case.h"

#include "adapter/factorize.h"
#include "cuda/backend.h"

enum { DONE = 0, REFUSED = 10, BROKEN = 11 }; /* exit codes of a process */

static bool is_there(const char *folder, const char *file)
{
    char path[1024];
    snprintf(path, sizeof path, "%s/run/%s", folder, file);
    return access(path, F_OK) == 0;
}

static bool is_half_written(const char *folder)
{
    bool found = false;
    DIR *open = opendir(files_path(folder, "run"));
    const struct dirent *entry;
    while (open && (entry = readdir(open))) found = found || strstr(entry->d_name, ".tmp-");
    if (open) closedir(open);
    return found;
}

/* What a process does, and its exit code. */
static int run(const char *folder)
{
    static const char *const sets[] = {"train.global_batch=1", NULL};
    const soda_backend *backend = NULL;
    soda_status s = cuda_open(0, &backend);
    if (s == SODA_OK) factorize_by(backend->factorize); /* as the program does */
    if (s == SODA_OK) s = trainer_case(backend, folder, "run", TINY, 1, sets);
    if (s == SODA_OK) {
        cuda_close(backend);
        return is_there(folder, "adapter.safetensors") ? DONE : BROKEN;
    }
    const bool named = strstr(status_message(), "out of memory") != NULL;
    const bool clean = !is_there(folder, "adapter.safetensors") && !is_half_written(folder);
    if (!named || !clean) fprintf(stderr, "%s\n", status_message());
    return named && clean ? REFUSED : BROKEN;
}

/* In a process of its own, with this variable; bases are made anew, pictures were encoded. */
static int run_apart(const char *folder, const char *variable, const char *value)
{
    char command[2048];
    int status = 0;
    snprintf(command, sizeof command, "rm -rf '%s/run' '%s/cache/factors'", folder, folder);
    assert_int_equal(system(command), 0);
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) {
        setenv(variable, value, 1);
        exit(run(folder));
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

/* How many allocations a whole run has. */
static int count_places(const char *folder)
{
    int places = 0;
    size_t bytes;
    for (int i = 0; i < 2; i++) /* the first one encodes the pictures */
        assert_int_equal(run_apart(folder, "CUSIM_CALLS", files_path(folder, "calls")), DONE);
    char *calls = files_read(files_path(folder, "calls-0"), &bytes);
    assert_int_equal(sscanf(calls, "alloc %d", &places), 1);
    free(calls);
    return places;
}

static void an_allocation_that_fails_ends_the_run(void **state)
{
    setenv("SODA_CACHE", files_path(*state, "cache"), 1);
    const int places = count_places(*state);
    const int step = tested_all() ? 1 : 10;
    int tried = 0, ended = 0;
    assert_true(places > 50);
    for (int place = 0; place < places; place += step, tried++) {
        char wanted[64];
        snprintf(wanted, sizeof wanted, "alloc:0:%d", place);
        const int code = run_apart(*state, "CUSIM_FAIL", wanted);
        if (code != DONE && code != REFUSED) fail_msg("%s: exit code %d", wanted, code);
        ended += code == REFUSED;
    }
    print_message("%d of %d places tried, %d ended the run\n", tried, places, ended);
    assert_true(ended > 0 && ended >= tried * 9 / 10);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(an_allocation_that_fails_ends_the_run),
    };
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
