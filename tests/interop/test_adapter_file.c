/* Adapter files: what is written is read back to the bit, and every kind of bad file is one error
 * that names file and tensor. */
#include "support/check.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "interop/adapter_fit.h"
#include "io/safetensors.h"
#include "support/adapters.h"
#include "support/files.h"

#define FAMILY(name) SODA_TEST_DIR "/golden/tiny-" name

static void round_trip(const char *file, const char *model, const soda_method *method, bool text)
{
    soda_folder *folder;
    test_adapter t;
    soda_adapter *read;
    CHECK_OK(folder_open(model, &folder));
    test_adapter_open(&t, folder, method, text);
    test_adapter_randomize(&t, 5, 0.1, 0.05);
    test_adapter_write(&t, file);
    CHECK_OK(adapter_read(file, &read));
    assert_ptr_equal(read->method, method);
    assert_int_equal(read->count, layers_count(t.layers));
    assert_int_equal(adapter_freedom(read), layers_freedom(t.layers));
    assert_int_equal(adapter_touches_text(read), text);
    assert_int_equal(adapter_stored(read), t.params.total);
    for (int i = 0; i < layers_count(t.layers); i++) {
        const soda_layer *layer = layers_at(t.layers, i);
        const adapter_layer *l = adapter_find(read, layer->name);
        assert_non_null(l);
        const soda_layer sizes = adapter_layer_sizes(read, l);
        assert_memory_equal(sizes.factor, layer->factor, sizeof layer->factor);
        assert_true((sizes.n == layer->n || !method->sizes) && l->orthogonality < 1e-6);
        for (int p = 0; p < method_tensors(method); p++) {
            char name[256];
            const params_tensor *tensor =
                params_find(&t.params, method_tensor_name(layer, p, name, sizeof name));
            assert_memory_equal(l->value[p], t.params.host.value + tensor->offset,
                                (size_t)tensor->count * sizeof(float));
        }
    }
    CHECK_OK(adapter_fit_check(read, folder));
    adapter_close(read);
    test_adapter_close(&t);
    folder_close(folder);
}

static void what_is_written_is_read_back(void **state)
{
    const char *file = files_path(*state, "a.safetensors");
    round_trip(file, FAMILY("sd1"), &method_soda_svd, false);
    round_trip(file, FAMILY("sd2"), &method_soda_lq, true);
    round_trip(file, FAMILY("sd2"), &method_svdiff, true);
    round_trip(file, FAMILY("sdxl"), &method_rotation, true);
    round_trip(file, FAMILY("sdxl"), &method_soda_svd, true);
    soda_safetensors *set;
    CHECK_OK(safetensors_open(file, &set));
    assert_string_equal(safetensors_metadata(set, "format"), "soda-adapter");
    assert_string_equal(safetensors_metadata(set, "method"), "soda_svd");
    assert_string_equal(safetensors_metadata(set, "base_model_components"), "unet, text encoders");
    assert_int_equal(strlen(safetensors_metadata(set, "base_model_sha256")), 64);
    assert_non_null(strstr(safetensors_metadata(set, "factors"), "\"40\":[2,2,10]"));
    assert_non_null(safetensors_find(
        set, "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn1.to_q.soda.R1"));
    safetensors_close(set);
}

/* One layer of tiny-sd1, [12,12] split into 1, 3, 4, as a file to be spoilt. */
#define LAYER "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_q"
#define CROSS "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn2.to_k"

typedef struct {
    float R1[4], R2[9], R3[25], delta[20];
    safetensors_tensor tensor[5];
    int count;
    safetensors_pair metadata[3];
    int pairs;
} draft;

