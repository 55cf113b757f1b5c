/* Adapters folded into weights: the identity changes nothing, residuals add up, and the merged
 * network computes what the network with its adapters in the graph computes. */
#include "support/check.h"
#include "train/params_adapter.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/merge.h"
#include "core/log.h"
#include "interop/merged.h"
#include "support/adapters.h"
#include "support/component.h"
#include "support/files.h"

#define FAMILY(name) SODA_TEST_DIR "/golden/tiny-" name

static merged_weights *merge(const test_adapter *t, int component, const adapter_use *uses,
                             int count, merged_form form)
{
    const folder_component list[] = {FOLDER_UNET, FOLDER_TEXT_ENCODER, FOLDER_TEXT_ENCODER_2};
    const adapter_uses all = {uses, count};
    merged_weights *merged;
    CHECK_OK(
        merged_create(t->folder, list[component], t->files[component].source, &all, form, &merged));
    return merged;
}

/* Largest |W - W0| of all merged weights; fills *size with the largest |W0|. */
static double largest_change(const merged_weights *merged, const test_adapter *t, double *size)
{
    double most = 0;
    *size = 0;
    for (int i = 0; i < merged_count(merged); i++) {
        const soda_weight *w = merged_at(merged, i);
        const int64_t count = shape_count(&w->source.shape);
        float *got = malloc((size_t)count * 8), *w0 = got + count;
        const soda_layer *layer = NULL;
        for (int k = 0; k < layers_count(t->layers); k++)
            if (!strcmp(layers_at(t->layers, k)->w0.name, w->name)) layer = layers_at(t->layers, k);
        assert_true(layer && got);
        CHECK_OK(merge_read_weight(w, got));
        CHECK_OK(merge_read_weight(&layer->w0, w0));
        for (int64_t k = 0; k < count; k++) {
            most = fmax(most, fabs((double)got[k] - (double)w0[k]));
            *size = fmax(*size, fabs((double)w0[k]));
        }
        free(got);
    }
    return most;
}

/* delta = 0 and R = I: W0 itself; with an SVD W0 up to the rounding of U, s and Vh, which is a
 * few 2^-24 of the largest element. */
static void the_identity_changes_nothing(void **state)
{
    (void)state;
    for (int i = 0; method_at(i); i++) {
        const soda_method *method = method_at(i);
        soda_folder *folder;
        test_adapter t;
        double size;
        CHECK_OK(folder_open(FAMILY("sd1"), &folder));
        test_adapter_open(&t, folder, method, true);
        soda_adapter *adapter = test_adapter_make(&t);
        const adapter_use use = {adapter, 1};
        for (int c = 0; c < 2; c++) {
            merged_weights *merged = merge(&t, c, &use, 1, MERGED_F32);
            assert_true(merged_count(merged) > 0);
            const double change = largest_change(merged, &t, &size);
            if (method->bases != &factorize_kind_svd)
                assert_true(change == 0);
            else
                assert_true(change <= 16 * 0x1p-24 * size);
            merged_destroy(merged);
        }
        adapter_close(adapter);
        test_adapter_close(&t);
        folder_close(folder);
    }
}

/* W0 + 2 (W1 - W0) - 0.5 (W2 - W0) from the single adapters' differences. Each difference is fp32:
 * errors of 2^-24 relative, times 2 and 0.5. */
