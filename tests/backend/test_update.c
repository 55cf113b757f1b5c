/* The update of the tested backend against comm/exact.h, optim/adamw.h and optim/stiefel.h. */
#include "support/check.h"

#include <math.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "core/philox.h"
#include "optim/grad_clip.h"
#include "support/tested.h"

enum { COUNT = 1003, LIMBS = COUNT * EXACT_LIMBS + 1 };

static soda_device *device;
static const soda_update *update;

static int open_update(void **state)
{
    (void)state;
    update = tested_update(&device);
    return 0;
}

static void *put(const void *host, size_t bytes)
{
    void *memory;
    CHECK_OK(device->alloc(device, bytes, &memory));
    CHECK_OK(device->upload(device, memory, host, bytes));
    return memory;
}

static void get(void *host, const void *memory, size_t bytes)
{
    CHECK_OK(device->download(device, host, memory, bytes));
}

/* Notes of one addition, and then what it noted. */
static update_notes put_notes(void)
{
    const update_found found = {0};
    const int64_t count = 0;
    return (update_notes){put(&found, sizeof found), put(&count, sizeof count)};
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
    get(&count, notes->count, sizeof count);
    assert_int_equal(count, 1);
    CHECK_OK(device->clear(device, notes->count, sizeof count));
    get(&found, notes->list, sizeof found);
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

static void exact_sums_have_the_bits_of_exact_h(void **state)
{
    (void)state;
    static int64_t want_limbs[LIMBS], limbs[LIMBS];
    static float x[COUNT], want[COUNT], got[COUNT];
    int64_t where;
    memset(want_limbs, 0, sizeof want_limbs);
    int64_t *sums = put(want_limbs, sizeof want_limbs);
    const update_notes notes = put_notes();
    for (uint32_t part = 1; part <= 4; part++) {
        fill_wild(x, part);
        CHECK_OK(exact_add(want_limbs, x, COUNT, &where));
        float *added = put(x, sizeof x);
        CHECK_OK(update->exact_add(device, sums, added, COUNT, &notes));
        const update_found found = get_found(&notes);
        assert_true(found.where == -1 && found.last == x[COUNT - 1]);
        float *rounded = put(x, sizeof x);
        CHECK_OK(update->exact_round(device, sums, 0.3f, rounded, COUNT));
        get(got, rounded, sizeof got);
        get(limbs, sums, sizeof limbs);
        exact_round(want_limbs, want, COUNT);
        for (int i = 0; i < COUNT; i++) want[i] *= 0.3f;
        assert_memory_equal(got, want, sizeof got);
        assert_memory_equal(limbs, want_limbs, sizeof limbs);
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
    get(x, memory, sizeof x);
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
        float *good = put(x, sizeof x);
        x[700] = x[900] = bad[i];
        float *added = put(x, sizeof x), *plain = put(zeros, sizeof sums);
        int64_t *exact = put(zeros, sizeof zeros);
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
        get(sums, plain, sizeof sums);
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
    float *const own[] = {put(x, sizeof x), put(bad, sizeof bad)};
    int64_t *exact = put(zeros, sizeof zeros), count;
    update_notes notes = {put(zeros, 3 * sizeof(update_found)), put(zeros, sizeof count)};
    update_found found[3];
    for (int i = 0; i < 3; i++) CHECK_OK(update->exact_add(device, exact, own[i % 2], 3, &notes));
    get(found, notes.list, sizeof found);
    get(&count, notes.count, sizeof count);
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
    float *memory = put(x, sizeof x);
    CHECK_OK(update->scale(device, 1.0f / 3, memory, memory, COUNT));
    get(y, memory, sizeof y);
    for (int i = 0; i < COUNT; i++) x[i] *= 1.0f / 3;
    assert_memory_equal(x, y, sizeof x);
    device->release(device, memory);
}

static double *put_norm(double norm) { return put(&norm, sizeof norm); }

static double get_double(const double *memory)
{
    double x;
    get(&x, memory, sizeof x);
    return x;
}

/* COUNT roundings of fp64 at most, in either order. */
static void norm_is_that_of_grad_clip(void **state)
{
    (void)state;
    float x[COUNT];
    check_fill_normal(x, COUNT, 5, 1e20f);
    const double want = grad_clip_norm(x, COUNT);
    float *memory = put(x, sizeof x);
    double *norm = put_norm(0);
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    const double got = get_double(norm);
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    assert_true(fabs(got / want - 1) <= COUNT * 0x1p-53);
    assert_true(get_double(norm) == got);
    CHECK_OK(update->norm(device, memory, 0, norm));
    assert_true(get_double(norm) == 0);
    x[COUNT - 1] = NAN;
    CHECK_OK(device->upload(device, memory, x, sizeof x));
    CHECK_OK(update->norm(device, memory, COUNT, norm));
    assert_false(isfinite(get_double(norm)));
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
        float *memory = put(x, sizeof x);
        double *norm = put_norm(norms[i]);
        double *limit = put_norm(limits[i]);
        CHECK_OK(update->clip(device, norm, limit, memory, COUNT));
        get(got, memory, sizeof got);
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
    float *const own[] = {put(x, sizeof x), put(m, sizeof m), put(v, sizeof v), put(x, sizeof x)};
    const int64_t first = 256 + 7; /* of two vectors; the other one ends within a block, too */
    const update_vector list[] = {
        {first, own[0], own[3], own[1], own[2]},
        {0},
        {COUNT - first, own[0] + first, own[3] + first, own[1] + first, own[2] + first}};
    update_vectors *vectors;
    CHECK_OK(update->vectors_open(device, list, 3, &vectors));
    double *const norms[] = {put_norm(1),
                             put_norm((double)NAN)}; /* under the second nothing moves */
    for (int t = 1; t <= 3; t++) {
        check_fill_normal(g, COUNT, (uint32_t)(20 + t), 0.01f);
        CHECK_OK(device->upload(device, own[3], g, sizeof g));
        adamw_step(&options, t, COUNT, x, g, m, v);
        const adamw_rule rule = adamw_rule_of(&options, t);
        adamw_rule *at = put(&rule, sizeof rule);
        for (int i = 0; i < 2; i++) CHECK_OK(update->adamw(device, vectors, at, norms[i]));
        device->release(device, at);
    }
    update->vectors_close(device, vectors);
    get(got, own[0], sizeof got);
    check_max_diff(got, x, COUNT, 3 * 0x1p-22);
    get(got, own[2], sizeof got);
    check_max_diff(got, v, COUNT, 3 * 0x1p-24 * 1e-3);
    for (int i = 0; i < 4; i++) device->release(device, own[i]);
    for (int i = 0; i < 2; i++) device->release(device, norms[i]);
}

/* X, G, Y, p, V and pV of a matrix, one behind the other, each with room for [n,m]. */
enum { ARRAYS = 6, LARGEST = 33 * 17, ROTATIONS = 6 };
typedef struct {
    int n, m;
    float host[ARRAYS][LARGEST], *own;
} matrix;

static void start(matrix *x, int n, int m)
{
    *x = (matrix){.n = n, .m = m};
    for (int i = 0; i < m; i++) x->host[0][i * m + i] = 1;
    x->own = put(x->host, sizeof x->host);
}

static stiefel_f32 view(const matrix *x, float *at)
{
    const bool tall = x->n > x->m;
    return (stiefel_f32){.n = x->n,
                         .m = x->m,
                         .X = at,
                         .G = at + LARGEST,
                         .Y = at + 2 * LARGEST,
                         .p = at + 3 * LARGEST,
                         .V = tall ? at + 4 * LARGEST : NULL,
                         .pV = tall ? at + 5 * LARGEST : NULL};
}

/* Step t on the device. */
static void step_rotations(update_rotations *rotations, const stiefel_options *o, int64_t t,
                           const double *norm, double *drift)
{
    const stiefel_rule rule = stiefel_rule_of(o, t);
    stiefel_rule *at = put(&rule, sizeof rule);
    CHECK_OK(update->rotations_step(device, rotations, at, norm, drift));
    device->release(device, at);
}

static void start_all(matrix *x, stiefel_f32 *host, stiefel_f32 *own)
{
    static const int sizes[ROTATIONS][2] = {{33, 17}, {20, 20}, {12, 5}, {7, 3}, {4, 4}, {1, 1}};
    for (int i = 0; i < ROTATIONS; i++) {
        start(&x[i], sizes[i][0], sizes[i][1]);
        host[i] = view(&x[i], x[i].host[0]);
        own[i] = view(&x[i], x[i].own);
    }
}

static void new_gradients(matrix *x, uint32_t t)
{
    for (int i = 0; i < ROTATIONS; i++) {
        check_fill_normal(x[i].host[1], x[i].n * x[i].m, 50 * t + (uint32_t)i, 1);
        CHECK_OK(device->upload(device, x[i].own + LARGEST, x[i].host[1], sizeof x[i].host[1]));
    }
}

/* Steps on the device beside stiefel_step_f32 on the host: the same roundings, but sums of up to 33
 * products of a few units in another order, off by 33^0.5 3 2^-24 = 1e-6 in Y and V. Adam divides a
 * gradient by its size: of 561 normal ones the least is about 1e-3, and a thousandth of lr is
 * 1e-5. */
static void follow(const stiefel_options *o, matrix *x)
{
    stiefel_f32 host[ROTATIONS], own[ROTATIONS];
    static float got[ARRAYS][LARGEST];
    double each[ROTATIONS], largest = 0, *drift = put_norm(0), *norm = put_norm(1);
    update_rotations *rotations;
    stiefel_work *work;
    start_all(x, host, own);
    CHECK_OK(stiefel_work_create(33, 20, &work));
    CHECK_OK(update->rotations_open(device, own, ROTATIONS, &rotations));
    for (int t = 1; t <= 3; t++) {
        new_gradients(x, (uint32_t)t);
        CHECK_OK(stiefel_step_f32(o, t, host, ROTATIONS, work, each));
        step_rotations(rotations, o, t, norm, drift);
    }
    for (int i = 0; i < ROTATIONS; i++) {
        const int m = x[i].m;
        largest = fmax(largest, each[i]);
        get(got, x[i].own, sizeof got);
        check_max_diff(got[0], x[i].host[0], x[i].n * m, 1e-5);
        check_max_diff(got[2], x[i].host[2], m * m, 5e-6);
        check_max_diff(got[4], x[i].host[4], x[i].n * m, 5e-6);
        for (int e = 0; e < m * m; e++) assert_true(got[2][e] == -got[2][e % m * m + e / m]);
    }
    assert_true(fabs(get_double(drift) - largest) <= 4e-6);
    update->rotations_close(device, rotations);
    device->release(device, drift);
    device->release(device, norm);
    stiefel_work_destroy(work);
}

static void rotations_follow_stiefel_h(void **state)
{
    (void)state;
    static matrix x[ROTATIONS], again[ROTATIONS];
    for (int which = 0; which < 2 * 3 * 2; which++) {
        const stiefel_options o = {.kind = (stiefel_kind)(which % 2),
                                   .retraction = (stiefel_retraction)(which / 2 % 3),
                                   .metric = (stiefel_metric)(which / 6),
                                   .lr = 1e-2,
                                   .beta1 = 0.9,
                                   .beta2 = 0.999,
                                   .eps = 1e-5,
                                   .momentum = 0.9,
                                   .dampening = 0.1};
        follow(&o, x);
        if (which == 0) follow(&o, again);
        for (int i = 0; i < ROTATIONS; i++) {
            if (which == 0) {
                static float first[ARRAYS][LARGEST], second[ARRAYS][LARGEST];
                get(first, x[i].own, sizeof first);
                get(second, again[i].own, sizeof second);
                assert_memory_equal(first, second, sizeof first);
                device->release(device, again[i].own);
            }
            device->release(device, x[i].own);
        }
    }
}

static void rotations_stay_without_a_norm(void **state)
{
    (void)state;
    static matrix x[ROTATIONS];
    static float got[LARGEST];
    const stiefel_options o = {
        .kind = STIEFEL_ADAM, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-5};
    stiefel_f32 host[ROTATIONS], own[ROTATIONS];
    update_rotations *rotations;
    double *drift = put_norm(1), *norm = put_norm(1), *none = put_norm((double)INFINITY);
    start_all(x, host, own);
    CHECK_OK(update->rotations_open(device, own, ROTATIONS, &rotations));
    new_gradients(x, 1);
    step_rotations(rotations, &o, 1, none, drift);
    assert_true(get_double(drift) == 0);
    for (int i = 0; i < ROTATIONS; i++) {
        get(got, x[i].own, sizeof got);
        assert_memory_equal(got, x[i].host[0], sizeof got);
    }
    step_rotations(rotations, &o, 1, norm, drift);
    get(got, x[1].own, sizeof got);
    assert_true(got[1] != 0);
    update->rotations_close(device, rotations);
    for (int i = 0; i < ROTATIONS; i++) device->release(device, x[i].own);
    device->release(device, drift);
    device->release(device, norm);
    device->release(device, none);
}

/* The square of the gradient overflows, the exponential has no finite result: the step returns. */
static void a_step_ends_when_the_exponent_overflows(void **state)
{
    (void)state;
    static matrix x;
    const stiefel_options o = {.kind = STIEFEL_SGD, .retraction = STIEFEL_EXPM, .lr = 1e-2};
    update_rotations *rotations;
    double *drift = put_norm(0), *norm = put_norm(1);
    start(&x, 3, 3);
    x.host[1][1] = 3e38f;
    x.host[1][3] = -3e38f;
    CHECK_OK(device->upload(device, x.own, x.host, sizeof x.host));
    const stiefel_f32 own = view(&x, x.own);
    CHECK_OK(update->rotations_open(device, &own, 1, &rotations));
    step_rotations(rotations, &o, 1, norm, drift);
    assert_false(isfinite(get_double(drift)));
    update->rotations_close(device, rotations);
    device->release(device, x.own);
    device->release(device, drift);
    device->release(device, norm);
}

static void no_rotations_are_a_list_too(void **state)
{
    (void)state;
    const stiefel_options o = {.kind = STIEFEL_ADAM};
    update_rotations *rotations;
    double *drift = put_norm(1), *norm = put_norm(1);
    CHECK_OK(update->rotations_open(device, NULL, 0, &rotations));
    step_rotations(rotations, &o, 1, norm, drift);
    assert_true(get_double(drift) == 0);
    update->rotations_close(device, rotations);
    device->release(device, drift);
    device->release(device, norm);
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
        cmocka_unit_test(rotations_follow_stiefel_h),
        cmocka_unit_test(rotations_stay_without_a_norm),
        cmocka_unit_test(a_step_ends_when_the_exponent_overflows),
        cmocka_unit_test(no_rotations_are_a_list_too),
    };
    return cmocka_run_group_tests(tests, open_update, NULL);
}
