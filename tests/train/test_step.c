/* The network of a training step with the text encoders in its graph: gradients against finite
 * differences, one backend against the other, recomputation, and DCO against the squared error. */
#include "step_case.h"

#include <math.h>
#include <string.h>

#include "core/log.h"
#include "support/files.h"
#include "support/tested.h"

/* Of an fp64 graph: the loss at s->value. */
static double loss_at(const subject *s, soda_step *step)
{
    double loss;
    for (int i = 0; i < s->params.count; i++) {
        const params_tensor *t = &s->params.tensors[i];
        CHECK_OK(exec_write(step->net.exec, graph_find(step->net.graph, t->name),
                            s->value + t->offset, (size_t)t->count * sizeof *s->value));
    }
    CHECK_OK(exec_run(step->net.exec));
    CHECK_OK(exec_read(step->net.exec, graph_find(step->net.graph, "loss"), &loss, sizeof loss));
    return loss;
}

/* The same, and s->gradient. */
static double gradients_at(subject *s, soda_step *step)
{
    const double loss = loss_at(s, step);
    for (int i = 0; i < s->params.count; i++) {
        const params_tensor *t = &s->params.tensors[i];
        CHECK_OK(exec_read(step->net.exec,
                           graph_find(step->net.graph, path_join("grad.%s", t->name).text),
                           s->gradient + t->offset, (size_t)t->count * sizeof *s->gradient));
    }
    return loss;
}

/* Central differences with a step h = 2^-17: the truncation is h^2 L'''/6, 2e-9 where L''' is 250
 * (the first norm of an encoder sees numbers of 0.02), and the rounding of L, 1e-15 after its sums,
 * over h 1e-10. The largest gradients of a tensor are 1e-3 to 1e-1: an entry must agree to 1e-6 of
 * the largest, or to 1e-9. */
static void check_entry(subject *s, soda_step *step, const params_tensor *t, int64_t element)
{
    const double h = 0x1p-17, got = s->gradient[t->offset + element];
    double *x = &s->value[t->offset + element];
    const double before = *x;
    *x = before + h;
    const double above = loss_at(s, step);
    *x = before - h;
    const double slope = (above - loss_at(s, step)) / (2 * h);
    *x = before;
    double largest = 0;
    for (int64_t i = 0; i < t->count; i++)
        largest = fmax(largest, fabs(s->gradient[t->offset + i]));
    if (getenv("SODA_TEST_VERBOSE"))
        printf("%s: slope %.9g, gradient %.9g, largest %.3g\n", t->name, slope, got, largest);
    if (!(largest > 0) || !(fabs(slope - got) <= fmax(1e-6 * largest, 1e-9)))
        fail_msg("%s: slope %.9g, gradient %.9g, largest %.3g", t->name, slope, got, largest);
}

/* One behind the last tensor of the component that tensor `from` belongs to. */
static int component_end(const soda_params *t, int from)
{
    const char *name = t->tensors[from].name;
    const size_t prefix = strcspn(name, ".") + 1;
    while (from < t->count && strncmp(t->tensors[from].name, name, prefix) == 0) from++;
    return from;
}

/* The first and the last layer of each component: in SDXL's second encoder the last layer acts
 * through the pooled text alone. One factor and one shift of each. */
static void gradients_match_central_differences(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES * METHODS; i++) {
        subject s;
        soda_step forward, backward;
        subject_open(&s, families[i / METHODS], methods[i % METHODS], backend_ref(), SODA_F64);
        open_step(&s, shape_of(false, 0), &forward);
        open_step(&s, shape_of(true, 0), &backward);
        const double loss = gradients_at(&s, &backward);
        assert_true(fabs(loss_at(&s, &forward) - loss) <= 1e-12 * loss);
        int components = 0;
        for (int from = 0, end; from < s.params.count; from = end, components++) {
            end = component_end(&s.params, from);
            const params_tensor *first = &s.params.tensors[from];
            const params_tensor *last = &s.params.tensors[end - s.params.each];
            assert_true(last > first);
            check_entry(&s, &forward, first, 1);
            check_entry(&s, &forward, first + s.params.each - 1, 2);
            check_entry(&s, &forward, last + s.params.each - 2, 2);
            check_entry(&s, &forward, last + s.params.each - 1, 0);
        }
        assert_int_equal(components, 1 + s.folder->texts);
        step_close(&forward);
        step_close(&backward);
        subject_close(&s);
    }
}

/* Loss, then gradients without the gaps between tensors; for free(). Params and gradients are where
 * their names say. */
