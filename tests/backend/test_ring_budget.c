/* What a ring's memory is spent on: weights that go round, and weights that are kept whole. */
#include "support/check.h"

#include <stdio.h>

#include "backend/ring.h"

enum { FORMS = 10, BYTES = 6400 };

static soda_status no_fill(const soda_weight *weight, const void *recipe, void *form)
{
    (void)weight, (void)recipe, (void)form;
    return SODA_OK;
}

/* Form i of 6400 bytes (the last of `last`) is used by step i and by step 2 FORMS - 1 - i, which
 * compute less with it the nearer they are to the middle. */
static soda_weights *list(size_t last, size_t *room)
{
    static char names[FORMS][16];
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    for (int step = 0; step < 2 * FORMS; step++) {
        const int i = step < FORMS ? step : 2 * FORMS - 1 - step;
        snprintf(names[i], sizeof names[i], "w%d", i);
        room[i] = i < FORMS - 1 ? BYTES : last;
        const weights_form form = {1, room[i], no_fill, NULL, 0};
        CHECK_OK(weights_note(weights, &(soda_weight){.name = names[i]}, &form, step, 0));
        weights->uses[step].flops = FORMS - i;
    }
    CHECK_OK(weights_cut(weights, BYTES));
    return weights;
}

/* How many rooms are left of the first ones, all of whose followers are gone. */
static int left(const size_t *room)
{
    int count = 0;
    while (count < FORMS && room[count] > 0) count++;
    for (int i = count; i < FORMS; i++) assert_int_equal(room[i], 0);
    return count;
}

static void a_budget_is_divided(void **state)
{
    (void)state;
    static const struct {
        size_t budget, round;
        int ranks, left;
    } cases[] = {
        {1 * BYTES, 1 * BYTES, 2, 10},            /* as little as works */
        {2 * BYTES, 2 * BYTES, 2, 10},            /* one gathered while another is used */
        {3 * BYTES, 2 * BYTES, 2, 8},             /* two halves more */
        {3 * BYTES, 2 * BYTES + BYTES / 4, 4, 9}, /* 3/4 of one; the rest goes round */
        {9 * BYTES, 9 * BYTES, 1, 10},            /* one rank has all of them anyway */
        {5 * BYTES, 2 * BYTES, 2, 4},
        {9 * BYTES, 9 * BYTES - 7 * BYTES / 8 * 7, 8, 3}, /* a quarter; the rest, too */
        {10 * BYTES, 0, 2, 0},                            /* all of them: nothing goes round */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t room[FORMS], bytes = cases[i].budget;
        soda_weights *w = list(BYTES, room);
        CHECK_OK(ring_divide(w, room, cases[i].ranks, &bytes));
        assert_int_equal(left(room), cases[i].left);
        assert_int_equal(bytes, cases[i].round);
        weights_destroy(w);
    }
}

/* The last form, the first in turn, is too large to be kept: others are. */
static void what_does_not_fit_is_passed_over(void **state)
{
    (void)state;
    size_t room[FORMS], bytes = 9 * (size_t)BYTES;
    soda_weights *w = list(4 * BYTES, room);
    CHECK_OK(ring_divide(w, room, 2, &bytes));
    assert_int_equal(bytes, 8 * BYTES);
    assert_true(room[FORMS - 1] > 0 && room[FORMS - 2] == 0 && room[FORMS - 3] == 0);
    assert_true(room[FORMS - 4] > 0);
    weights_destroy(w);
}

/* A network more finds the forms that are kept, and the ring, which grows for what is larger. */
static void the_first_network_spends_the_budget(void **state)
{
    (void)state;
    size_t room[FORMS], bytes = 0;
    ring_budget budget = {.wanted = 3 * BYTES};
    soda_weights *first = list(BYTES, room);
    CHECK_OK(ring_fit(&budget, first, room, 2, &bytes));
    assert_int_equal(left(room), 8);
    assert_int_equal(bytes, 2 * BYTES);
    assert_int_equal(budget.bytes, 3 * BYTES);
    for (int i = 0; i < FORMS; i++)
        assert_int_equal(ring_keeps(&budget, &first->entries[i]), room[i] == 0);
    soda_weights *second = list(3 * BYTES, room);
    room[FORMS - 1] = 3 * BYTES; /* as if it were another form */
    CHECK_OK(ring_fit(&budget, second, room, 2, &bytes));
    assert_int_equal(bytes, 3 * BYTES);
    room[FORMS - 1] = 4 * BYTES;
    assert_int_equal(ring_fit(&budget, second, room, 2, &bytes), SODA_ERR_INPUT);
    form_table_free(&budget.kept);
    weights_destroy(first);
    weights_destroy(second);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_budget_is_divided),
        cmocka_unit_test(what_does_not_fit_is_passed_over),
        cmocka_unit_test(the_first_network_spends_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
