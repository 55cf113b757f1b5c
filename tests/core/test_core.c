/* core: the arena reuses blocks, failures keep their message, Philox matches published vectors. */
#include "support/check.h"

#include <string.h>

#include "core/arena.h"
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

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(arena_is_aligned_and_reuses_blocks),
        cmocka_unit_test(failures_carry_message_and_trace),
        cmocka_unit_test(philox_matches_random123_vector),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
