/* Stiefel optimizers: the authors' trajectories, and what must hold whatever the gradient. */
#include "adapter/golden.h"

#include <math.h>
#include <omp.h>
#include <stdbool.h>

#include "optim/stiefel.h"

enum { STEPS = 20 };

/* The hyper-parameters of tests/golden/README.md. */
static stiefel_options golden_options(stiefel_kind kind)
{
    return (stiefel_options){
        .kind = kind, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-5, .momentum = 0.9};
}

static const char *const kinds[] = {"adam", "sgd"};
static const char *const retractions[] = {"euler", "cayley", "expm"};
static const char *const metrics[] = {"canonical", "euclidean"};

/* Largest difference between our trajectory and the golden one, in fp64 and fp32. */
static void golden_run(const golden *g, int n, const stiefel_options *o, double error[2])
{
    char name[64];
    double Y[400] = {0}, p[400] = {0}, X[400];
    float X32[400], G32[400], Y32[400] = {0}, p32[400] = {0};
    snprintf(name, sizeof name, "n%d.X0", n);
    double *X0 = golden_array(g, name, n * n);
    snprintf(name, sizeof name, "n%d.G", n);
    double *G = golden_array(g, name, STEPS * n * n);
    snprintf(name, sizeof name, "n%d.%s.%s.%s", n, kinds[o->kind], retractions[o->retraction],
             metrics[o->metric]);
    double *want = golden_array(g, name, STEPS * n * n);

    for (int i = 0; i < n * n; i++) X[i] = X0[i];
    for (int i = 0; i < n * n; i++) X32[i] = (float)X0[i];
    stiefel_work *work;
    CHECK_OK(stiefel_work_create(n, n, &work));
    error[0] = error[1] = 0;
    for (int t = 1; t <= STEPS; t++) {
        const double *now = G + (t - 1) * n * n, *then = want + (t - 1) * n * n;
        for (int i = 0; i < n * n; i++) G32[i] = (float)now[i];
        const stiefel_f64 wide = {.n = n, .m = n, .X = X, .G = now, .Y = Y, .p = p};
        const stiefel_f32 narrow = {.n = n, .m = n, .X = X32, .G = G32, .Y = Y32, .p = p32};
        CHECK_OK(stiefel_step_f64(o, t, &wide, 1, work, NULL));
        CHECK_OK(stiefel_step_f32(o, t, &narrow, 1, work, NULL));
        for (int i = 0; i < n * n; i++) {
            error[0] = fmax(error[0], fabs(X[i] - then[i]));
            error[1] = fmax(error[1], fabs((double)X32[i] - then[i]));
        }
    }
    stiefel_work_destroy(work);
    free(X0);
    free(G);
    free(want);
}

/* fp64: the authors' order of operations differs, nothing else: 20 steps of a few dozen roundings.
 * fp32: a step rounds each entry of X (at most 1) in X step(xi), in the inverse root and in their
 * product, 3 * 2^-24, and n-term sums of entries of 1/sqrt(n) hardly add to it; 20 steps that add
 * like a random walk give sqrt(20) * 3 * 6e-8 = 8e-7 for one standard deviation. */
static void trajectories_match_the_authors(void **state)
{
    (void)state;
    const int sizes[] = {4, 8, 20};
    golden g;
    golden_open(&g, SODA_TEST_DIR "/golden/stiefel.safetensors");
    for (int which = 0; which < 3 * 2 * 4; which++) {
        const int n = sizes[which / 8], variant = which % 4;
        stiefel_options o = golden_options(which / 4 % 2 ? STIEFEL_SGD : STIEFEL_ADAM);
        o.retraction = variant == 3 ? STIEFEL_EULER : (stiefel_retraction)variant;
        o.metric = variant == 3 ? STIEFEL_EUCLIDEAN : STIEFEL_CANONICAL;
        if (n == 20 && variant == 3) continue; /* not recorded */
        double error[2];
        golden_run(&g, n, &o, error);
        print_message("n %2d %s %s %s: fp64 %.1e fp32 %.1e\n", n, kinds[o.kind],
                      retractions[o.retraction], metrics[o.metric], error[0], error[1]);
        assert_true(error[0] <= 1e-12);
        assert_true(error[1] <= 2e-6);
    }
    golden_close(&g);
}