static draft good_draft(void)
{
    draft d = {.count = 4,
               .metadata = {{"format", "soda-adapter"}, {"method", "soda_lq"}},
               .pairs = 2,
               .R1 = {1},
               .R2 = {1, 0, 0, 0, 1, 0, 0, 0, 1}};
    for (int i = 0; i < 4; i++) d.R3[i * 5] = 1;
    static const char *const names[] = {LAYER ".soda.R1", LAYER ".soda.R2", LAYER ".soda.R3",
                                        LAYER ".soda.delta"};
    static const int64_t side[] = {1, 3, 4, 12};
    for (int i = 0; i < 4; i++)
        d.tensor[i] = (safetensors_tensor){.name = names[i],
                                           .dtype = SAFETENSORS_F32,
                                           .rank = i < 3 ? 2 : 1,
                                           .dim = {side[i], side[i]}};
    return d;
}

static soda_status read_draft(void **state, draft *d, soda_adapter **adapter)
{
    const char *file = files_path(*state, "draft.safetensors");
    float *const data[] = {d->R1, d->R2, d->R3, d->delta, d->delta};
    for (int i = 0; i < d->count; i++)
        if (!d->tensor[i].data) d->tensor[i].data = data[i];
    CHECK_OK(safetensors_write(file, d->tensor, d->count, d->metadata, d->pairs));
    return adapter_read(file, adapter);
}

/* Reading the draft fails; the message names the file and `part`. */
static void refused(void **state, draft *d, const char *part)
{
    soda_adapter *adapter;
    CHECK_FAILS(read_draft(state, d, &adapter), SODA_ERR_INPUT);
    check_message_has("draft.safetensors: ");
    check_message_has(part);
    assert_null(adapter);
}

static void bad_tensors_are_named(void **state)
{
    draft d = good_draft();
    soda_adapter *adapter;
    CHECK_OK(read_draft(state, &d, &adapter));
    assert_int_equal(adapter->count, 1);
    assert_string_equal(adapter->layers[0].name, LAYER);
    adapter_close(adapter);

    for (int i = 0; i < 4; i++) { /* each member missing in turn */
        static const char *const leaf[] = {"soda.R1 is missing", "soda.R2 is missing",
                                           "soda.R3 is missing", "soda.delta is missing"};
        d = good_draft();
        for (int k = 0; k < 4; k++) d.tensor[k].data = d.R3;
        d.tensor[i] = d.tensor[3];
        d.count = 3;
        refused(state, &d, leaf[i]);
    }
    d = good_draft(), d.count = 0, refused(state, &d, "no tensors");
    d = good_draft(), d.tensor[1].name = LAYER ".soda.R4", refused(state, &d, "to_q.soda.R4");
    d = good_draft(), d.tensor[1].name = LAYER ".lora_A", refused(state, &d, "unknown tensor");
    d = good_draft(), d.tensor[0].name = ".soda.R1", refused(state, &d, "tensor .soda.R1");
    d = good_draft(), d.tensor[0].name = "vae.x.soda.R1", refused(state, &d, "vae.x.soda.R1");
    d = good_draft(), d.tensor[1].dim[1] = 2, refused(state, &d, "R2: expected a square matrix");
    d = good_draft(), d.tensor[1].rank = 1, refused(state, &d, "R2: expected a square matrix");
    d = good_draft(), d.tensor[3].rank = 2, refused(state, &d, "delta: expected one dimension");
    d = good_draft(), d.tensor[3].dim[0] = 0, refused(state, &d, "delta: expected one dimension");
    d = good_draft(), d.tensor[3].dim[0] = 13, refused(state, &d, "delta: expected at most 12");
    d = good_draft(), d.tensor[2].dtype = SAFETENSORS_BF16,
    refused(state, &d, "R3: expected type F32, found BF16");
    d = good_draft(), d.R3[7] = NAN, refused(state, &d, "R3: element 7 is not finite");
    d = good_draft(), d.delta[11] = INFINITY, refused(state, &d, "delta: element 11 is not finite");
}

