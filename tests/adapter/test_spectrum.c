/* Spectra: singular values against those of the merged weight, angles against a dense rotation. */
#include "adapter/layer_case.h"

#include <pthread.h>

#include "adapter/lapack.h"
#include "adapter/spectrum.h"

/* Every case: m < n, m = n, m > n, both methods. */
enum { CASES = 2 * CASE_SHAPES };
static void create(layer_case *c, int which, bool random)
{
    case_create(c, which % 2 ? &method_soda_lq : &method_soda_svd, case_shapes[which / 2].m,
                case_shapes[which / 2].factor, random);
}

static int64_t least(const soda_layer *l) { return l->m < l->n ? l->m : l->n; }

/* The singular values of the dense merged W, rotation and all, are sigma. W's norm is below 15, its
 * bases and rotation are off by 2^-24 an entry and sigma is rounded to fp32: 15 * 3 * 6e-8. */
static void sigma_is_that_of_the_merged_weight(void **state)
{
    (void)state;
    static layer_case c;
    static double W[CASE_MOST];
    float sigma[42], angles[42];
    double want[42];
    for (int which = 0; which < CASES; which++) {
        create(&c, which, true);
        const soda_layer *l = &c.layer;
        soda_spectrum got = {.sigma = sigma, .angles = angles};
        CHECK_OK(spectrum_compute(l, c.value, &got));
        CHECK_OK(l->method->merge(l, c.value, W));
        const lapack_routines *lapack;
        CHECK_OK(lapack_enter(&lapack));
        assert_int_equal(lapack->svd('N', (int)l->n, (int)l->m, W, want, NULL, NULL), 0);
        lapack_leave();
        for (int64_t i = 0; i < least(l); i++) assert_true(fabs((double)sigma[i] - want[i]) < 3e-6);
        if (case_is_svd(l->method)) assert_true(sigma[least(l) - 1] == 0); /* closed gate */
    }
}

/* Before the first step: sigma0 is what W0's SVD says, nothing has moved, R is the identity. */
static void a_new_adapter_has_moved_nothing(void **state)
{
    (void)state;
    static layer_case c;
    static float U[CASE_MOST], Vh[CASE_MOST];
    float sigma0[42], s[42], sigma[42], angles[42];
    for (int which = 0; which < CASES; which++) {
        create(&c, which, false);
        const soda_layer *l = &c.layer;
        soda_spectrum got = {.sigma = sigma, .angles = angles};
        CHECK_OK(factorize_svd(c.w0, l->m, l->n, U, s, Vh));
        CHECK_OK(spectrum_start(l, sigma0));
        CHECK_OK(spectrum_compute(l, c.value, &got));
        assert_memory_equal(sigma, sigma0, (size_t)least(l) * sizeof *sigma);
        check_max_diff(sigma0, s, least(l), 1e-6); /* an ulp of a value below 8 is 5e-7 */
        for (int64_t i = 0; i < l->n; i++) assert_true(angles[i] == 0);
        for (int i = 0; i < 3; i++) assert_true(got.orthogonality[i] == 0);
    }
}

static int by_falling(const void *a, const void *b)
{
    const double x = *(const double *)a, y = *(const double *)b;
    return (x < y) - (x > y);
}

/* The angles of the dense R1 x R2 x R3, i = (i1 n2 + i2) n3 + i3, by its own eigenvalues. */
static void dense_angles(const layer_case *c, double *angles)
{
    static double R[42 * 42];
    const int64_t *f = c->layer.factor, n = c->layer.n, right = f[1] * f[2];
    double real[42], imaginary[42];
    for (int64_t e = 0; e < n * n; e++) {
        const int64_t i = e / n, j = e % n;
        R[e] = (double)c->param[0][i / right * f[0] + j / right] *
               (double)c->param[1][i / f[2] % f[1] * f[1] + j / f[2] % f[1]] *
               (double)c->param[2][i % f[2] * f[2] + j % f[2]];
    }
    const lapack_routines *lapack; /* R' has the same eigenvalues */
    CHECK_OK(lapack_enter(&lapack));
    assert_int_equal(lapack->eigenvalues((int)n, R, real, imaginary), 0);
    lapack_leave();
    for (int64_t i = 0; i < n; i++) angles[i] = fabs(atan2(imaginary[i], real[i]));
    qsort(angles, (size_t)n, sizeof *angles, by_falling);
}

/* R is normal up to 1e-7, so its eigenvalues move by no more than fp64 rounds; what is compared was
 * rounded to fp32, by at most 1.2e-7 below 4, or kept below pi, by 2.4e-7. */
static void angles_are_those_of_the_dense_rotation(void **state)
{
    (void)state;
    static layer_case c;
    float sigma[42], angles[42];
    double want[42];
    for (int which = 0; which < CASES; which++) {
        create(&c, which, true);
        soda_spectrum got = {.sigma = sigma, .angles = angles};
        CHECK_OK(spectrum_compute(&c.layer, c.value, &got));
        dense_angles(&c, want);
        for (int64_t i = 0; i < c.layer.n; i++) {
            assert_true(fabs((double)angles[i] - want[i]) < 2.5e-7);
            assert_true(angles[i] >= 0 && (double)angles[i] <= M_PI);
            assert_true(i == 0 || angles[i] <= angles[i - 1]);
        }
    }
}

/* A turn by `angle` in the plane of axes 0 and 1. */
static void set_turn(float *R, int64_t n, double angle)
{
    for (int64_t i = 0; i < n * n; i++) R[i] = i % (n + 1) == 0;
    R[0] = R[n + 1] = (float)cos(angle);
    R[1] = (float)-sin(angle);
    R[n] = (float)sin(angle);
}

