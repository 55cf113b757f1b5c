/* The update of the tested backend against comm/exact.h, optim/grad_clip.h and
 * optim/adamw.h. */
#include "support/check.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "core/philox.h"
#include "optim/grad_clip.h"
#include "support/update_case.h"

enum { COUNT = 1003, LIMBS = COUNT * EXACT_LIMBS + 1 };

/* Notes of one addition, and then what it noted. */
static update_notes put_notes(void)
{
    const update_found found = {0};
    const int64_t count = 0;
    return (update_notes){update_case_put(&found, sizeof found),
                          update_case_put(&count, sizeof count)};
}

static void release_notes(const update_notes *notes)
{
    device->release(device, notes->list);
    device->release(device, notes->count);
}

static update_found get_found(const update_notes *notes)
{
    update_found found;
    int64_t count;
    update_case_get(&count, notes->count, sizeof count);
    assert_int_equal(count, 1);
    CHECK_OK(device->clear(device, notes->count, sizeof count));
    update_case_get(&found, notes->list, sizeof found);
    return found;
}

/* Exponents from below 2^-110 to 2^48, a zero, numbers that cancel, a tie. */
static void fill_wild(float *x, uint32_t seed)
{
    uint32_t bits[COUNT];
    check_fill_normal(x, COUNT, seed, 1);
    philox_bits((philox_key){{seed, 6}}, (philox_counter){{0}}, bits, COUNT);
    for (int64_t i = 0; i < COUNT; i++) {
        const int around = (int)(i % 3 ? i : i + seed) * 7 % 158 - 112;
        x[i] = ldexpf(x[i], around - (int)(bits[i] % 3));
    }
    x[0] = 0;
    x[1] = seed % 2 ? 1 : 0x1p-24f;
    x[2] = seed % 2 ? 1 : -1;
    x[3] = 0x1.fffffep48f;
    x[4] = -0x1p-149f;
    x[5] = 0x1.fffffep-48f; /* 24 bits from bit 39 of its limb: two overflow without a carry */
}