/* R1 = [2]: ||R'R - I|| = 3. A warning, not an error. */
static void drift_is_measured(void **state)
{
    draft d = good_draft();
    soda_adapter *adapter;
    d.R1[0] = 2;
    CHECK_OK(read_draft(state, &d, &adapter));
    assert_true(adapter->layers[0].orthogonality == 3);
    adapter_close(adapter);
}

static void bad_metadata_is_named(void **state)
{
    draft d = good_draft();
    d.metadata[0].value = "pt", refused(state, &d, "format: expected soda-adapter, found pt");
    d.tensor[0].name = "unet.mid_block.to_q.lora_A.weight";
    refused(state, &d, "found pt: this is a LoRA adapter, which soda does not read");
    d.tensor[0].name = "unet.mid_block.processor.to_q_lora.up.weight";
    refused(state, &d, "found pt: this is a LoRA adapter, which soda does not read");
    d.tensor[0].name = "lora_unet_mid_block_attn1_to_q.diff";
    refused(state, &d, "found pt: these are full differences of weights (soda export --to diff)");
    d = good_draft(), d.metadata[0].key = "x", refused(state, &d, "found none");
    d = good_draft(), d.metadata[1].value = "lora", refused(state, &d, "found \"lora\"");
    d = good_draft(), d.pairs = 1,
    refused(state, &d, "method: expected soda_svd, soda_lq, svdiff or rotation");
    d = good_draft(), d.metadata[2] = (safetensors_pair){"base_model_sha256", "12"}, d.pairs = 3;
    refused(state, &d, "64 hexadecimal digits");

    soda_adapter *adapter;
    CHECK_FAILS(adapter_read(files_path(*state, "absent"), &adapter), SODA_ERR_INPUT);
    check_message_has("absent");
    CHECK_FAILS(adapter_read(files_write(*state, "text", "not a file", 10), &adapter),
                SODA_ERR_INPUT);
    check_message_has("text");
}

/* The draft is well-formed, but not for this model. */
static void misfit(void **state, draft *d, const soda_folder *folder, const char *part)
{
    soda_adapter *adapter;
    CHECK_OK(read_draft(state, d, &adapter));
    CHECK_FAILS(adapter_fit_check(adapter, folder), SODA_ERR_INPUT);
    check_message_has("draft.safetensors: ");
    check_message_has(part);
    adapter_close(adapter);
}

static void what_does_not_fit_the_model_is_named(void **state)
{
    static const char *const absent[] = {"unet.x.soda.R1",           "unet.x.soda.R2",
                                         "unet.x.soda.R3",           "unet.x.soda.delta",
                                         "text_encoder_2.y.soda.R1", "text_encoder_2.y.soda.R2",
                                         "text_encoder_2.y.soda.R3", "text_encoder_2.y.soda.delta"};
    soda_folder *folder;
    CHECK_OK(folder_open(FAMILY("sd1"), &folder));
    draft d = good_draft();
    d.tensor[2].dim[0] = d.tensor[2].dim[1] = 5;
    misfit(state, &d, folder, "to_q.soda.R1: with R2 and R3, expected sides that multiply to 12");
    check_message_has("found 1 x 3 x 5");
    d = good_draft(), d.tensor[3].dim[0] = 11;
    misfit(state, &d, folder, "to_q.soda.delta: expected 12 elements");
    for (int k = 0; k < 2; k++) {
        d = good_draft();
        for (int i = 0; i < 4; i++) d.tensor[i].name = absent[4 * k + i];
        misfit(state, &d, folder, absent[4 * k]);
    }
    d = good_draft();
    d.metadata[2] = (safetensors_pair){
        "base_model_sha256", "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef"};
    d.pairs = 3;
    misfit(state, &d, folder, "another model");
    d.tensor[2].dim[0] = d.tensor[2].dim[1] = 5;
    misfit(state, &d, folder, "made for another model, with base_model_sha256 0123456789abcdef");
    check_message_has("found 1 x 3 x 5");
    char own[SHA256_HEX];
    CHECK_OK(adapter_base_hash(folder, false, MODEL_HASH, own));
    d.metadata[2].value = own;
    misfit(state, &d, folder, "draft.safetensors: tensor " LAYER ".soda.R1: with R2 and R3");
    assert_null(strstr(status_message(), "made for another model"));
    d.tensor[0].name = CROSS ".soda.R1", d.tensor[1].name = CROSS ".soda.R2";
    d.tensor[2].name = CROSS ".soda.R3", d.tensor[3].name = CROSS ".soda.delta";
    misfit(state, &d, folder, "made for a model whose text states have width 15; those of ");
    check_message_has("tiny-sd1 have width 24: ");
    folder_close(folder);
}

