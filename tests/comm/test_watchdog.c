/* Who is at fault when a run stands still, and that a watchdog lets one alone that works. */
#include "comm/watchdog.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/check.h"

enum { RANKS = 3 };
static const watchdog_limits limits = {30, 30};

/* At 100 s all ranks were heard of just now and wait for each other since 99 s. */
static watchdog_view waiting(uint64_t collectives)
{
    return (watchdog_view){true, true, collectives, 100, 99};
}

static watchdog_verdict judge(const watchdog_view *view, double now_s, int *rank)
{
    return watchdog_judge(view, RANKS, now_s, limits, rank);
}

static void a_short_silence_is_no_fault(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(7), waiting(7), waiting(7)};
    int rank;
    view[1].heard_s = view[1].changed_s =
        75; /* a network that paused, a process that stood still */
    view[1].waits = false;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
}

static void a_silent_rank_is_named_first(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(7), waiting(7), waiting(7)};
    int rank;
    view[0].waits = false; /* it waits for rank 2 in some other way */
    view[0].changed_s = 60;
    view[2].heard_s = view[2].changed_s = 69;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_SILENT);
    assert_int_equal(rank, 2);
}

/* Told to end, it waits for less, but for work that goes on as long as before. */
static void a_silence_is_shorter_than_a_standstill(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(7), waiting(7), waiting(7)};
    const watchdog_limits hurried = {10, 30};
    int rank;
    view[1].changed_s = 75;
    view[1].waits = false;
    assert_int_equal(watchdog_judge(view, RANKS, 100, hurried, &rank), WATCHDOG_WELL);
    view[1].heard_s = 89;
    assert_int_equal(watchdog_judge(view, RANKS, 100, hurried, &rank), WATCHDOG_SILENT);
    assert_int_equal(rank, 1);
}

static void a_rank_that_does_nothing_is_stuck(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(7), waiting(7), waiting(7)};
    int rank;
    for (int i = 0; i < RANKS; i++) view[i].changed_s = 60;
    view[1].waits = false;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_STUCK);
    assert_int_equal(rank, 1);
    view[1].changed_s = 80; /* still at work: the others wait for it as long as it takes */
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
}

static void of_ranks_that_all_wait_the_last_is_behind(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(8), waiting(8), waiting(7)};
    int rank;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
    for (int i = 0; i < RANKS; i++) view[i].changed_s = 60;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_BEHIND);
    assert_int_equal(rank, 2);
}

static void where_a_rank_was_never_heard_of_nobody_is_behind(void **state)
{
    (void)state;
    watchdog_view view[RANKS] = {waiting(8), waiting(8), waiting(8)};
    int rank;
    view[1] = (watchdog_view){0};
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
    view[0].changed_s = view[2].changed_s = 60;
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
    memset(view, 0, sizeof view);
    assert_int_equal(judge(view, 100, &rank), WATCHDOG_WELL);
}

static void work(int tenths, bool beats)
{
    for (int i = 0; i < tenths; i++) {
        if (beats) pulse_beat();
        nanosleep(&(struct timespec){.tv_nsec = 100000000}, NULL);
    }
}

/* A watchdog with a limit of a second, beside work that lasts longer: the process would end. */
static void work_goes_on(void **state)
{
    (void)state;
    watchdog *dog;
    watchdog_start(0, 1, &dog);
    work(80, true);
    watchdog_join(dog, comm_self());
    work(80, true);
    watchdog_stop(dog);
}

static void without_a_limit_nothing_is_judged(void **state)
{
    (void)state;
    watchdog *dog;
    watchdog_start(0, 0, &dog);
    watchdog_join(dog, comm_self());
    watchdog_limit(dog, 1);
    watchdog_limit(dog, 0);
    work(80, false);
    watchdog_stop(dog);
}