typedef struct {
    int n, m;
    float *X, *G, *Y, *p, *V, *pV;
} factor;

static factor factor_create(int n, int m)
{
    factor f = {.n = n, .m = m};
    const size_t count = (size_t)n * (size_t)m;
    f.X = calloc(count, sizeof(float));
    f.G = calloc(count, sizeof(float));
    f.Y = calloc((size_t)m * (size_t)m, sizeof(float));
    f.p = calloc((size_t)m * (size_t)m, sizeof(float));
    f.V = calloc(count, sizeof(float));
    f.pV = calloc(count, sizeof(float));
    for (int i = 0; i < m; i++) f.X[i * m + i] = 1;
    return f;
}

static void factor_free(factor *f)
{
    float *const all[] = {f->X, f->G, f->Y, f->p, f->V, f->pV};
    for (int i = 0; i < 6; i++) free(all[i]);
}

static stiefel_f32 factor_view(const factor *f)
{
    return (stiefel_f32){f->n, f->m, f->X, f->G, f->Y, f->p, f->V, f->pV};
}

static bool exactly_skew(const float *Y, int m)
{
    for (int i = 0; i < m; i++)
        for (int j = 0; j < m; j++)
            if (Y[i * m + j] != -Y[j * m + i]) return false;
    return true;
}

/* ||X'X - I||_F after each of `steps` steps. What the polar step leaves is the rounding of X'X (to
 * fp32), of the inverse root and of their product. Near the identity the three are about 2^-24 on
 * the diagonal and less off it, twenty products of Newton-Schulz deep: sqrt(20 n) 2^-24 = 1.1e-6
 * for n = 16 and 2.1e-6 for n = 64. Long steps (lr 1e-2) add lr^2 terms to ones: see method.md. */
static void drift_stays_bounded(int n, int steps, double lr, double settled, double first)
{
    factor f = factor_create(n, n);
    stiefel_options o = golden_options(STIEFEL_ADAM);
    o.lr = lr;
    stiefel_work *work;
    CHECK_OK(stiefel_work_create(n, n, &work));
    double worst = 0, last = 0;
    for (int t = 1; t <= steps; t++) {
        const stiefel_f32 view = factor_view(&f);
        check_fill_normal(f.G, n * n, (uint32_t)(100 + t), 0.1f);
        for (int i = 0; i < n * n; i++) f.G[i] += 0.05f * (float)(i % 7 - 3); /* a steady part */
        double drift;
        CHECK_OK(stiefel_step_f32(&o, t, &view, 1, work, &drift));
        worst = fmax(worst, drift);
        if (t > steps / 2) last = fmax(last, drift);
        assert_true(exactly_skew(f.Y, n));
    }
    print_message("n %3d lr %g: drift %.2e at worst, %.2e settled\n", n, lr, worst, last);
    assert_true(last <= settled);
    assert_true(worst <= first);
    stiefel_work_destroy(work);
    factor_free(&f);
}

static void drift_stays_bounded_over_10000_steps(void **state)
{
    (void)state;
#if SODA_TEST_SLOW /* a sanitizer sees all there is to see in a few steps */
    const int steps = 500;
#else
    const int steps = 10000;
#endif
    drift_stays_bounded(5, steps, 5e-5, 1.2e-6, 1.2e-6);
    drift_stays_bounded(16, steps, 5e-5, 2.2e-6, 2.2e-6);
    drift_stays_bounded(64, steps, 5e-5, 4.2e-6, 2e-5);
    drift_stays_bounded(96, steps / 50, 1e-2, 8e-5, 8e-5);
}

