/* The trainable tensors: their order, one step of all, and what is refused. */
#include "support/check.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/targets.h"
#include "optim/grad_clip.h"
#include "train/params.h"
#include "train/reducer.h"

enum { M = 6, N = 12, LAYERS = 3 };

typedef struct {
    soda_targets *targets;
    soda_layers *layers;
    soda_params t;
} fixture;

static const params_options options = {
    .rotation = {.kind = STIEFEL_ADAM, .lr = 1e-2, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-5},
    .spectrum = {1e-2, 0.9, 0.999, 1e-8, 1e-2},
    .clip = 1};

static void fixture_create(fixture *f, double delta_init)
{
    const method_options options_of_layers = {{.rule = FACTORS_BALANCED}, delta_init};
    static const char *const list[] = {"to_q"};
    static float w[M * N];
    soda_graph *g;
    CHECK_OK(targets_create(list, 1, &f->targets));
    CHECK_OK(layers_create(&method_soda_lq, f->targets, &options_of_layers, &f->layers));
    CHECK_OK(graph_create(SODA_F32, &g));
    layers_place place = {f->layers, "unet.", true, prices_host()};
    const soda_id x = graph_input(g, "x", SODA_F32, SHAPE(3, N));
    for (int i = 0; i < LAYERS; i++) {
        const char *const paths[] = {"b.to_q", "a.to_q", "c.to_q"};
        const soda_weight weight = {paths[i], {SODA_F32, SHAPE(M, N), w}, false};
        layers_collect(&place, g, paths[i], x, graph_weight(g, &weight), NO_VALUE);
    }
    graph_destroy(g);
    CHECK_OK(params_create(f->layers, &options_of_layers, backend_ref(), &f->t));
}

static void fixture_destroy(fixture *f)
{
    params_destroy(&f->t);
    layers_destroy(f->layers);
    targets_destroy(f->targets);
}

/* 12 = 2 x 2 x 3 (balanced: 8^1 <= 12), delta of 6. */
static void tensors_are_flat_and_start_at_the_identity(void **state)
{
    (void)state;
    fixture f;
    fixture_create(&f, 0.25);
    assert_int_equal(f.t.count, LAYERS * 4);
    assert_int_equal(f.t.total, LAYERS * (4 + 4 + 9 + 6));
    assert_string_equal(f.t.tensors[4].name, "unet.a.to_q.soda.R1");
    const params_tensor *R3 = params_find(&f.t, "unet.c.to_q.soda.R3");
    assert_int_equal(R3->offset, 2 * 64 + 32); /* each of the four tensors has 64 bytes */
    for (int i = 0; i < 9; i++)
        assert_true(f.t.host.value[R3->offset + i] == (i % 4 == 0 ? 1.0f : 0.0f));
    for (int i = 0; i < 6; i++) assert_true(f.t.host.value[2 * 64 + 48 + i] == 0.25f);
    assert_null(params_find(&f.t, "unet.c.to_q.soda.R4"));
    assert_ptr_equal(params_at(&f.t, R3->offset + 8), R3);
    fixture_destroy(&f);
}

/* A step is: one norm, one factor, then each tensor's own optimizer, in any order. */
static void a_step_is_clip_then_each_optimizer(void **state)
{
    (void)state;
    fixture f;
    params_report report;
    fixture_create(&f, 0);
    const size_t bytes = (size_t)f.t.length * sizeof(float);
    float *value = malloc(bytes), *gradient = malloc(bytes), *first = calloc(1, bytes),
          *second = calloc(1, bytes);
    stiefel_work *work;
    CHECK_OK(stiefel_work_create(3, 3, &work));
    memcpy(value, f.t.host.value, bytes);
    for (int64_t step = 1; step <= 3; step++) {
        const double lr_factor = 1.0 / (double)step;
        check_fill_normal(f.t.host.gradient, f.t.length, (uint32_t)step, 3);
        memcpy(gradient, f.t.host.gradient, bytes);
        const double norm = grad_clip_norm(gradient, f.t.length);
        const float factor = (float)grad_clip_factor(norm, 1);
        for (int64_t i = 0; i < f.t.length; i++) gradient[i] *= factor;
        CHECK_OK(params_step(&f.t, &options, step, lr_factor, &report));
        assert_true(report.gradient_norm == norm && norm > 1);
        CHECK_OK(params_check(&f.t, &report));
        stiefel_options rotation = options.rotation;
        adamw_options spectrum = options.spectrum;
        rotation.lr *= lr_factor;
        spectrum.lr *= lr_factor;
        double worst = 0;
        for (int i = f.t.count - 1; i >= 0; i--) {
            const params_tensor *x = &f.t.tensors[i];
            const int64_t o = x->offset;
            double drift = 0;
            const stiefel_f32 matrix = {.n = (int)x->shape.dim[0],
                                        .m = (int)x->shape.dim[0],
                                        .X = value + o,
                                        .G = gradient + o,
                                        .Y = first + o,
                                        .p = second + o};
            if (x->class == METHOD_ROTATION)
                CHECK_OK(stiefel_step_f32(&rotation, step, &matrix, 1, work, &drift));
            else
                adamw_step(&spectrum, step, x->count, value + o, gradient + o, first + o,
                           second + o);
            worst = fmax(worst, drift);
        }
        assert_memory_equal(f.t.host.value, value, bytes);
        assert_memory_equal(f.t.host.first, first, bytes);
        assert_memory_equal(f.t.host.second, second, bytes);
        assert_true(report.orthogonality == worst);
    }
    stiefel_work_destroy(work);
    free(value);
    free(gradient);
    free(first);
    free(second);
    fixture_destroy(&f);
}