static float *run_f32(subject *s, soda_step *step)
{
    float *out = malloc((size_t)(1 + s->params.total) * sizeof *out), *next = out + 1;
    assert_non_null(out);
    exec_params_changed(step->net.exec);
    CHECK_OK(exec_run(step->net.exec));
    CHECK_OK(exec_read_f32(step->net.exec, "loss", out, 1));
    CHECK_OK(params_fetch(&s->params));
    assert_true(out[0] == s->params.host.gradient[s->params.length]);
    for (int i = 0; i < s->params.count; i++) {
        const params_tensor *t = &s->params.tensors[i];
        const size_t bytes = (size_t)t->count * sizeof(float);
        float value[1024];
        assert_in_range(t->count, 1, 1024);
        CHECK_OK(exec_read_f32(step->net.exec, t->name, value, t->count));
        assert_memory_equal(value, s->params.host.value + t->offset, bytes);
        CHECK_OK(
            exec_read_f32(step->net.exec, path_join("grad.%s", t->name).text, value, t->count));
        assert_memory_equal(value, s->params.host.gradient + t->offset, bytes);
        memcpy(next, value, bytes);
        next += t->count;
    }
    return out;
}

/* Gradients are within 1e-4 of the reference, as test_replay.c asks of a whole model: here
 * of each component, since those of the text encoders may be small beside the U-Net's. */
static void backends_agree(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        subject s[2];
        float *out[2];
        for (int b = 0; b < 2; b++) {
            soda_step step;
            subject_open(&s[b], families[i], methods[1 - i], b ? tested_backend() : backend_ref(),
                         SODA_F32);
            open_step(&s[b], shape_of(true, 0), &step);
            out[b] = run_f32(&s[b], &step);
            step_close(&step);
        }
        if (!(fabsf(out[1][0] - out[0][0]) <= 1e-5f * out[0][0]))
            fail_msg("loss %.9g, not %.9g", (double)out[1][0], (double)out[0][0]);
        const soda_params *t = &s[0].params;
        int64_t at = 1;
        for (int from = 0, end; from < t->count; from = end) {
            int64_t count = 0;
            end = component_end(t, from);
            for (int k = from; k < end; k++) count += t->tensors[k].count;
            const double error = check_relative_l2(out[1] + at, out[0] + at, count);
            at += count;
            if (!(error <= 1e-4)) fail_msg("from %s: %g", t->tensors[from].name, error);
        }
        for (int b = 0; b < 2; b++) {
            subject_close(&s[b]);
            free(out[b]);
        }
    }
}

static void check_same_bits(subject *s, soda_step *a, soda_step *b)
{
    float *got = run_f32(s, a), *want = run_f32(s, b);
    assert_memory_equal(got, want, (size_t)(1 + s->params.total) * sizeof *want);
    free(got);
    free(want);
}

/* Activations that are computed twice change memory, and no bit of loss and gradients. */
static void recomputation_changes_no_bit(void **state)
{
    (void)state;
    for (int i = 0; i < FAMILIES; i++) {
        subject s;
        soda_step none, full;
        step_shape shape = shape_of(true, 8);
        subject_open(&s, families[i], methods[i], tested_backend(), SODA_F32);
        open_step(&s, shape, &none);
        shape.recompute = RECOMPUTE_FULL;
        open_step(&s, shape, &full);
        assert_true(none.recomputed == 0 && full.recomputed == full.segments);
        assert_true(exec_arena_bytes(full.net.exec) < exec_arena_bytes(none.net.exec));
        check_same_bits(&s, &full, &none);
        step_close(&none);
        step_close(&full);
        subject_close(&s);
    }
}

/* A limit that is met anyway costs nothing; one that is not is met by as much recomputation as it
 * takes; one that cannot be met is refused, and says so. */
static void limits_are_kept_or_refused(void **state)
{
    (void)state;
    subject s;
    soda_step none, some;
    step_shape shape = shape_of(true, 16);
    subject_open(&s, "sd1", "soda_svd", tested_backend(), SODA_F32);
    shape.recompute = RECOMPUTE_AUTO;
    shape.limit_bytes = (size_t)1 << 30;
    open_step(&s, shape, &none);
    assert_int_equal(none.recomputed, 0);
    const size_t tight = exec_arena_bytes(none.net.exec) * 3 / 4;
    shape.limit_bytes = s.model.residency->bytes + tight;
    open_step(&s, shape, &some);
    assert_true(exec_arena_bytes(some.net.exec) <= tight);
    assert_in_range(some.recomputed, 1, some.segments - 1);
    check_same_bits(&s, &some, &none);
    step_close(&none);
    step_close(&some);
    shape.limit_bytes = 1;
    CHECK_FAILS(step_open(&s.model, &s.params, &shape, &some), SODA_ERR_MEMORY);
    check_message_has("train.memory_limit: ");
    check_message_has("a micro-batch of 2 at 16x16 needs ");
    step_close(&some); /* zeroed by the failure */
    subject_close(&s);
}

