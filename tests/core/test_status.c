/* Failures carried between threads, and failures that get a prefix. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static soda_status fail_at(int i)
{
    return i % 7 == 3 ? FAIL(SODA_ERR_NUMERIC, "item %d is bad", i) : SODA_OK;
}

static void the_first_failure_of_many_threads_is_kept_whole(void **state)
{
    (void)state;
    status_slot slot = {0};
    assert_false(status_kept(&slot));
    assert_int_equal(status_take(&slot), SODA_OK);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < 100; i++) status_keep(&slot, fail_at(i));
    assert_true(status_kept(&slot));
    status_keep(&slot, FAIL(SODA_ERR_IO, "later"));
    status_clear();
    assert_int_equal(status_take(&slot), SODA_ERR_NUMERIC);
    int item = -1;
    assert_int_equal(sscanf(status_message(), "item %d is bad", &item), 1);
    assert_int_equal(item % 7, 3);
    assert_non_null(strstr(status_trace(), "test_status.c:"));
}

static soda_status passed(void)
{
    TRY(status_prefix(fail_at(10), "%s", "fox.png"));
    return SODA_OK;
}

static void a_prefix_stands_before_the_message(void **state)
{
    (void)state;
    assert_int_equal(status_prefix(SODA_OK, "never"), SODA_OK);
    assert_int_equal(passed(), SODA_ERR_NUMERIC);
    assert_string_equal(status_message(), "fox.png: item 10 is bad");
    assert_non_null(strstr(status_trace(), " < ")); /* where it began, then where it passed */
}

/* Messages that are longer than their buffer are cut, at the end. */
static void long_messages_are_cut(void **state)
{
    (void)state;
    char *text = malloc(5000);
    assert_non_null(text);
    memset(text, 'x', 4999);
    text[4999] = '\0';
    assert_int_equal(status_prefix(FAIL(SODA_ERR_INPUT, "%s", text), "first"), SODA_ERR_INPUT);
    assert_int_equal(strlen(status_message()), STATUS_MESSAGE - 1);
    assert_int_equal(strncmp(status_message(), "first: xxx", 10), 0);
    assert_int_equal(status_prefix(SODA_ERR_INPUT, "%s", text), SODA_ERR_INPUT);
    assert_int_equal(strlen(status_message()), STATUS_MESSAGE - 1);
    free(text);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_first_failure_of_many_threads_is_kept_whole),
        cmocka_unit_test(a_prefix_stands_before_the_message),
        cmocka_unit_test(long_messages_are_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