static int by_size(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* In any order: a device has its own. */
static void check_same_limbs(const int64_t *limbs, const int64_t *want)
{
    static int64_t a[LIMBS], b[LIMBS];
    memcpy(a, limbs, sizeof a);
    memcpy(b, want, sizeof b);
    qsort(a, LIMBS, sizeof *a, by_size);
    qsort(b, LIMBS, sizeof *b, by_size);
    assert_memory_equal(a, b, sizeof a);
}

static void exact_sums_have_the_bits_of_exact_h(void **state)
{
    (void)state;
    static int64_t want_limbs[LIMBS], limbs[LIMBS];
    static float x[COUNT], want[COUNT], got[COUNT];
    int64_t where;
    memset(want_limbs, 0, sizeof want_limbs);
    int64_t *sums = update_case_put(want_limbs, sizeof want_limbs);
    const update_notes notes = put_notes();
    for (uint32_t part = 1; part <= 4; part++) {
        fill_wild(x, part);
        CHECK_OK(exact_add(want_limbs, x, COUNT, &where));
        float *added = update_case_put(x, sizeof x);
        CHECK_OK(update->exact_add(device, sums, added, COUNT, &notes));
        const update_found found = get_found(&notes);
        assert_true(found.where == -1 && found.last == x[COUNT - 1]);
        float *rounded = update_case_put(x, sizeof x);
        CHECK_OK(update->exact_round(device, sums, 0.3f, rounded, COUNT));
        update_case_get(got, rounded, sizeof got);
        update_case_get(limbs, sums, sizeof limbs);
        exact_round(want_limbs, want, COUNT);
        for (int i = 0; i < COUNT; i++) want[i] *= 0.3f;
        assert_memory_equal(got, want, sizeof got);
        check_same_limbs(limbs, want_limbs);
        device->release(device, added);
        device->release(device, rounded);
    }
    device->release(device, sums);
    release_notes(&notes);
}

static void check_found(const update_notes *notes, float value, float last)
{
    const update_found found = get_found(notes);
    assert_int_equal(found.where, 700);
    assert_memory_equal(&found.value, &value, sizeof value);
    assert_true(found.last == last);
}

static void check_all_nan(const float *memory)
{
    float x[COUNT];
    update_case_get(x, memory, sizeof x);
    for (int i = 0; i < COUNT; i++) assert_true(isnan(x[i]));
}

/* Two numbers that cannot be added: the first is found, and the sum is NaN, whatever else is added
 * to it. */
static void a_number_that_cannot_be_added_is_found(void **state)
{
    (void)state;
    static const float bad[] = {NAN, INFINITY, -INFINITY, 0x1p49f};
    static const int64_t zeros[LIMBS];
    static float x[COUNT], sums[COUNT];
    const update_notes notes = put_notes();
    for (int i = 0; i < 4; i++) {
        check_fill_normal(x, COUNT, 3, 1);
        float *good = update_case_put(x, sizeof x);
        x[700] = x[900] = bad[i];
        float *added = update_case_put(x, sizeof x), *plain = update_case_put(zeros, sizeof sums);
        int64_t *exact = update_case_put(zeros, sizeof zeros);
        CHECK_OK(update->exact_add(device, exact, added, COUNT, &notes));
        check_found(&notes, bad[i], x[COUNT - 1]);
        CHECK_OK(update->exact_add(device, exact, good, COUNT, &notes));
        assert_int_equal(get_found(&notes).where, -1);
        CHECK_OK(update->plain_add(device, plain, added, COUNT, &notes));
        if (i < 3)
            check_found(&notes, bad[i], x[COUNT - 1]);
        else
            assert_int_equal(get_found(&notes).where, -1);
        CHECK_OK(update->exact_round(device, exact, 1, added, COUNT));
        check_all_nan(added);
        if (i < 3) check_all_nan(plain);
        update_case_get(sums, plain, sizeof sums);
        if (i == 3) assert_memory_equal(sums, x, sizeof sums);
        device->release(device, added);
        device->release(device, good);
        device->release(device, plain);
        device->release(device, exact);
    }
    release_notes(&notes);
}

/* Two additions of a step note one behind the other. */
static void additions_note_in_their_order(void **state)
{
    (void)state;
    static const int64_t zeros[LIMBS];
    static const float x[3] = {1, 2, 3}, bad[3] = {4, NAN, 5};
    float *const own[] = {update_case_put(x, sizeof x), update_case_put(bad, sizeof bad)};
    int64_t *exact = update_case_put(zeros, sizeof zeros), count;
    update_notes notes = {update_case_put(zeros, 3 * sizeof(update_found)),
                          update_case_put(zeros, sizeof count)};
    update_found found[3];
    for (int i = 0; i < 3; i++) CHECK_OK(update->exact_add(device, exact, own[i % 2], 3, &notes));
    update_case_get(found, notes.list, sizeof found);
    update_case_get(&count, notes.count, sizeof count);
    assert_int_equal(count, 3);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(found[i].where, i % 2 ? 1 : -1);
        assert_true(found[i].last == (i % 2 ? bad : x)[2]);
    }
    for (int i = 0; i < 2; i++) device->release(device, own[i]);
    device->release(device, exact);
    release_notes(&notes);
}

static void scale_multiplies_once(void **state)
{
    (void)state;
    float x[COUNT], y[COUNT];
    check_fill_normal(x, COUNT, 4, 1);
    float *memory = update_case_put(x, sizeof x);
    CHECK_OK(update->scale(device, 1.0f / 3, memory, memory, COUNT));
    update_case_get(y, memory, sizeof y);
    for (int i = 0; i < COUNT; i++) x[i] *= 1.0f / 3;
    assert_memory_equal(x, y, sizeof x);
    device->release(device, memory);
}

/* COUNT roundings of fp64 at most, in either order. */
static void norm_is_that_of_grad_clip(void **state)
{
    (void)state;
    float x[COUNT];
    check_fill_normal(x, COUNT, 5, 1e20f);
    const double want = grad_clip_norm(x, COUNT);
    float *memory = update_case_put(x, sizeof x);
    double *norm = update_case_put_double(0);
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    const double got = update_case_get_double(norm);
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    assert_true(fabs(got / want - 1) <= COUNT * 0x1p-53);
    assert_true(update_case_get_double(norm) == got);
    CHECK_OK(update->norm(device, memory, 0, norm));
    assert_true(update_case_get_double(norm) == 0);
    x[COUNT - 1] = NAN;
    CHECK_OK(device->upload(device, memory, x, sizeof x));
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    assert_false(isfinite(update_case_get_double(norm)));
    device->release(device, memory);
    device->release(device, norm);
}

