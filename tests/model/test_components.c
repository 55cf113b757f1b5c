/* Every network of the three families, from its files, against PyTorch: sizes that do not divide,
 * fractional timesteps, all file types, old and new tensor names. */
#include <stdlib.h>

#include "support/check.h"
#include "support/component.h"

typedef struct {
    const soda_backend *backend;
    soda_dtype dtype;
} engine;

static const char *const families[] = {"sd1", "sd2", "sdxl"};
enum { FAMILIES = 3 };

/* Calls `test` for every family on the engine of this run. */
static void for_families(void **state, void (*test)(const component_model *model))
{
    const engine *e = *state;
    for (int i = 0; i < FAMILIES; i++) {
        component_model model;
        component_open(&model, families[i], e->backend, e->dtype);
        test(&model);
        component_close(&model);
    }
}

static int64_t dim(const component_model *m, const char *at, const char *name, int axis)
{
    return component_tensor(m, at, name)->dim[axis];
}

static void check_unet(const component_model *m)
{
    for (int i = 0; i < 3; i++) {
        const soda_path at = path_join("unet.%d", i);
        const unet_size size = {.batch = dim(m, at.text, "sample", 0),
                                .h = dim(m, at.text, "sample", 2),
                                .w = dim(m, at.text, "sample", 3),
                                .tokens = dim(m, at.text, "encoder_hidden_states", 1)};
        component_run run;
        component_start(&run, m, FOLDER_UNET);
        unet_build(&run.builder, &m->folder->unet, size);
        component_ready(&run);
        component_write(&run, at.text, "sample");
        component_write(&run, at.text, "timestep");
        component_write(&run, at.text, "encoder_hidden_states");
        if (m->folder->xl) {
            component_write(&run, at.text, "text_embeds");
            component_write(&run, at.text, "time_ids");
        }
        CHECK_OK(exec_run(run.exec));
        component_check(&run, at.text, "prediction");
        component_end(&run);
    }
}

static void check_vae_decoder(const component_model *m)
{
    for (int i = 0; i < 2; i++) {
        const soda_path at = path_join("vae.decode.%d", i);
        component_run run;
        component_start(&run, m, FOLDER_VAE);
        CHECK_OK(vae_build_decoder(&run.builder, &m->folder->vae, dim(m, at.text, "latents", 0),
                                   dim(m, at.text, "latents", 2), dim(m, at.text, "latents", 3)));
        component_ready(&run);
        component_write(&run, at.text, "latents");
        CHECK_OK(exec_run(run.exec));
        component_check(&run, at.text, "image");
        component_end(&run);
    }
}

static void check_vae_encoder(const component_model *m)
{
    for (int i = 0; i < 2; i++) {
        const soda_path at = path_join("vae.encode.%d", i);
        component_run run;
        component_start(&run, m, FOLDER_VAE);
        CHECK_OK(vae_build_encoder(&run.builder, &m->folder->vae, dim(m, at.text, "pixels", 0),
                                   dim(m, at.text, "pixels", 2), dim(m, at.text, "pixels", 3)));
        component_ready(&run);
        component_write(&run, at.text, "pixels");
        CHECK_OK(exec_run(run.exec));
        component_check(&run, at.text, "mean");
        component_check(&run, at.text, "logvar");
        component_end(&run);
    }
}

static void check_one_text(const component_model *m, int text, const char *at)
{
    const safetensors_tensor *ids = component_tensor(m, at, "input_ids");
    unsigned outputs = CLIP_LAST | CLIP_PENULTIMATE | CLIP_POOLED;
    if (m->folder->text_projection[text]) outputs |= CLIP_TEXT_EMBEDS;
    assert_int_equal(ids->dtype, SAFETENSORS_I32);
    component_run run;
    component_start(&run, m, FOLDER_TEXT_ENCODER + text);
    CHECK_OK(clip_build(&run.builder, &m->folder->text[text], ids->dim[0], ids->dim[1], outputs));
    component_ready(&run);
    CHECK_OK(clip_write(run.exec, run.graph, NULL, &m->folder->text[text], ids->data, ids->dim[0],
                        ids->dim[1]));
    CHECK_OK(exec_run(run.exec));
    component_check(&run, at, "last_hidden_state");
    component_check(&run, at, "penultimate");
    component_check(&run, at, "pooled");
    if (outputs & CLIP_TEXT_EMBEDS) component_check(&run, at, "text_embeds");
    component_end(&run);
}

static void check_text_encoders(const component_model *m)
{
    for (int text = 0; text < m->folder->texts; text++)
        for (int i = 0; i < 2; i++)
            check_one_text(
                m, text,
                path_join("%s.%d", folder_component_name(FOLDER_TEXT_ENCODER + text), i).text);
}

static void unet_predicts_what_pytorch_predicts(void **state) { for_families(state, check_unet); }

static void vae_decodes_what_pytorch_decodes(void **state)
{
    for_families(state, check_vae_decoder);
}

static void vae_encodes_what_pytorch_encodes(void **state)
{
    for_families(state, check_vae_encoder);
}

static void text_encoders_give_all_states_of_pytorch(void **state)
{
    for_families(state, check_text_encoders);
}

static int run_on(const soda_backend *backend, soda_dtype dtype)
{
    engine e = {backend, dtype};
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_prestate(unet_predicts_what_pytorch_predicts, &e),
        cmocka_unit_test_prestate(vae_decodes_what_pytorch_decodes, &e),
        cmocka_unit_test_prestate(vae_encodes_what_pytorch_encodes, &e),
        cmocka_unit_test_prestate(text_encoders_give_all_states_of_pytorch, &e),
    };
    return cmocka_run_group_tests_name(dtype_name(dtype), tests, NULL, NULL);
}

int main(void) { return run_on(backend_ref(), SODA_F32) + run_on(backend_ref(), SODA_BF16); }
