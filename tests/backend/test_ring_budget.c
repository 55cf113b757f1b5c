/* What a ring's memory is spent on: weights that go round, and weights that are kept whole. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>

#include "backend/ring.h"

enum { FORMS = 10, BYTES = 6400 };

static soda_status no_fill(const soda_weight *weight, const void *recipe, void *form)
{
    (void)weight, (void)recipe, (void)form;
    return SODA_OK;
}

/* Form i of 6400 bytes (the last of `last`) is used by step i and by step 2 FORMS - 1 - i: those in
 * the middle compute next to nothing. */
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
        weights->flops += ldexp(1, 4 * (FORMS - i));
        CHECK_OK(weights_note(weights, &(soda_weight){.name = names[i]}, &form, step, 0));
    }
    CHECK_OK(weights_cut(weights, BYTES));
    return weights;
}

/* Rooms as they are shown in `shown`: k for a form that is kept, r for one that goes round. */
static void check_rooms(const size_t *room, const char *shown)
{
    for (int i = 0; shown[i]; i++) assert_int_equal(room[i] == 0, shown[i] == 'k');
}

/* Two forms go round, so a stretch has two that are not kept. The worst is always in the middle;
 * of the two forms there the first is kept. */
static void a_budget_is_divided(void **state)
{
    (void)state;
    static const struct {
        size_t budget, round;
        int ranks;
        const char *rooms;
    } cases[] = {
        {1 * BYTES, 1 * BYTES, 2, "rrrrrrrrrr"}, /* as little as works */
        {2 * BYTES, 2 * BYTES, 2, "rrrrrrrrrr"}, /* one gathered while another is used */
        {3 * BYTES, 2 * BYTES, 2, "rrrrrrrkkr"}, /* two halves more */
        {3 * BYTES, 2 * BYTES + BYTES / 4, 4, "rrrrrrrrkr"}, /* 3/4 of one; the rest goes round */
        {9 * BYTES, 9 * BYTES, 1, "rrrrrrrrrr"},             /* one rank has all of them anyway */
        {5 * BYTES, 2 * BYTES, 2, "rrrkkkkkkr"},
        {9 * BYTES, 9 * BYTES - 7 * BYTES / 8 * 7, 8, "rrkkkkkkkr"}, /* a quarter; the rest, too */
        {10 * BYTES, 0, 2, "kkkkkkkkkk"}, /* all of them: nothing goes round */
    };
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        size_t room[FORMS], bytes = cases[i].budget;
        soda_weights *w = list(BYTES, room);
        CHECK_OK(ring_divide(w, room, cases[i].ranks, &bytes));
        check_rooms(room, cases[i].rooms);
        assert_int_equal(bytes, cases[i].round);
        weights_destroy(w);
    }
}

/* The last form, of the worst stretch, is too large to be kept: others are. */
static void what_does_not_fit_is_passed_over(void **state)
{
    (void)state;
    size_t room[FORMS], bytes = 9 * (size_t)BYTES;
    soda_weights *w = list(4 * BYTES, room);
    CHECK_OK(ring_divide(w, room, 2, &bytes));
    assert_int_equal(bytes, 8 * BYTES);
    check_rooms(room, "rrrrrrrkkr");
    weights_destroy(w);
}

typedef struct {
    int form;
    double flops;  /* of the step that reads it */
    double before; /* of steps before, which read none */
} reader;

/* Which of four forms are kept by the first of two ranks; `more`: bytes beside two that go round.
 */
static void check_kept(const reader *readers, int count, const size_t *bytes, size_t more,
                       const char *shown)
{
    static const char *const names[4] = {"w0", "w1", "w2", "w3"};
    size_t room[4], budget = 2 * BYTES + more;
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    for (int step = 0; step < count; step++) {
        const reader *r = &readers[step];
        const weights_form form = {1, bytes[r->form], no_fill, NULL, 0};
        weights->flops += r->before + r->flops;
        room[r->form] = bytes[r->form];
        CHECK_OK(weights_note(weights, &(soda_weight){.name = names[r->form]}, &form, step, 0));
    }
    CHECK_OK(weights_cut(weights, BYTES));
    CHECK_OK(ring_divide(weights, room, 2, &budget));
    check_rooms(room, shown);
    weights_destroy(weights);
}

/* Forms 0 and 1 are used for next to nothing, but behind steps that compute much without weights:
 * the network has time for them. It has none for form 3 behind form 2, with which more is computed.
 */
static void what_is_computed_nearby_counts(void **state)
{
    (void)state;
    static const reader readers[] = {{0, 1, 1000}, {1, 1, 1000}, {2, 50, 1000}, {3, 50, 0}};
    static const size_t bytes[] = {BYTES, BYTES, BYTES, BYTES};
    check_kept(readers, 4, bytes, BYTES / 2, "rrkr");
}

static void what_is_gathered_often_or_large_comes_first(void **state)
{
    (void)state;
    static const reader often[] = {{0, 1, 0}, {1, 1, 0}, {2, 1, 0}, {1, 1, 0}, {3, 1, 0}};
    static const size_t bytes[] = {BYTES, BYTES, BYTES, BYTES};
    check_kept(often, 5, bytes, BYTES / 2, "rkrr");
    static const reader once[] = {{0, 1, 0}, {1, 1, 0}, {2, 2, 0}, {3, 2, 0}};
    static const size_t sizes[] = {BYTES / 2, BYTES, BYTES / 2, BYTES};
    check_kept(once, 4, sizes, BYTES / 2, "rkrr");
}

/* A network more finds the forms that are kept, and the ring, which grows for what is larger. */
static void the_first_network_spends_the_budget(void **state)
{
    (void)state;
    size_t room[FORMS], bytes = 0;
    ring_budget budget = {.wanted = 3 * BYTES};
    soda_weights *first = list(BYTES, room);
    CHECK_OK(ring_fit(&budget, first, room, 2, &bytes));
    check_rooms(room, "rrrrrrrkkr");
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
        cmocka_unit_test(what_is_computed_nearby_counts),
        cmocka_unit_test(what_is_gathered_often_or_large_comes_first),
        cmocka_unit_test(the_first_network_spends_the_budget),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