static void a_gradient_that_is_not_finite_is_named_and_changes_nothing(void **state)
{
    (void)state;
    fixture f;
    params_report report;
    fixture_create(&f, 0);
    float before[256];
    memcpy(before, f.t.host.value, (size_t)f.t.length * sizeof(float));
    const params_tensor *delta = params_find(&f.t, "unet.a.to_q.soda.delta");
    f.t.host.gradient[delta->offset + 2] = (float)INFINITY;
    CHECK_OK(params_step(&f.t, &options, 1, 1, &report));
    CHECK_FAILS(params_check(&f.t, &report), SODA_ERR_NUMERIC);
    check_message_has("unet.a.to_q.soda.delta");
    assert_memory_equal(before, f.t.host.value, (size_t)f.t.length * sizeof(float));
    fixture_destroy(&f);
}

/* 60 vectors of numbers of very different size, added in any order: the same bits. In fp32 the
 * order shows. */
static void exact_sums_do_not_depend_on_the_order(void **state)
{
    (void)state;
    enum { COUNT = 60, LENGTH = 50 };
    float x[COUNT][LENGTH], sum[2][2][LENGTH];
    update_found found[COUNT];
    soda_exchange *exchange;
    CHECK_OK(backend_ref()->connect(device_host(), comm_self(), &exchange));
    for (uint32_t i = 0; i < COUNT; i++)
        check_fill_normal(x[i], LENGTH, i, (float)pow(10, (double)(i % 9) - 4));
    for (int kind = 0; kind < 2; kind++)
        for (int order = 0; order < 2; order++) {
            soda_reducer r;
            CHECK_OK(reducer_create(kind ? REDUCE_FAST : REDUCE_EXACT, LENGTH, backend_ref(),
                                    exchange, &r));
            int64_t count = 0;
            for (int i = 0; i < COUNT; i++)
                CHECK_OK(
                    reducer_add(&r, x[order ? COUNT - 1 - i : i], &(update_notes){found, &count}));
            CHECK_OK(reducer_finish(&r, 0.25f, sum[kind][order]));
            reducer_destroy(&r);
        }
    exchange->close(exchange);
    assert_memory_equal(sum[0][0], sum[0][1], sizeof sum[0][0]);
    assert_memory_not_equal(sum[1][0], sum[1][1], sizeof sum[1][0]);
    assert_true(check_relative_l2(sum[1][0], sum[0][0], LENGTH) < 1e-5);
}

static void sums_of_what_is_not_finite_are_nan(void **state)
{
    (void)state;
    for (int kind = 0; kind < 2; kind++) {
        const float bad[3] = {1, 2, (float)NAN}, good[3] = {1, 2, 3};
        float sum[3];
        update_found found[3];
        int64_t count = 0;
        const update_notes notes = {found, &count};
        soda_reducer r;
        soda_exchange *exchange;
        CHECK_OK(backend_ref()->connect(device_host(), comm_self(), &exchange));
        CHECK_OK(reducer_create(kind ? REDUCE_FAST : REDUCE_EXACT, 3, backend_ref(), exchange, &r));
        CHECK_OK(reducer_add(&r, bad, &notes));
        assert_int_equal(found[0].where, 2);
        CHECK_OK(reducer_add(&r, good, &notes));
        assert_int_equal(found[1].where, -1);
        CHECK_OK(reducer_finish(&r, 1, sum));
        for (int i = 0; i < 3; i++) assert_true(isnan(sum[i]));
        CHECK_OK(reducer_clear(&r));
        CHECK_OK(reducer_add(&r, good, &notes));
        CHECK_OK(reducer_finish(&r, 1, sum));
        assert_memory_equal(sum, good, sizeof sum);
        reducer_destroy(&r);
        exchange->close(exchange);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tensors_are_flat_and_start_at_the_identity),
        cmocka_unit_test(a_step_is_clip_then_each_optimizer),
        cmocka_unit_test(a_gradient_that_is_not_finite_is_named_and_changes_nothing),
        cmocka_unit_test(exact_sums_do_not_depend_on_the_order),
        cmocka_unit_test(sums_of_what_is_not_finite_are_nan),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
