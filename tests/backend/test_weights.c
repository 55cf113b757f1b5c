/* Forms of frozen weights: noted once, cut into visits, filled once and kept. */
#include "support/check.h"

#include <stdio.h>
#include <string.h>

#include "backend/residency.h"

enum { NAMES = 500, FORMS = 3 };

static int fills;

static soda_status fill(const soda_weight *weight, const void *recipe, void *form)
{
    const unsigned char *what = recipe;
    memset(form, *what + weight->name[11] - '0', 64);
    fills++;
    return SODA_OK;
}

static void note(soda_weights *weights, const char *name, int form, size_t bytes, int step)
{
    const soda_weight weight = {.name = name};
    const unsigned char recipe = (unsigned char)(10 * form);
    CHECK_OK(weights_note(weights, &weight,
                          &(weights_form){(uint64_t)form, bytes, fill, &recipe, 1}, step, 0));
}

/* More entries than the table starts with, so that it has to grow; each is wanted twice. */
static soda_weights *note_all(char (*names)[32])
{
    soda_weights *weights;
    CHECK_OK(weights_create(&weights));
    for (int pass = 0; pass < 2; pass++)
        for (int i = 0; i < NAMES; i++)
            for (int form = 0; form < FORMS; form++) {
                snprintf(names[i], 32, "unet.block.%d.weight", i);
                note(weights, names[i], form, 64, (pass * NAMES + i) * FORMS + form);
            }
    return weights;
}

static void every_form_is_made_once_and_kept(void **state)
{
    (void)state;
    static char names[NAMES][32];
    static void *first[2 * NAMES * FORMS];
    soda_weights *weights = note_all(names);
    soda_residency *store;
    CHECK_OK(resident_create(device_host(), &store));
    assert_int_equal(weights->entry_count, NAMES * FORMS);
    assert_int_equal(weights->use_count, 2 * NAMES * FORMS);
    assert_int_equal(store->missing(store, weights), 64 * NAMES * FORMS);
    fills = 0;
    for (int again = 0; again < 2; again++) { /* a second network wants the same */
        CHECK_OK(store->fill(store, weights));
        assert_int_equal(fills, NAMES * FORMS);
        assert_int_equal(store->bytes, 64 * NAMES * FORMS);
        assert_int_equal(store->missing(store, weights), 0);
        for (int u = 0; u < weights->use_count; u++) {
            const unsigned char *data = store->address(store, weights, u);
            assert_int_equal((uintptr_t)data % 64, 0);
            assert_int_equal(data[63], 10 * (u % FORMS) + names[u / FORMS % NAMES][11] - '0');
            if (again) assert_ptr_equal(data, first[u]);
            first[u] = store->address(store, weights, u);
            assert_ptr_equal(first[u], first[u % (NAMES * FORMS)]);
        }
    }
    residency_close(store);
    weights_destroy(weights);
}

static void mistakes_and_exhaustion_leave_the_store_usable(void **state)
{
    (void)state;
    const soda_weight w = {.name = "unet.block.1"};
    soda_weights *a, *b, *huge;
    soda_residency *store;
    CHECK_OK(resident_create(device_host(), &store));
    CHECK_OK(weights_create(&a));
    CHECK_OK(weights_create(&b));
    CHECK_OK(weights_create(&huge));
    note(a, w.name, 7, 128, 0);
    CHECK_FAILS(weights_note(a, &w, &(weights_form){7, 64, fill, NULL, 0}, 1, 0),
                SODA_ERR_INTERNAL);
    check_message_has("has 128 bytes, 64 were asked for");
    note(huge, w.name, 8, SIZE_MAX / 2 - 4096, 0);
    CHECK_FAILS(store->fill(store, huge), SODA_ERR_MEMORY);
    CHECK_OK(store->fill(store, a));
    note(b, w.name, 7, 64, 0); /* of another network */
    note(b, w.name, 9, 64, 1);
    CHECK_FAILS(store->fill(store, b), SODA_ERR_INTERNAL);
    CHECK_OK(store->fill(store, a));
    residency_close(store);
    weights_destroy(a);
    weights_destroy(b);
    weights_destroy(huge);
}

/* Steps want 30, 40, 40 (again the same), 20 + 30, 200, 10 bytes; at most 100 are there at once. */
static void uses_are_cut_into_visits(void **state)
{
    (void)state;
    soda_weights *w;
    CHECK_OK(weights_create(&w));
    note(w, "unet.block.a", 1, 30, 2);
    note(w, "unet.block.b", 1, 40, 3);
    note(w, "unet.block.b", 1, 40, 5);
    note(w, "unet.block.c", 1, 20, 6);
    note(w, "unet.block.d", 1, 30, 6);
    note(w, "unet.block.e", 1, 200, 7);
    note(w, "unet.block.a", 1, 30, 9);
    CHECK_OK(weights_cut(w, 100));
    const weights_visit want[] = {
        {2, 5, 0, 3, 0, 0}, {6, 6, 3, 2, 0, 0}, {7, 7, 5, 1, 0, 0}, {9, 9, 6, 1, 0, 0}};
    assert_int_equal(w->visit_count, 4);
    assert_memory_equal(w->visits, want, sizeof want);
    weights_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_form_is_made_once_and_kept),
        cmocka_unit_test(mistakes_and_exhaustion_leave_the_store_usable),
        cmocka_unit_test(uses_are_cut_into_visits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