/* The bits do not depend on how many threads share the work, nor on the neighbours in the list. */
static void bits_do_not_depend_on_threads(void **state)
{
    (void)state;
    const int sizes[] = {20, 8, 13, 4, 1, 20, 33};
    enum { COUNT = 7 };
    factor f[2][COUNT];
    for (int run = 0; run < 2; run++) {
        const int before = omp_get_max_threads();
        omp_set_num_threads(run ? 3 : 1);
        stiefel_work *work;
        CHECK_OK(stiefel_work_create(33, 33, &work));
        omp_set_num_threads(before);
        stiefel_f32 views[COUNT];
        for (int i = 0; i < COUNT; i++) f[run][i] = factor_create(sizes[i], sizes[i]);
        for (int i = 0; i < COUNT; i++) views[i] = factor_view(&f[run][i]);
        const stiefel_options o = golden_options(STIEFEL_ADAM);
        for (int t = 1; t <= 5; t++) {
            for (int i = 0; i < COUNT; i++)
                check_fill_normal(f[run][i].G, sizes[i] * sizes[i], (uint32_t)(t * 50 + i), 1);
            CHECK_OK(stiefel_step_f32(&o, t, views, COUNT, work, NULL));
        }
        stiefel_work_destroy(work);
    }
    for (int i = 0; i < COUNT; i++) {
        const size_t bytes = (size_t)(sizes[i] * sizes[i]) * sizeof(float);
        assert_memory_equal(f[0][i].X, f[1][i].X, bytes);
        assert_memory_equal(f[0][i].Y, f[1][i].Y, bytes);
        factor_free(&f[0][i]);
        factor_free(&f[1][i]);
    }
}

static void a_gradient_that_is_not_finite_changes_nothing(void **state)
{
    (void)state;
    factor a = factor_create(5, 5), b = factor_create(3, 3);
    check_fill_normal(a.G, 25, 1, 1);
    check_fill_normal(b.G, 9, 2, 1);
    b.G[4] = NAN;
    const stiefel_f32 views[] = {factor_view(&a), factor_view(&b)};
    const stiefel_options o = golden_options(STIEFEL_ADAM);
    stiefel_work *work;
    CHECK_OK(stiefel_work_create(5, 5, &work));
    CHECK_FAILS(stiefel_step_f32(&o, 1, views, 2, work, NULL), SODA_ERR_NUMERIC);
    check_message_has("rotation 1 ");
    for (int i = 0; i < 25; i++) assert_true(a.X[i] == (i % 6 == 0 ? 1.0f : 0.0f));
    b.G[4] = 0;
    CHECK_OK(stiefel_step_f32(&o, 1, views, 2, work, NULL));
    assert_true(a.X[1] != 0);
    stiefel_work_destroy(work);
    factor_free(&a);
    factor_free(&b);
}

/* A gradient near the end of fp32: its square overflows, and the exponential has no finite result.
 * The step must return all the same, and drift say what became of X. */
static void a_step_ends_when_the_exponent_overflows(void **state)
{
    (void)state;
    factor f = factor_create(3, 3);
    stiefel_options o = golden_options(STIEFEL_SGD);
    o.retraction = STIEFEL_EXPM;
    f.G[1] = 3e38f;
    f.G[3] = -3e38f;
    const stiefel_f32 view = factor_view(&f);
    stiefel_work *work;
    double drift = 0;
    CHECK_OK(stiefel_work_create(3, 3, &work));
    CHECK_OK(stiefel_step_f32(&o, 1, &view, 1, work, &drift));
    assert_false(isfinite(drift));
    stiefel_work_destroy(work);
    factor_free(&f);
}

/* Maximises trace(X'SX) over St(12,4), S = Q diag(lambda) Q': the optimum spans the leading
 * eigenvectors. Returns how much of the optimal trace is missing, as a share of it. */
