/* The ledger counts what a store of weights would hold, form by form. */
#include "support/check.h"

#include "plan/ledger.h"

static soda_status no_fill(const soda_weight *weight, const void *recipe, void *form)
{
    (void)weight, (void)recipe, (void)form;
    return FAIL(SODA_ERR_INTERNAL, "a plan packs nothing");
}

static void note(soda_weights *w, const char *name, soda_shape shape, uint64_t form, size_t bytes)
{
    const soda_weight weight = {name, {SODA_F32, shape, NULL}, false};
    const weights_form f = {.form = form, .bytes = bytes, .fill = no_fill};
    CHECK_OK(weights_note(w, &weight, &f, w->use_count, 0));
}

static void each_form_counts_once(void **state)
{
    (void)state;
    soda_weights *w;
    soda_residency *r;
    CHECK_OK(weights_create(&w));
    CHECK_OK(ledger_create(device_host(), 2, 0, &r));
    note(w, "matrix", SHAPE(2, 3), 1, 1000); /* 1024 with padding */
    note(w, "matrix", SHAPE(2, 3), 2, 640);
    note(w, "vector", SHAPE(6), 1, 65); /* 128 */
    note(w, "matrix", SHAPE(2, 3), 1, 1000);
    CHECK_OK(weights_cut(w, 1 << 20));
    assert_int_equal(r->missing(r, w), 1024 + 640 + 128);
    CHECK_OK(r->fill(r, w));
    assert_int_equal(r->missing(r, w), 0);
    CHECK_OK(r->fill(r, w)); /* another network with the same weights */
    const ledger_sums sums = ledger_report(r);
    assert_int_equal(sums.all, 1024 + 640 + 128);
    assert_int_equal(sums.small, 128);
    assert_int_equal(sums.largest, 1024);
    assert_int_equal(sums.forms, 3);
    assert_int_equal(residency_share(r, 0), (1024 + 640 + 128) / 2);
    residency_close(r);
    weights_destroy(w);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(each_form_counts_once)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