/* The gradient of -log sigmoid(-beta w (L - Lref)) is that of the squared error under the weight
 * w beta sigmoid(beta w (L - Lref)), image by image. In fp64; but weights and references are fp32
 * inputs: 2^-24, times a few since the images may cancel. */
static void dco_is_the_squared_error_with_other_weights(void **state)
{
    (void)state;
    const double beta = 20;
    subject s;
    soda_step forward, mse, dco;
    step_shape shape = shape_of(true, 0);
    double image[BATCH], expected = 0;
    float reference[BATCH], other[BATCH];
    subject_open(&s, "sdxl", "soda_svd", backend_ref(), SODA_F64);
    open_step(&s, shape_of(false, 0), &forward);
    open_step(&s, shape, &mse);
    shape.loss = LOSS_DCO;
    shape.dco_beta = beta;
    open_step(&s, shape, &dco);
    loss_at(&s, &forward);
    CHECK_OK(
        exec_read(forward.net.exec, graph_find(forward.net.graph, "image"), image, sizeof image));
    for (int b = 0; b < BATCH; b++) { /* one image is better than the frozen model's, one worse */
        reference[b] = (float)(image[b] + (b ? 0.03 : -0.02));
        const double excess = beta * (double)weights[b] * (image[b] - (double)reference[b]);
        other[b] = (float)((double)weights[b] * beta / (1 + exp(-excess)));
        expected += log1p(exp(excess)) / BATCH;
    }
    CHECK_OK(exec_write_f32(dco.net.exec, "reference", reference, BATCH));
    CHECK_OK(exec_write_f32(mse.net.exec, "weight", other, BATCH));
    gradients_at(&s, &mse);
    double *want = s.gradient, difference = 0, size = 0;
    s.gradient = calloc((size_t)s.params.length, sizeof *want);
    assert_non_null(s.gradient);
    const double loss = gradients_at(&s, &dco);
    assert_true(fabs(loss - expected) <= 1e-12 * expected);
    for (int64_t i = 0; i < s.params.length; i++) {
        difference += pow(s.gradient[i] - want[i], 2);
        size += pow(want[i], 2);
    }
    assert_true(size > 0 && sqrt(difference / size) <= 8 * 0x1p-24);
    free(want);
    step_close(&forward);
    step_close(&mse);
    step_close(&dco);
    subject_close(&s);
}

/* The frozen network, which DCO compares with, is the adapted one at its start: exactly for LQ, up
 * to the fp32 of the factorisation for SVD. */
static void the_frozen_network_is_the_start(void **state)
{
    (void)state;
    for (int m = 0; m < METHODS; m++) {
        subject s;
        soda_step frozen, adapted;
        step_shape plain = shape_of(false, 0);
        double image[2][BATCH];
        plain.adapted = false;
        subject_open(&s, "sd1", methods[m], backend_ref(), SODA_F64);
        open_step(&s, plain, &frozen);
        open_step(&s, shape_of(false, 0), &adapted);
        const double moved = loss_at(&s, &adapted);
        soda_params start;
        CHECK_OK(params_create(s.model.layers, &s.config->adapter.options, backend_ref(), &start));
        for (int64_t i = 0; i < start.length; i++) s.value[i] = (double)start.host.value[i];
        params_destroy(&start);
        const double loss = loss_at(&s, &adapted);
        CHECK_OK(exec_run(frozen.net.exec));
        soda_step *const steps[2] = {&adapted, &frozen};
        for (int k = 0; k < 2; k++)
            CHECK_OK(exec_read(steps[k]->net.exec, graph_find(steps[k]->net.graph, "image"),
                               image[k], sizeof image[k]));
        for (int b = 0; b < BATCH; b++)
            assert_true(fabs(image[0][b] - image[1][b]) <= (m ? 1e-12 : 1e-5) * image[1][b]);
        assert_true(fabs(moved - loss) > 1e-3 * loss);
        step_close(&frozen);
        step_close(&adapted);
        subject_close(&s);
    }
}

static int setup(void **state)
{
    const int result = files_setup(state);
    setenv("SODA_CACHE", *state, 1);
    return result;
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(gradients_match_central_differences),
        cmocka_unit_test(backends_agree),
        cmocka_unit_test(recomputation_changes_no_bit),
        cmocka_unit_test(limits_are_kept_or_refused),
        cmocka_unit_test(dco_is_the_squared_error_with_other_weights),
        cmocka_unit_test(the_frozen_network_is_the_start),
    };
    return cmocka_run_group_tests(tests, setup, files_teardown);
}