/* Turns by a, b, c in factors of 2, 3 and 5: sums of +-a, {+-b, 0} and {+-c, 0, 0, 0}, folded:
 * 2.5 + 1 + 0.25 is 3.75, which is a turn by 2 pi - 3.75 the other way. */
static void known_turns_add_up(void **state)
{
    (void)state;
    static layer_case c;
    static const double a[] = {2.5, -2.5}, b[] = {1, -1, 0}, g[] = {0.25, -0.25, 0, 0, 0};
    float sigma[42], angles[42];
    double want[30];
    create(&c, 0, false);
    set_turn(c.param[0], 2, 2.5);
    set_turn(c.param[1], 3, 1);
    set_turn(c.param[2], 5, 0.25);
    for (int i = 0; i < 30; i++) {
        const double sum = fabs(a[i / 15] + b[i / 5 % 3] + g[i % 5]);
        want[i] = sum > M_PI ? 2 * M_PI - sum : sum;
    }
    qsort(want, 30, sizeof *want, by_falling);
    soda_spectrum got = {.sigma = sigma, .angles = angles};
    CHECK_OK(spectrum_compute(&c.layer, c.value, &got));
    for (int i = 0; i < 30; i++) /* three turns, each rounded to fp32 */
        assert_true(fabs((double)angles[i] - want[i]) < 3e-7);
    set_turn(c.param[0], 2, M_PI); /* the fp32 next to pi is larger: not that one */
    CHECK_OK(spectrum_compute(&c.layer, c.value, &got));
    assert_true(angles[0] > 3.141592f && (double)angles[0] <= M_PI);
}

/* A factor scaled by 1 + e has R'R - I = (2 e + e^2) I, of norm (2 e + e^2) sqrt(n). */
static void orthogonality_is_the_distance_of_each_factor(void **state)
{
    (void)state;
    static layer_case c;
    float sigma[42], angles[42];
    create(&c, 0, false);
    soda_spectrum got = {.sigma = sigma, .angles = angles};
    for (int i = 0; i < 25; i += 6) c.param[2][i] = 1.25f;
    c.param[1][1] = 0.5f; /* R'R - I has 0.5 twice beside the diagonal and 0.25 on it */
    CHECK_OK(spectrum_compute(&c.layer, c.value, &got));
    assert_true(got.orthogonality[0] == 0);
    assert_true(fabs(got.orthogonality[1] - 0.75) < 1e-15);
    assert_true(fabs(got.orthogonality[2] - 0.5625 * sqrt(5)) < 1e-15);
}

static void effective_rank_counts_values(void **state)
{
    (void)state;
    static const float equal[] = {3, 3, 3, 3}, one[] = {7, 0, 0}, none[] = {0, 0}, two[] = {2, 1};
    assert_true(fabs(spectrum_effective_rank(equal, 4) - 4) < 1e-14);
    assert_true(spectrum_effective_rank(one, 3) == 1);
    assert_true(spectrum_effective_rank(none, 2) == 0);
    /* exp(log 3 - 2/3 log 2) = 3 / 2^(2/3) */
    assert_true(fabs(spectrum_effective_rank(two, 2) - 3 / cbrt(4)) < 1e-14);
}

static void values_that_are_not_finite_are_named(void **state)
{
    (void)state;
    static layer_case c;
    float sigma[42], angles[42];
    static const char *const names[] = {"soda.R1", "soda.R2", "soda.R3", "soda.delta"};
    for (int p = 0; p < 4; p++) {
        create(&c, 1, true);
        c.param[p][3] = p % 2 ? NAN : INFINITY;
        soda_spectrum got = {.sigma = sigma, .angles = angles};
        CHECK_FAILS(spectrum_compute(&c.layer, c.value, &got), SODA_ERR_NUMERIC);
        check_message_has("unet.p: element 3 of ");
        check_message_has(names[p]);
    }
    create(&c, 1, true);
    c.w0[5] = NAN;
    CHECK_FAILS(spectrum_start(&c.layer, sigma), SODA_ERR_NUMERIC);
    check_message_has("unet.p: element 5 of the weight");
}

typedef struct {
    int which;
    float sigma[42], angles[42];
    double rest[4];
    soda_status status;
} job;

static void *compute(void *argument)
{
    job *j = argument;
    layer_case *c = malloc(sizeof *c);
    create(c, j->which, true);
    soda_spectrum got = {.sigma = j->sigma, .angles = j->angles};
    j->status = spectrum_compute(&c->layer, c->value, &got);
    j->rest[3] = got.effective_rank;
    memcpy(j->rest, got.orthogonality, sizeof got.orthogonality);
    free(c);
    return NULL;
}

/* Eight layers in eight threads, twice: the same bits as one after the other. */
static void threads_do_not_disturb_each_other(void **state)
{
    (void)state;
    static job alone[CASES], together[CASES];
    pthread_t thread[CASES];
    for (int i = 0; i < CASES; i++) {
        alone[i].which = together[i].which = i;
        compute(&alone[i]);
        CHECK_OK(alone[i].status);
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CASES; i++)
            assert_int_equal(pthread_create(&thread[i], NULL, compute, &together[i]), 0);
        for (int i = 0; i < CASES; i++) assert_int_equal(pthread_join(thread[i], NULL), 0);
        assert_memory_equal(alone, together, sizeof alone);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sigma_is_that_of_the_merged_weight),
        cmocka_unit_test(a_new_adapter_has_moved_nothing),
        cmocka_unit_test(angles_are_those_of_the_dense_rotation),
        cmocka_unit_test(known_turns_add_up),
        cmocka_unit_test(orthogonality_is_the_distance_of_each_factor),
        cmocka_unit_test(effective_rank_counts_values),
        cmocka_unit_test(values_that_are_not_finite_are_named),
        cmocka_unit_test(threads_do_not_disturb_each_other),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