/* The exit code of a process that does nothing for a minute: 0, unless it was ended. */
static int code_of_idleness(double first_s, double then_s, bool joined, const char *waits_in)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        watchdog *dog;
        watchdog_start(0, first_s, &dog);
        if (joined) watchdog_join(dog, comm_self());
        watchdog_limit(dog, then_s);
        pulse_wait(waits_in);
        work(600, false);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_process_that_does_nothing_is_ended(void **state)
{
    (void)state;
    assert_int_equal(code_of_idleness(1, 1, false, NULL), 1);
    assert_int_equal(code_of_idleness(1, 1, false, "MPI_Init"), 1);
    assert_int_equal(code_of_idleness(1000, 1, true, NULL), 1);
}

static atomic_bool computes;

/* Uses a core until it is told to stop, then neither uses nor wants one. */
static void *save(void *context)
{
    (void)context;
    pulse_save("writing a file", 7);
    while (atomic_load(&computes)) continue;
    pause();
    return NULL;
}

static void start_save(bool working)
{
    pthread_t thread;
    atomic_store(&computes, working);
    assert_int_equal(pthread_create(&thread, NULL, save, NULL), 0);
    while (!pulse_read_saver().part) work(1, true);
}

/* The exit code of a process that works while a thread of it saves: 0, unless it was ended. */
static int code_of_save(bool working)
{
    int status;
    const pid_t child = fork();
    if (child == 0) {
        watchdog *dog;
        watchdog_start(0, 1, &dog);
        watchdog_join(dog, comm_self());
        start_save(working);
        work(working ? 80 : 600, true);
        _exit(0);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_save_that_does_nothing_ends_the_process(void **state)
{
    (void)state;
    assert_int_equal(code_of_save(false), 1);
    assert_int_equal(code_of_save(true), 0);
}

/* It may well get no core for long: that is not its fault. */
static void a_thread_that_saves_is_ready_or_waits(void **state)
{
    (void)state;
    assert_null(pulse_read_saver().part);
    const pid_t child = fork();
    int status;
    if (child == 0) {
        start_save(true);
        bool well = pulse_saver_is_ready();
        atomic_store(&computes, false);
        while (pulse_saver_is_ready()) work(1, true); /* until it has seen that */
        const pulse_saver still = pulse_read_saver();
        work(1, true);
        well = well && still.used_ns > 0 && still.used_ns == pulse_read_saver().used_ns;
        well = well && strcmp(still.part, "writing a file") == 0 && still.step == 7;
        pulse_save(NULL, 0);
        _exit(well && !pulse_read_saver().part ? 0 : 1);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_true(WIFEXITED(status) && WEXITSTATUS(status) == 0);
}

static void the_pulse_tells_what_is_done(void **state)
{
    (void)state;
    const pulse before = pulse_read();
    pulse_phase("a phase", 12);
    pulse_collective("a collective");
    const pulse within = pulse_read();
    assert_string_equal(within.phase, "a phase");
    assert_string_equal(within.collective, "a collective");
    assert_int_equal(within.step, 12);
    assert_int_equal(within.collectives, before.collectives + 1);
    assert_true(within.beats > before.beats);
    assert_false(within.saved || within.hurried);
    pulse_collective(NULL);
    pulse_saved();
    assert_false(pulse_read().hurried);
    pulse_hurry();
    assert_true(pulse_read().hurried);
    assert_true(pulse_read().saved);
    assert_null(pulse_read().collective);
    assert_int_equal(pulse_read().collectives, within.collectives);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_short_silence_is_no_fault),
        cmocka_unit_test(a_silent_rank_is_named_first),
        cmocka_unit_test(a_silence_is_shorter_than_a_standstill),
        cmocka_unit_test(a_rank_that_does_nothing_is_stuck),
        cmocka_unit_test(of_ranks_that_all_wait_the_last_is_behind),
        cmocka_unit_test(where_a_rank_was_never_heard_of_nobody_is_behind),
        cmocka_unit_test(work_goes_on),
        cmocka_unit_test(without_a_limit_nothing_is_judged),
        cmocka_unit_test(a_process_that_does_nothing_is_ended),
        cmocka_unit_test(a_save_that_does_nothing_ends_the_process),
        cmocka_unit_test(a_thread_that_saves_is_ready_or_waits),
        cmocka_unit_test(the_pulse_tells_what_is_done),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