static double leading_eigenspace(const stiefel_options *o, int steps, double *orthogonality,
                                 double *leak)
{
    enum { N = 12, M = 4 };
    double S[N * N] = {0}, X[N * M] = {0}, G[N * M], Y[M * M] = {0}, p[M * M] = {0};
    double V[N * M] = {0}, pV[N * M] = {0}, best = 0, trace = 0;
    for (int r = 0; r < N; r++) { /* the orthonormal cosine basis (DCT-II) as eigenvectors */
        const double lambda = 1.0 / (1 + r);
        if (r < M) best += lambda;
        for (int i = 0; i < N * N; i++)
            S[i] += lambda * (r ? 2.0 : 1.0) / N * cos(M_PI * r * (i / N + 0.5) / N) *
                    cos(M_PI * r * (i % N + 0.5) / N);
    }
    for (int i = 0; i < M; i++) X[(2 * i + 1) * M + i] = 1;
    const stiefel_f64 view = {N, M, X, G, Y, p, V, pV};
    stiefel_work *work;
    CHECK_OK(stiefel_work_create(N, M, &work));
    *leak = *orthogonality = 0;
    for (int t = 1; t <= steps + 1; t++) {
        trace = 0;
        for (int i = 0; i < N * M; i++) {
            double sx = 0;
            for (int k = 0; k < N; k++) sx += S[i / M * N + k] * X[k * M + i % M];
            G[i] = -2 * sx;
            trace += X[i] * sx;
        }
        if (t > steps) break;
        stiefel_options now = *o;
        now.lr = o->lr * (1 - (double)(t - 1) / steps); /* Adam does not settle at a fixed step */
        double drift;
        CHECK_OK(stiefel_step_f64(&now, t, &view, 1, work, &drift));
        *orthogonality = fmax(*orthogonality, drift);
        for (int i = 0; i < M * M; i++) {
            double xv = 0;
            for (int k = 0; k < N; k++) xv += X[k * M + i / M] * V[k * M + i % M];
            *leak = fmax(*leak, fabs(xv));
            assert_true(Y[i] == -Y[i % M * M + i / M]);
        }
    }
    stiefel_work_destroy(work);
    return (best - trace) / best;
}

static void tall_matrices_reach_the_leading_eigenspace(void **state)
{
    (void)state;
    for (int which = 0; which < 2 * 2 * 3; which++) {
        stiefel_options o = golden_options((stiefel_kind)(which % 2));
        o.metric = (stiefel_metric)(which / 2 % 2);
        o.retraction = (stiefel_retraction)(which / 4);
        o.lr = o.kind == STIEFEL_ADAM ? 2e-2 : 5e-2;
        double orthogonality, leak;
        const double missing = leading_eigenspace(&o, 3000, &orthogonality, &leak);
        print_message("%s %s %s: %.1e missing, |X'X-I| %.1e, |X'V| %.1e\n", kinds[o.kind],
                      retractions[o.retraction], metrics[o.metric], missing, orthogonality, leak);
        assert_true(fabs(missing) <= 1e-6);
        assert_true(orthogonality <= 1e-14); /* method.md found 2e-15 */
        assert_true(leak <= 1e-12);          /* and 1e-13 */
    }
}

static void read_numbers(const json_t *list, double *x)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        x[i] = json_number_value(json_array_get(list, i));
}

