#include "cuda/model_step.h"

#include "app/archs.h"
#include "model/random_weights.h"

enum { PROMPT_TOKENS = 77 };

const model_step_name model_steps[MODEL_STEPS] = {
    {"sd15", "soda_svd", SODA_BF16, 1, 64},
    {"sd15", "soda_svd", SODA_F32, 1, 64},
    {"sdxl", "soda_svd", SODA_BF16, 1, 128},
    {"sdxl", "soda_lq", SODA_BF16, 1, 128},
};

/* The adapted layers, with random numbers for bases: only their sizes matter. */
static soda_status adapt(const soda_method *method, model_step *m)
{
    static const char *const attn[] = {"attn"};
    TRY(targets_create(attn, 1, &m->model.targets));
    const method_options options = {.factors = {.rule = FACTORS_PAPER}};
    TRY(layers_create(method, m->model.targets, &options, &m->model.layers));
    TRY(training_model_collect(&m->model));
    TRY(training_model_draw_bases(&m->model, m->source));
    return params_create(m->model.layers, &options, m->model.backend, &m->params);
}

soda_status model_step_open(const model_step_name *name, const soda_backend *backend, model_step *m)
{
    const soda_method *method = method_find(name->method);
    *m = (model_step){.model = {.backend = backend, .dtype = name->dtype}};
    m->model.folder = &m->folder;
    TRY(arch_find(name->arch, &m->folder.unet));
    TRY(random_weights_create(0.02f, 1, &m->source));
    m->model.source[FOLDER_UNET] = m->source;
    TRY(resident_create(m->model.backend->device, &m->model.residency));
    TRY(adapt(method, m));
    const step_shape shape = {.batch = name->batch,
                              .h = name->latent,
                              .w = name->latent,
                              .tokens = PROMPT_TOKENS,
                              .adapted = true,
                              .gradients = true};
    return step_plan(&m->model, &m->params, &shape, &m->step);
}

void model_step_close(model_step *m)
{
    step_close(&m->step);
    params_destroy(&m->params);
    training_model_close(&m->model);
    random_weights_destroy(m->source);
}
