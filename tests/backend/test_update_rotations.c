/* The step of rotations of the tested backend against optim/stiefel.h. */
#include "support/check.h"

#include <math.h>
#include <stdbool.h>

#include "optim/stiefel.h"
#include "support/update_case.h"

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
    x->own = update_case_put(x->host, sizeof x->host);
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
    stiefel_rule *at = update_case_put(&rule, sizeof rule);
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
    double each[ROTATIONS], largest = 0, *drift = update_case_put_double(0),
                            *norm = update_case_put_double(1);
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
        update_case_get(got, x[i].own, sizeof got);
        check_max_diff(got[0], x[i].host[0], x[i].n * m, 1e-5);
        check_max_diff(got[2], x[i].host[2], m * m, 5e-6);
        check_max_diff(got[4], x[i].host[4], x[i].n * m, 5e-6);
        for (int e = 0; e < m * m; e++) assert_true(got[2][e] == -got[2][e % m * m + e / m]);
    }
    assert_true(fabs(update_case_get_double(drift) - largest) <= 4e-6);
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
                update_case_get(first, x[i].own, sizeof first);
                update_case_get(second, again[i].own, sizeof second);
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
    double *drift = update_case_put_double(1), *norm = update_case_put_double(1),
           *none = update_case_put_double((double)INFINITY);
    start_all(x, host, own);
    CHECK_OK(update->rotations_open(device, own, ROTATIONS, &rotations));
    new_gradients(x, 1);
    step_rotations(rotations, &o, 1, none, drift);
    assert_true(update_case_get_double(drift) == 0);
    for (int i = 0; i < ROTATIONS; i++) {
        update_case_get(got, x[i].own, sizeof got);
        assert_memory_equal(got, x[i].host[0], sizeof got);
    }
    step_rotations(rotations, &o, 1, norm, drift);
    update_case_get(got, x[1].own, sizeof got);
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
    double *drift = update_case_put_double(0), *norm = update_case_put_double(1);
    start(&x, 3, 3);
    x.host[1][1] = 3e38f;
    x.host[1][3] = -3e38f;
    CHECK_OK(device->upload(device, x.own, x.host, sizeof x.host));
    const stiefel_f32 own = view(&x, x.own);
    CHECK_OK(update->rotations_open(device, &own, 1, &rotations));
    step_rotations(rotations, &o, 1, norm, drift);
    assert_false(isfinite(update_case_get_double(drift)));
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
    double *drift = update_case_put_double(1), *norm = update_case_put_double(1);
    CHECK_OK(update->rotations_open(device, NULL, 0, &rotations));
    step_rotations(rotations, &o, 1, norm, drift);
    assert_true(update_case_get_double(drift) == 0);
    update->rotations_close(device, rotations);
    device->release(device, drift);
    device->release(device, norm);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(rotations_follow_stiefel_h),
        cmocka_unit_test(rotations_stay_without_a_norm),
        cmocka_unit_test(a_step_ends_when_the_exponent_overflows),
        cmocka_unit_test(no_rotations_are_a_list_too),
    };
    return cmocka_run_group_tests(tests, update_case_open, NULL);
}