/* A module that transformers 5 names without "text_model." is found under either name. */
static void text_layers_have_two_spellings(void **state)
{
    (void)state;
    static const char bare[] = "text_encoder.encoder.layers.0.self_attn.q_proj";
    static const char full[] = "text_encoder.text_model.encoder.layers.0.self_attn.q_proj";
    adapter_layer layer = {.name = (char *)full};
    const soda_adapter adapter = {.layers = &layer, .count = 1};
    assert_ptr_equal(adapter_find(&adapter, full), &layer);
    assert_ptr_equal(adapter_find(&adapter, bare), &layer);
    layer.name = (char *)bare;
    assert_ptr_equal(adapter_find(&adapter, full), &layer);
    assert_ptr_equal(adapter_find(&adapter, bare), &layer);
    assert_null(adapter_find(&adapter, "unet.encoder.layers.0.self_attn.q_proj"));
}

/* Files of version 0.1, made by golden/version-0.1/run.yaml: an adapter and its run's checkpoint.
 */
static void files_of_version_0_1_are_read(void **state)
{
    static const char *const files[] = {SODA_TEST_DIR "/golden/version-0.1/adapter.safetensors",
                                        SODA_TEST_DIR "/golden/version-0.1/step-00000002.h5"};
    static const int64_t factor[] = {2, 3, 4};
    soda_adapter *read[2], *again;
    soda_folder *folder;
    CHECK_OK(folder_open(FAMILY("sd1"), &folder));
    for (int f = 0; f < 2; f++) {
        CHECK_OK(adapter_read(files[f], &read[f]));
        assert_ptr_equal(read[f]->method, &method_soda_lq);
        assert_int_equal(read[f]->count, 2);
        CHECK_OK(adapter_fit_check(read[f], folder));
    }
    const char *copy = files_path(*state, "copy.safetensors");
    CHECK_OK(adapter_write(copy, read[0]));
    CHECK_OK(adapter_read(copy, &again));
    for (int i = 0; i < 2; i++) {
        const soda_layer sizes = adapter_layer_sizes(read[0], &read[0]->layers[i]);
        assert_memory_equal(sizes.factor, factor, sizeof factor);
        for (int t = 0; t < 4; t++) {
            const soda_shape *shape = &read[0]->layers[i].shape[t];
            const size_t bytes = (size_t)shape_count(shape) * sizeof(float);
            const float *value = read[0]->layers[i].value[t];
            assert_true(value[0] != 0 || t == 3); /* R has moved, but not by much */
            assert_memory_equal(read[1]->layers[i].value[t], value, bytes);
            assert_memory_equal(again->layers[i].value[t], value, bytes);
        }
    }
    adapter_close(again);
    adapter_close(read[0]);
    adapter_close(read[1]);
    folder_close(folder);
}

int main(void)
{
    log_set_quiet(true);
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(what_is_written_is_read_back, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(bad_tensors_are_named, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(drift_is_measured, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(bad_metadata_is_named, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(what_does_not_fit_the_model_is_named, files_setup,
                                        files_teardown),
        cmocka_unit_test(text_layers_have_two_spellings),
        cmocka_unit_test_setup_teardown(files_of_version_0_1_are_read, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
