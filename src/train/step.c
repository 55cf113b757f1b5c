#include "train/step.h"

#include <stdlib.h>
#include <string.h>

#include "train/recompute.h"

/* Appends loss and outputs. */
static void append_loss(const training_model *model, const step_shape *shape, soda_graph *g)
{
    const unet_size size = {shape->batch, shape->h, shape->w, shape->tokens, NULL};
    const soda_id p = training_model_build(model, g, shape->adapted ? layers_append : NULL,
                                           shape->gradients, size);
    if (graph_status(g) != SODA_OK) return;
    const soda_id target = graph_input(g, "target", SODA_F32, graph_value(g, p)->shape);
    const soda_id weight = graph_input(g, "weight", SODA_F32, SHAPE(shape->batch));
    soda_id loss;
    if (shape->gradients && shape->loss == LOSS_DCO)
        loss = graph_dco_loss(g, p, target, weight,
                              graph_input(g, "reference", SODA_F32, SHAPE(shape->batch)),
                              (float)shape->dco_beta);
    else
        loss = graph_mse_loss(g, p, target, weight);
    if (graph_status(g) != SODA_OK) return;
    graph_output(g, loss, "loss");
    if (!shape->gradients)
        graph_output(g, graph_node(g, graph_value(g, loss)->node)->out[1], "image");
}

typedef struct {
    const training_model *model;
    const soda_params *params;
    soda_step *step;
} builder;

static soda_status bind_params(const builder *b, exec_binding **list, int *count)
{
    const bool gradients = b->step->shape.gradients;
    const int wanted = b->params->count * (gradients ? 2 : 1) + (gradients ? 1 : 0);
    TRY(params_bind(b->params, b->step->net.graph, gradients, list, count));
    if (*count == wanted || b->model->dtype == SODA_F64) return SODA_OK;
    return FAIL(SODA_ERR_INTERNAL, "%d of %d trainable tensors and gradients are in the graph",
                *count, wanted);
}

/* The frozen network of DCO writes its image errors to where the other one reads them. */
static soda_status bind_image(const builder *b, exec_binding **list, int *count)
{
    exec_binding *grown = realloc(*list, (size_t)(*count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    *list = grown;
    const char *name = b->step->shape.gradients ? "reference" : "image";
    grown[(*count)++] = (exec_binding){graph_find(b->step->net.graph, name), b->step->shape.image};
    return SODA_OK;
}

static soda_status plan(const builder *b)
{
    exec_binding *list = NULL;
    int count = 0;
    soda_status s = SODA_OK;
    if (b->step->shape.adapted) TRY_TO(done, bind_params(b, &list, &count));
    if (b->step->shape.image) TRY_TO(done, bind_image(b, &list, &count));
    s = network_plan(&b->step->net, b->model->backend, &(exec_bindings){list, count});
done:
    free(list);
    return s;
}

/* recompute_build, of a builder. */
static soda_status build(const void *context, int recomputed)
{
    const builder *b = context;
    const training_model *model = b->model;
    soda_step *step = b->step;
    soda_network *net = &step->net;
    TRY(network_share(model->dtype, model->residency, net));
    append_loss(model, &step->shape, net->graph);
    TRY(graph_status(net->graph));
    step->segments = graph_segment_count(net->graph);
    step->recomputed = recomputed < step->segments ? recomputed : step->segments;
    if (step->shape.gradients) {
        bool *recompute = calloc((size_t)step->segments, sizeof *recompute);
        if (!recompute) return FAIL(SODA_ERR_MEMORY, "out of memory");
        for (int i = 0; i < step->recomputed; i++) recompute[i] = true;
        const soda_status s =
            graph_differentiate(net->graph, graph_find(net->graph, "loss"), recompute);
        free(recompute);
        TRY(s);
    }
    return plan(b);
}

step_shape step_shape_trained(const run_config *config, int64_t batch, int64_t tokens, float *image)
{
    return (step_shape){.batch = batch,
                        .tokens = tokens,
                        .adapted = true,
                        .gradients = true,
                        .loss = config->train.loss,
                        .dco_beta = config->train.dco_beta,
                        .image = image,
                        .recompute = config->train.recompute};
}

step_shape step_shape_frozen(int64_t batch, int64_t tokens, float *image)
{
    return (step_shape){.batch = batch, .tokens = tokens, .image = image};
}

soda_status step_plan(const training_model *model, const soda_params *params,
                      const step_shape *shape, soda_step *step)
{
    *step = (soda_step){.shape = *shape};
    const builder b = {model, params, step};
    const soda_status s = recompute_choose(step, build, &b);
    if (s != SODA_OK) step_close(step);
    return s;
}

soda_status step_commit(soda_step *step, const soda_backend *backend)
{
    return network_commit(&step->net, backend);
}

soda_status step_open(const training_model *model, const soda_params *params,
                      const step_shape *shape, soda_step *step)
{
    TRY(step_plan(model, params, shape, step));
    const soda_status s = step_commit(step, model->backend);
    if (s != SODA_OK) step_close(step);
    return s;
}

void step_close(soda_step *step)
{
    network_close(&step->net);
    *step = (soda_step){0};
}