static void residuals_add_up(void **state)
{
    (void)state;
    soda_folder *folder;
    test_adapter t, u;
    CHECK_OK(folder_open(FAMILY("sd1"), &folder));
    test_adapter_open(&t, folder, &method_soda_svd, false);
    test_adapter_open(&u, folder, &method_soda_lq, false);
    test_adapter_randomize(&t, 11, 0.2, 0.1);
    test_adapter_randomize(&u, 2000, 0.1, 0.3);
    soda_adapter *one = test_adapter_make(&t), *two = test_adapter_make(&u);
    const adapter_use uses[] = {{one, 2}, {two, -0.5}, {two, 0}};
    const adapter_use first = {one, 1}, second = {two, 1};
    merged_weights *sum = merge(&t, 0, uses, 3, MERGED_DIFFERENCE);
    merged_weights *a = merge(&t, 0, &first, 1, MERGED_DIFFERENCE);
    merged_weights *b = merge(&t, 0, &second, 1, MERGED_DIFFERENCE);
    assert_int_equal(merged_count(sum), layers_count(t.layers));
    for (int i = 0; i < merged_count(sum); i++) {
        const soda_weight *w = merged_at(sum, i);
        const float *got = w->source.data, *x = merged_find(a, w->name)->source.data,
                    *y = merged_find(b, w->name)->source.data;
        double change = 0;
        for (int64_t k = 0; k < shape_count(&w->source.shape); k++) {
            const double want = 2 * (double)x[k] - 0.5 * (double)y[k];
            const double bound = 0x1p-22 * (fabs((double)x[k]) + fabs((double)y[k]));
            if (!(fabs((double)got[k] - want) <= bound))
                fail_msg("%s[%lld]: %g, wanted %g", w->name, (long long)k, (double)got[k], want);
            change = fmax(change, fabs(want));
        }
        assert_true(change > 1e-3);
    }
    merged_destroy(sum);
    merged_destroy(a);
    merged_destroy(b);
    adapter_close(one);
    adapter_close(two);
    test_adapter_close(&t);
    test_adapter_close(&u);
    folder_close(folder);
}

/* Weight 0 merges nothing: the source hands out the file's own weights. */
static void weight_zero_is_the_plain_model(void **state)
{
    (void)state;
    soda_folder *folder;
    test_adapter t;
    CHECK_OK(folder_open(FAMILY("sd2"), &folder));
    test_adapter_open(&t, folder, &method_soda_svd, false);
    test_adapter_randomize(&t, 11, 0.2, 0.1);
    soda_adapter *adapter = test_adapter_make(&t);
    const adapter_use use = {adapter, 0};
    merged_weights *merged = merge(&t, 0, &use, 1, MERGED_F32);
    assert_int_equal(merged_count(merged), 0);
    const soda_layer *layer = layers_at(t.layers, 0);
    soda_weight weight;
    CHECK_OK(merged_source(merged)->find(merged_source(merged), layer->w0.name + 5,
                                         &layer->w0.source.shape, &weight));
    assert_ptr_equal(weight.source.data, layer->w0.source.data);
    merged_destroy(merged);
    adapter_close(adapter);
    test_adapter_close(&t);
    folder_close(folder);
}

/* The file's type is kept and rounded to once: each fp16 or bf16 weight is within half a unit in
 * the last place of fp32's. */
static void types_are_kept_and_rounded_once(void **state)
{
    (void)state;
    static const char *const models[] = {FAMILY("sd2"), FAMILY("sdxl")};
    for (int i = 0; i < 2; i++) {
        soda_folder *folder;
        test_adapter t;
        CHECK_OK(folder_open(models[i], &folder));
        test_adapter_open(&t, folder, &method_soda_lq, false);
        test_adapter_randomize(&t, 3, 0.2, 1e-3);
        soda_adapter *adapter = test_adapter_make(&t);
        const adapter_use use = {adapter, 1};
        merged_weights *file = merge(&t, 0, &use, 1, MERGED_AS_FILE);
        merged_weights *whole = merge(&t, 0, &use, 1, MERGED_F32);
        const soda_dtype dtype = i == 0 ? SODA_F16 : SODA_BF16;
        for (int k = 0; k < merged_count(file); k++) {
            const soda_weight *w = merged_at(file, k);
            const float *want = merged_find(whole, w->name)->source.data;
            const uint16_t *got = w->source.data;
            assert_int_equal(w->source.dtype, dtype);
            for (int64_t e = 0; e < shape_count(&w->source.shape); e++) {
                int exponent;
                frexp((double)want[e], &exponent);
                /* fp16: 11 bits, subnormal below 2^-14; bf16: 8 bits */
                const double unit = i == 0 ? ldexp(1, (exponent < -13 ? -13 : exponent) - 11)
                                           : ldexp(1, exponent - 8);
                const double value =
                    (double)(i == 0 ? f16_to_float(got[e]) : bf16_to_float(got[e]));
                if (!(fabs(value - (double)want[e]) <= unit / 2 * (1 + 0x1p-20)))
                    fail_msg("%s[%lld]: %g for %g", w->name, (long long)e, value, (double)want[e]);
            }
        }
        merged_destroy(file);
        merged_destroy(whole);
        adapter_close(adapter);
        test_adapter_close(&t);
        folder_close(folder);
    }
}