/* Both algorithms, all retractions and metrics, against numpy: six steps of a few roundings. */
static void tall_trajectories_match_the_formulas(void **state)
{
    (void)state;
    enum { N = 7, M = 3, TALL_STEPS = 6 };
    json_t *root = json_load_file(SODA_TEST_DIR "/golden/stiefel_tall.json", 0, NULL);
    assert_non_null(root);
    for (int which = 0; which < 2 * 2 * 3; which++) {
        const stiefel_options o = {.kind = (stiefel_kind)(which % 2),
                                   .metric = (stiefel_metric)(which / 2 % 2),
                                   .retraction = (stiefel_retraction)(which / 4),
                                   .lr = 0.05,
                                   .beta1 = 0.9,
                                   .beta2 = 0.99,
                                   .eps = 1e-5,
                                   .momentum = 0.9,
                                   .dampening = 0.1};
        char name[64];
        double X[N * M], G[N * M], want[N * M], Y[M * M] = {0}, p[M * M] = {0};
        double V[N * M] = {0}, pV[N * M] = {0};
        const stiefel_f64 view = {N, M, X, G, Y, p, V, pV};
        stiefel_work *work;
        CHECK_OK(stiefel_work_create(N, M, &work));
        snprintf(name, sizeof name, "%s.%s.%s", kinds[o.kind], retractions[o.retraction],
                 metrics[o.metric]);
        const json_t *trajectory = json_object_get(root, name);
        assert_int_equal(json_array_size(trajectory), TALL_STEPS);
        read_numbers(json_object_get(root, "X0"), X);
        for (size_t t = 0; t < TALL_STEPS; t++) {
            read_numbers(json_array_get(json_object_get(root, "G"), t), G);
            read_numbers(json_array_get(trajectory, t), want);
            CHECK_OK(stiefel_step_f64(&o, (int64_t)t + 1, &view, 1, work, NULL));
            for (int i = 0; i < N * M; i++)
                if (fabs(X[i] - want[i]) > 1e-13)
                    fail_msg("%s, step %zu: off by %g", name, t + 1, X[i] - want[i]);
        }
        stiefel_work_destroy(work);
    }
    json_decref(root);
}

/* fp32 follows fp64 on the same gradients; St(40,17): no size is a multiple of a vector. Over 20
 * steps as above, with entries of V of size 1 moved by lr = 1e-2: below the 2e-6 of SO(n). */
static void tall_fp32_follows_fp64(void **state)
{
    (void)state;
    enum { N = 40, M = 17, COUNT = N * M };
    for (int which = 0; which < 2; which++) {
        const stiefel_options o = golden_options((stiefel_kind)which);
        factor f = factor_create(N, M);
        double *wide[6], moved = 0;
        for (int i = 0; i < 6; i++) wide[i] = calloc(COUNT, sizeof(double));
        for (int i = 0; i < M; i++) wide[0][i * M + i] = 1;
        const stiefel_f64 view = {N, M, wide[0], wide[1], wide[2], wide[3], wide[4], wide[5]};
        stiefel_work *work;
        CHECK_OK(stiefel_work_create(N, M, &work));
        for (int t = 1; t <= STEPS; t++) {
            const stiefel_f32 narrow = factor_view(&f);
            check_fill_normal(f.G, COUNT, (uint32_t)t, 1);
            for (int i = 0; i < COUNT; i++) wide[1][i] = (double)f.G[i];
            CHECK_OK(stiefel_step_f64(&o, t, &view, 1, work, NULL));
            CHECK_OK(stiefel_step_f32(&o, t, &narrow, 1, work, NULL));
        }
        for (int i = 0; i < COUNT; i++) {
            assert_true(fabs((double)f.X[i] - wide[0][i]) <= 2e-6);
            if (i / M >= M) moved = fmax(moved, fabs(wide[0][i]));
        }
        assert_true(moved > 0.01); /* it did leave the columns it started in */
        stiefel_work_destroy(work);
        for (int i = 0; i < 6; i++) free(wide[i]);
        factor_free(&f);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(trajectories_match_the_authors),
        cmocka_unit_test(drift_stays_bounded_over_10000_steps),
        cmocka_unit_test(bits_do_not_depend_on_threads),
        cmocka_unit_test(a_gradient_that_is_not_finite_changes_nothing),
        cmocka_unit_test(a_step_ends_when_the_exponent_overflows),
        cmocka_unit_test(tall_trajectories_match_the_formulas),
        cmocka_unit_test(tall_fp32_follows_fp64),
        cmocka_unit_test(tall_matrices_reach_the_leading_eigenspace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
