/* core: the arena reuses blocks, failures keep their message, Philox matches published vectors,
 * progress counts what was done before. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/arena.h"
#include "core/log.h"
#include "core/philox.h"

static void arena_is_aligned_and_reuses_blocks(void **state)
{
    (void)state;
    soda_arena *arena;
    void *first, *second, *again;
    CHECK_OK(arena_create(&arena));
    CHECK_OK(arena_alloc(arena, 100, &first));
    CHECK_OK(arena_alloc(arena, 0, &second));
    assert_int_equal((uintptr_t)first % 64, 0);
    assert_int_equal((char *)second - (char *)first, 128);
    arena_destroy(arena);
    CHECK_OK(arena_create(&arena));
    CHECK_OK(arena_alloc(arena, 100, &again));
    assert_ptr_equal(again, first);
    CHECK_FAILS(arena_alloc(arena, (size_t)1 << 60, &again), SODA_ERR_MEMORY);
    check_message_has("out of memory");
    arena_destroy(arena);
}

static soda_status inner(void) { return FAIL(SODA_ERR_INPUT, "file.json: key: wanted %d", 3); }
static soda_status outer(void)
{
    TRY(inner());
    return SODA_OK;
}

static void failures_carry_message_and_trace(void **state)
{
    (void)state;
    CHECK_FAILS(outer(), SODA_ERR_INPUT);
    assert_string_equal(status_message(), "file.json: key: wanted 3");
    assert_non_null(strstr(status_trace(), " < "));
    assert_int_equal(status_exit_code(SODA_ERR_INPUT), 1);
    assert_int_equal(status_exit_code(SODA_ERR_USAGE), 2);
    assert_int_equal(status_exit_code(SODA_STOPPED), 75);
}

static void philox_matches_random123_vector(void **state)
{
    (void)state;
    uint32_t x[4];
    philox_bits((philox_key){{0, 0}}, (philox_counter){{0, 0, 0}}, x, 4);
    /* philox4x32-10 of zero key and counter: known-answer file of Random123 */
    const uint32_t want[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8};
    assert_memory_equal(x, want, sizeof want);
}

/* What a run that was resumed at step 100 of 300 says after 50 steps of 10 s, and at the end. */
static void progress_counts_what_was_done_before(void **state)
{
    (void)state;
    char line[256] = "", last[256] = "";
    FILE *file = tmpfile();
    assert_non_null(file);
    const int kept = dup(STDERR_FILENO);
    assert_true(dup2(fileno(file), STDERR_FILENO) >= 0);
    log_progress progress;
    log_progress_start(&progress, "training", 100, 300);
    progress.started_s -= 500;
    progress.shown_s -= 500;
    log_progress_update(&progress, 150, "loss 1");
    log_progress_update(&progress, 151, "loss 2"); /* less than five seconds later */
    log_progress_update(&progress, 300, NULL);
    dup2(kept, STDERR_FILENO);
    close(kept);
    rewind(file);
    assert_non_null(fgets(line, sizeof line, file));
    assert_non_null(fgets(last, sizeof last, file));
    fclose(file);
    assert_string_equal(line, "soda: training 150/300, 500.0 s, 1500 s left, loss 1\n");
    assert_string_equal(last, "soda: training 300/300, 500.0 s\n");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_aligned_and_reuses_blocks),
        cmocka_unit_test(failures_carry_message_and_trace),
        cmocka_unit_test(philox_matches_random123_vector),
        cmocka_unit_test(progress_counts_what_was_done_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