/* Builds the U-Net with what run->builder holds, runs it on the golden inputs of "unet.0" and
 * returns the prediction, for free(). `t` gives the values of params; NULL: there are none. */
static float *predict(component_run *run, const test_adapter *t, int64_t *count)
{
    static const char *const inputs[] = {"sample", "timestep", "encoder_hidden_states",
                                         "text_embeds", "time_ids"};
    const component_model *m = run->model;
    const safetensors_tensor *sample = component_tensor(m, "unet.0", "sample");
    const unet_size size = {.batch = sample->dim[0],
                            .h = sample->dim[2],
                            .w = sample->dim[3],
                            .tokens =
                                component_tensor(m, "unet.0", "encoder_hidden_states")->dim[1]};
    unet_build(&run->builder, &m->folder->unet, size);
    component_ready(run);
    for (int i = 0; i < (m->folder->xl ? 5 : 3); i++) component_write(run, "unet.0", inputs[i]);
    for (int i = 0; t && i < t->params.count; i++) {
        const params_tensor *tensor = &t->params.tensors[i];
        CHECK_OK(exec_write_f32(run->exec, tensor->name, t->params.host.value + tensor->offset,
                                tensor->count));
    }
    CHECK_OK(exec_run(run->exec));
    *count = sample->dim[0] * sample->dim[1] * sample->dim[2] * sample->dim[3];
    float *prediction = malloc((size_t)*count * sizeof *prediction);
    assert_non_null(prediction);
    CHECK_OK(exec_read_f32(run->exec, "prediction", prediction, *count));
    component_end(run);
    return prediction;
}

/* 3e-5 is what one call of a network may be off in fp32 (tests/support/component.c); both sides are
 * such calls, from the same W up to 2^-24. Angles and shifts are large: the plain model is far. */
static void check_prediction(const char *family, const soda_method *method)
{
    component_model m;
    component_run run;
    test_adapter t;
    soda_bases *bases;
    soda_adapter *adapter;
    int64_t count;
    component_open(&m, family, backend_cpu(2), SODA_F32);
    test_adapter_open(&t, m.folder, method, false);
    test_adapter_randomize(&t, 77, 0.3, 0.1);
    CHECK_OK(bases_load(t.layers, comm_self(), NULL, &bases));

    layers_place place = {t.layers, "unet.", false, prices_host()};
    component_start(&run, &m, FOLDER_UNET);
    run.builder.adapt = layers_append;
    run.builder.adapt_context = &place;
    float *want = predict(&run, &t, &count);
    component_start(&run, &m, FOLDER_UNET);
    float *plain = predict(&run, NULL, &count);

    for (int own = 0; own < 2; own++) { /* bases loaded again, then those of the run */
        CHECK_OK(params_adapter(&t.params, own ? t.layers : NULL, method, "", &adapter));
        const adapter_use use = {adapter, 1};
        merged_weights *merged = merge(&t, 0, &use, 1, MERGED_F32);
        component_start(&run, &m, FOLDER_UNET);
        run.builder.source = merged_source(merged);
        float *got = predict(&run, NULL, &count);
        const double error = check_relative_l2(got, want, count);
        if (!(error <= 3e-5)) fail_msg("%s, %s: %g", family, method->name, error);
        assert_true(check_relative_l2(plain, want, count) > 1e-2);
        free(got);
        merged_destroy(merged);
        adapter_close(adapter);
    }
    free(plain);
    free(want);
    bases_destroy(bases);
    test_adapter_close(&t);
    component_close(&m);
}

static void merged_equals_the_adapters_in_the_graph(void **state)
{
    (void)state;
    static const char *const families[] = {"sd1", "sd2", "sdxl"};
    for (int i = 0; i < 6; i++)
        check_prediction(families[i / 2], i % 2 ? &method_soda_lq : &method_soda_svd);
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
        cmocka_unit_test(the_identity_changes_nothing),
        cmocka_unit_test(residuals_add_up),
        cmocka_unit_test(weight_zero_is_the_plain_model),
        cmocka_unit_test(types_are_kept_and_rounded_once),
        cmocka_unit_test(merged_equals_the_adapters_in_the_graph),
    };
    return cmocka_run_group_tests(tests, setup, files_teardown);
}
