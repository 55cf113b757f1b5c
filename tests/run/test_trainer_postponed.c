/* Steps and the writing of checkpoints: a step waits for none of it, unless checkpoint.async is
 * false. A save that comes due while another one is being written is that of a later step, and the
 * run's result is the same. */
#include "trainer_case.h"

#include <dlfcn.h>
#include <stdatomic.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "support/caught_log.h"
#include "support/ranks.h"

enum { PATIENCE_MS = 100 * 1000, ROWS_BEFORE = 6 };

/* The first save is on its way until ROWS_BEFORE steps are done; training then lets it end. The
 * next two that are due come meanwhile. */
static atomic_bool holds, gave_up;
static atomic_int rows, writer; /* that thread; 0: not yet */
static _Thread_local bool trains;
static const soda_backend *backend; /* of both ranks */

/* Of a run whose steps wait: where it is, and the checkpoints that are missed once it moved on. */
static const char *waits_in;
static int looked, missed;

static bool is_alive(int thread)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/self/task/%d", thread);
    return access(path, F_OK) == 0;
}

static int real_fsync(int fd)
{
    int (*next)(int);
    *(void **)&next = dlsym(RTLD_NEXT, "fsync");
    return next(fd);
}

/* These two take the place of the C library's. */
int fsync(int fd)
{
    int none = 0;
    if (waits_in) usleep(20000); /* a step that does not wait is over by then */
    if (!holds || trains ||
        !atomic_compare_exchange_strong(&writer, &none, (int)syscall(SYS_gettid)))
        return real_fsync(fd);
    for (int ms = 0; rows < ROWS_BEFORE && !gave_up; ms++) {
        if (ms == PATIENCE_MS) gave_up = true;
        usleep(1000);
    }
    return real_fsync(fd);
}

static bool is_saved(const char *folder, const char *name, int step)
{
    char path[1200];
    snprintf(path, sizeof path, "%s/%s/checkpoints/step-%08d.h5", folder, name, step);
    return access(path, F_OK) == 0;
}

/* Before a step's row, the checkpoint after the step before it is there. */
static void look(int step)
{
    if (step == 0) return;
    looked++;
    missed += !is_saved(waits_in, "waits", step);
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    static const char row[] = "{\"step\": ";
    const ssize_t done = syscall(SYS_write, fd, data, bytes);
    if (bytes < sizeof row || memcmp(data, row, sizeof row - 1) != 0) return done;
    if (waits_in) look(atoi((const char *)data + sizeof row - 1));
    if (!holds) return done;
    if (++rows != ROWS_BEFORE) return done;
    for (int ms = 0; (!writer || is_alive(writer)) && !gave_up; ms++) {
        if (ms == PATIENCE_MS) gave_up = true;
        usleep(1000);
    }
    return done;
}

/* What a line of metrics.jsonl says besides times. */
static char *next_row(char **text)
{
    char *row = *text, *times = strstr(row, ", \"images_per_s\"");
    assert_non_null(times);
    *text = strchr(times, '\n') + 1;
    *times = '\0';
    return row;
}

static void check_same_rows(const char *folder, const char *a, const char *b, int count)
{
    char *text[2], *at[2], path[1200];
    size_t bytes;
    for (int i = 0; i < 2; i++) {
        snprintf(path, sizeof path, "%s/%s/metrics.jsonl", folder, i ? b : a);
        at[i] = text[i] = files_read(path, &bytes);
    }
    for (int i = 0; i < count; i++) assert_string_equal(next_row(&at[0]), next_row(&at[1]));
    assert_true(!*at[0] && !*at[1]);
    free(text[0]);
    free(text[1]);
}

static soda_status train_often(soda_comm *comm, void *folder)
{
    static const char *const often[] = {"checkpoint.every=2", "checkpoint.keep=9", NULL};
    trains = true;
    return trainer_case_of(comm, backend, folder, "often", TINY, 8, often);
}

/* What rank 0 decides by its writer, the others do, too: they compare their states before. */
static void no_step_waits_for_a_checkpoint_to_be_written(void **state)
{
    static const char *const never[] = {"checkpoint.every=100", NULL};
    char log[1024];
    ranks_result results[2];
    snprintf(log, sizeof log, "%s/log", (const char *)*state);
    backend = backend_cpu(1);
    CHECK_OK(trainer_case(backend, *state, "alone", TINY, 8, never));
    holds = true;
    const int kept = log_catch(log);
    ranks_run(2, train_often, *state, results);
    log_release(kept);
    holds = false;
    for (int i = 0; i < 2; i++) assert_int_equal(results[i].status, SODA_OK);
    assert_false(gave_up); /* training waited for the writer, or the writer for training */
    for (int step = 1; step <= 8; step++)
        assert_int_equal(is_saved(*state, "often", step), step == 2 || step == 7 || step == 8);
    assert_int_equal(log_count(log, "the checkpoint of step 4 waits: that of step 2 is still"), 1);
    assert_int_equal(log_count(log, " waits: "), 1);
    check_same_state(*state, "alone", "often");
    assert_true(adapter_distance(*state, "alone", "often") == 0);
    check_same_rows(*state, "alone", "often", 8);
}

static void steps_wait_for_their_checkpoints_if_they_are_told_to(void **state)
{
    static const char *const beside[] = {"checkpoint.every=100", NULL};
    static const char *const waits[] = {"checkpoint.every=1", "checkpoint.keep=9",
                                        "checkpoint.async=false", NULL};
    CHECK_OK(trainer_case(backend_cpu(1), *state, "beside", TINY, 4, beside));
    waits_in = *state;
    CHECK_OK(trainer_case(backend_cpu(1), *state, "waits", TINY, 4, waits));
    waits_in = NULL;
    assert_int_equal(looked, 3);
    assert_int_equal(missed, 0);
    check_same_state(*state, "beside", "waits");
    assert_true(adapter_distance(*state, "beside", "waits") == 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(no_step_waits_for_a_checkpoint_to_be_written),
        cmocka_unit_test(steps_wait_for_their_checkpoints_if_they_are_told_to)};
    return cmocka_run_group_tests(tests, trainer_setup, files_teardown);
}
