/* Ranks that make forms in turns: the order is that of sizes, every form has one maker, and no rank
 * makes much more than another. */
#include "support/check.h"

#include "backend/fill_order.h"

static void sorts_by_falling_size_and_number(void **state)
{
    (void)state;
    const size_t bytes[] = {5, 9, 0, 9, 7};
    int list[] = {4, 3, 2, 1, 0, -1};
    const int want[] = {1, 3, 4, 0, 2, -1};
    assert_int_equal(fill_order_sort(bytes, list), SODA_OK);
    assert_memory_equal(list, want, sizeof want);
    int few[] = {2, 0, -1}; /* what is not in the list does not appear */
    assert_int_equal(fill_order_sort(bytes, few), SODA_OK);
    assert_memory_equal(few, ((int[]){0, 2, -1}), sizeof few);
}

static void every_form_has_one_maker(void **state)
{
    (void)state;
    enum { MOST = 6 };
    for (int ranks = 1; ranks <= MOST; ranks++)
        for (int turn = 0; turn < 4; turn++) {
            int makers[MOST] = {0};
            for (int rank = 0; rank < ranks; rank++) {
                const int form = fill_order_place(ranks, turn, rank);
                assert_in_range(form, 0, ranks - 1);
                makers[form]++;
                assert_int_equal(fill_order_place(ranks, turn, form), rank);
            }
            for (int form = 0; form < ranks; form++) assert_int_equal(makers[form], 1);
        }
}

/* Sizes 30, 29, ... 1 on 3 ranks: 465 in all. Without the change of direction 165, 155, 145. */
static void shares_are_alike(void **state)
{
    (void)state;
    int made[3] = {0};
    for (int turn = 0; turn < 10; turn++)
        for (int rank = 0; rank < 3; rank++)
            made[rank] += 30 - (3 * turn + fill_order_place(3, turn, rank));
    for (int rank = 0; rank < 3; rank++) assert_int_equal(made[rank], 155);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(sorts_by_falling_size_and_number),
                                       cmocka_unit_test(every_form_has_one_maker),
                                       cmocka_unit_test(shares_are_alike)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
