#include "train/trained_unet.h"

static void append(const void *context, soda_graph *graph, unet_size size)
{
    const trained_unet *u = context;
    training_model_build_sampler(u->model, graph, u->params ? layers_append : NULL, size);
}

static soda_status bind(const void *context, const soda_graph *graph, exec_binding **list,
                        int *count)
{
    const soda_params *params = ((const trained_unet *)context)->params;
    return params ? params_bind(params, graph, false, list, count) : SODA_OK;
}

denoiser_unet trained_unet_denoiser(const trained_unet *unet)
{
    const training_model *model = unet->model;
    return (denoiser_unet){.folder = model->folder,
                           .backend = model->backend,
                           .dtype = model->dtype,
                           .residency = model->residency,
                           .append = append,
                           .bind = bind,
                           .context = unet};
}