/* Limits that change nothing: off, and as large as the norm, plus the 1e-6 of grad_clip.h. */
static void clip_is_that_of_grad_clip(void **state)
{
    (void)state;
    static const double norms[] = {31.5, 31.5, 31.5, (double)INFINITY, (double)NAN},
                        limits[] = {2, 0, 32, 2, 2};
    float x[COUNT], got[COUNT];
    for (int i = 0; i < 5; i++) {
        check_fill_normal(x, COUNT, 6, 1);
        float *memory = update_case_put(x, sizeof x);
        double *norm = update_case_put_double(norms[i]);
        double *limit = update_case_put_double(limits[i]);
        CHECK_OK(update->clip(device, norm, limit, memory, COUNT));
        update_case_get(got, memory, sizeof got);
        const float factor = i ? 1 : (float)grad_clip_factor(norms[0], limits[0]);
        for (int k = 0; k < COUNT; k++) x[k] *= factor;
        assert_memory_equal(x, got, sizeof x);
        device->release(device, memory);
        device->release(device, norm);
        device->release(device, limit);
    }
}

/* The same formulas in fp64: a compiler may contract them, which moves at most one rounding to
 * fp32 of each of x, m and v per step; x up to 4 is off by at most 2^-22 then. */
static void adamw_is_that_of_optim(void **state)
{
    (void)state;
    const adamw_options options = {
        .lr = 3e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
    static float x[COUNT], m[COUNT], v[COUNT], g[COUNT], got[COUNT];
    check_fill_normal(x, COUNT, 7, 1);
    float *const own[] = {update_case_put(x, sizeof x), update_case_put(m, sizeof m),
                          update_case_put(v, sizeof v), update_case_put(x, sizeof x)};
    const int64_t first = 256 + 7; /* of two vectors; the other one ends within a block, too */
    const update_vector list[] = {
        {first, own[0], own[3], own[1], own[2]},
        {0},
        {COUNT - first, own[0] + first, own[3] + first, own[1] + first, own[2] + first}};
    update_vectors *vectors;
    CHECK_OK(update->vectors_open(device, list, 3, &vectors));
    double *const norms[] = {
        update_case_put_double(1),
        update_case_put_double((double)NAN)}; /* under the second nothing moves */
    for (int t = 1; t <= 3; t++) {
        check_fill_normal(g, COUNT, (uint32_t)(20 + t), 0.01f);
        CHECK_OK(device->upload(device, own[3], g, sizeof g));
        adamw_step(&options, t, COUNT, x, g, m, v);
        const adamw_rule rule = adamw_rule_of(&options, t);
        adamw_rule *at = update_case_put(&rule, sizeof rule);
        for (int i = 0; i < 2; i++) CHECK_OK(update->adamw(device, vectors, at, norms[i]));
        device->release(device, at);
    }
    update->vectors_close(device, vectors);
    update_case_get(got, own[0], sizeof got);
    check_max_diff(got, x, COUNT, 3 * 0x1p-22);
    update_case_get(got, own[2], sizeof got);
    check_max_diff(got, v, COUNT, 3 * 0x1p-24 * 1e-3);
    for (int i = 0; i < 4; i++) device->release(device, own[i]);
    for (int i = 0; i < 2; i++) device->release(device, norms[i]);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(exact_sums_have_the_bits_of_exact_h),
        cmocka_unit_test(a_number_that_cannot_be_added_is_found),
        cmocka_unit_test(additions_note_in_their_order),
        cmocka_unit_test(scale_multiplies_once),
        cmocka_unit_test(norm_is_that_of_grad_clip),
        cmocka_unit_test(clip_is_that_of_grad_clip),
        cmocka_unit_test(adamw_is_that_of_optim),
    };
    return cmocka_run_group_tests(tests, update_case_open, NULL);
}
