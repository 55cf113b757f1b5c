#include "train/trained_unet.h"

static void append(const void *context, soda_graph *graph, unet_size size)
{
    const trained_unet *u = context;
    training_model_build_sampler(u->model, graph, u->params ? layers_append : NULL, size);
}

static soda_status write(const void *context, soda_network *net)
{
    const soda_params *params = ((const trained_unet *)context)->params;
    for (int i = 0; params && i < params->count; i++) {
        const params_tensor *t = &params->tensors[i];
        if (graph_find(net->graph, t->name) == NO_VALUE) continue; /* a text encoder's */
        TRY(exec_write_f32(net->exec, t->name, params->value + t->offset, t->count));
    }
    return SODA_OK;
}

denoiser_unet trained_unet_denoiser(const trained_unet *unet)
{
    const training_model *model = unet->model;
    return (denoiser_unet){.folder = model->folder,
                           .backend = model->backend,
                           .dtype = model->dtype,
                           .weights = model->weights,
                           .append = append,
                           .write = write,
                           .context = unet};
}
