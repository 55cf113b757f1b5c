/* AdamW, clipping and schedules: what torch and diffusers do, and values computed by hand. */
#include "support/check.h"

#include <jansson.h>
#include <math.h>

#include "optim/adamw.h"
#include "optim/grad_clip.h"
#include "optim/lr_schedule.h"

static json_t *golden_load(void)
{
    json_t *root = json_load_file(SODA_TEST_DIR "/golden/optimizers.json", 0, NULL);
    assert_non_null(root);
    return root;
}

static void read_floats(const json_t *list, float *x)
{
    for (size_t i = 0; i < json_array_size(list); i++)
        x[i] = (float)json_number_value(json_array_get(list, i));
}

/* Twelve clipped steps, gradients over four decades, one element without gradient. torch rounds
 * each of about six operations a step to fp32 and we round three: x up to 2 is off by at most
 * 12 steps * 2^-23 = 1.4e-6. The norms are sums of seven squares: 7 * 2^-24 relative. */
static void adamw_and_clipping_match_torch(void **state)
{
    (void)state;
    enum { N = 7 };
    json_t *root = golden_load(), *adamw = json_object_get(root, "adamw");
    const json_t *gradients = json_object_get(adamw, "g");
    const adamw_options options = {
        .lr = 3e-3, .beta1 = 0.9, .beta2 = 0.999, .eps = 1e-8, .weight_decay = 0.1};
    float x[N], g[N], want[N], m[N] = {0}, v[N] = {0};
    read_floats(json_object_get(adamw, "x"), x);
    assert_int_equal(json_array_size(gradients), 12);
    for (size_t step = 0; step < 12; step++) {
        read_floats(json_array_get(gradients, step), g);
        read_floats(json_array_get(json_object_get(adamw, "trajectory"), step), want);
        const double norm =
            json_number_value(json_array_get(json_object_get(adamw, "clipped_norm"), step));
        const double own = grad_clip_norm(g, N);
        assert_true(fabs(own / norm - 1) <= 4.2e-7);
        for (int i = 0; i < N; i++) g[i] *= (float)grad_clip_factor(own, 0.5);
        adamw_step(&options, (int64_t)step + 1, N, x, g, m, v);
        check_max_diff(x, want, N, 1.4e-6);
    }
    json_decref(root);
}

/* One step from zero moments: m/(1-beta1) = g and v/(1-beta2) = g^2, so x moves by lr sign(g). */
static void first_adamw_step_is_decay_and_sign(void **state)
{
    (void)state;
    const adamw_options options = {
        .lr = 0.25, .beta1 = 0.9, .beta2 = 0.999, .eps = 0, .weight_decay = 0.5};
    float x[3] = {2, -4, 1}, m[3] = {0}, v[3] = {0};
    const float g[3] = {1e-3f, -7, 3}, want[3] = {1.75f - 0.25f, -3.5f + 0.25f, 0.875f - 0.25f};
    adamw_step(&options, 1, 3, x, g, m, v);
    check_max_diff(x, want, 3, 5e-7); /* 4 * 2^-23 */
}

static void clipping_only_shrinks(void **state)
{
    (void)state;
    float x[3] = {3, 0, -4};
    assert_true(grad_clip_norm(x, 3) == 5);
    assert_true(grad_clip_factor(5, 10) == 1);
    assert_true(fabs(grad_clip_factor(5, 1) - 1 / 5.000001) <= 1e-16);
    assert_true(grad_clip_factor(0, 1) == 1);
    x[1] = NAN;
    assert_true(isnan(grad_clip_norm(x, 3)));
}

static void schedule_matches(const char *name, lr_schedule schedule)
{
    json_t *root = golden_load();
    const json_t *want = json_object_get(json_object_get(root, "schedules"), name);
    assert_int_equal(json_array_size(want), 14);
    for (int i = 0; i < 14; i++) {
        /* diffusers goes on past the end: the cosine would rise again there */
        if (i > schedule.steps && schedule.kind == LR_COSINE) continue;
        const double expected = json_number_value(json_array_get(want, (size_t)i));
        assert_true(fabs(lr_schedule_factor(&schedule, i) - expected) <= 1e-15);
    }
    json_decref(root);
}

static void schedules_match_diffusers(void **state)
{
    (void)state;
    schedule_matches("constant", (lr_schedule){LR_CONSTANT, 3, 12});
    schedule_matches("cosine", (lr_schedule){LR_COSINE, 3, 12});
    schedule_matches("linear", (lr_schedule){LR_LINEAR, 3, 12});
    schedule_matches("linear0", (lr_schedule){LR_LINEAR, 0, 12});
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(adamw_and_clipping_match_torch),
        cmocka_unit_test(first_adamw_step_is_decay_and_sign),
        cmocka_unit_test(clipping_only_shrinks),
        cmocka_unit_test(schedules_match_diffusers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
