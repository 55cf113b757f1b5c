#include "train/step.h"

#include <stdlib.h>
#include <string.h>

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

/* The network with its first `recomputed` segments run twice: they are the ones whose activations
 * would wait longest. */
static soda_status build(const training_model *model, int recomputed, soda_step *step)
{
    soda_network *net = &step->net;
    TRY(network_share(model->dtype, model->weights, net));
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
    return network_ready(net, model->backend);
}

static soda_status rebuild(const training_model *model, int recomputed, soda_step *step)
{
    network_close(&step->net);
    return build(model, recomputed, step);
}

static size_t bytes_of(const soda_step *step)
{
    const int networks = step->shape.networks > 1 ? step->shape.networks : 1;
    return weights_bytes(step->net.weights) + (size_t)networks * exec_arena_bytes(step->net.exec);
}

/* The least recomputation that meets the limit, by halving: more of it never needs more memory
 * along the way down, and the last network built is the one that is kept. */
static soda_status fit(const training_model *model, soda_step *step)
{
    const size_t limit = step->shape.limit_bytes;
    TRY(build(model, 0, step));
    if (!limit || bytes_of(step) <= limit || !step->shape.gradients) return SODA_OK;
    int low = 0, high = step->segments; /* low does not fit */
    TRY(rebuild(model, high, step));
    if (bytes_of(step) > limit)
        return FAIL(SODA_ERR_MEMORY,
                    "train.memory_limit: %.2f GiB for weights and activations, but a micro-batch "
                    "of %lld at %lldx%lld needs %.2f GiB with every block recomputed",
                    (double)limit / 0x1p30, (long long)step->shape.batch, (long long)step->shape.h,
                    (long long)step->shape.w, (double)bytes_of(step) / 0x1p30);
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        TRY(rebuild(model, middle, step));
        if (bytes_of(step) <= limit)
            high = middle;
        else
            low = middle;
    }
    return step->recomputed == high ? SODA_OK : rebuild(model, high, step);
}

/* Params appear in the graph nearly in the order of the list: the search goes on from the last. */
static soda_status find_params(soda_step *step, const soda_params *params)
{
    const soda_graph *g = step->net.graph;
    int at = 0, found = 0;
    for (soda_id v = 0; v < graph_value_count(g); v++) {
        const soda_value *value = graph_value(g, v);
        if (!value->name) continue;
        const bool gradient = strncmp(value->name, "grad.", 5) == 0;
        if (!gradient && (value->kind != VALUE_PARAM || value->view_of != NO_VALUE)) continue;
        const char *name = value->name + (gradient ? 5 : 0);
        int tried = 0;
        for (; tried < params->count; tried++, at = (at + 1) % params->count)
            if (strcmp(params->tensors[at].name, name) == 0) break;
        if (tried == params->count)
            return FAIL(SODA_ERR_INTERNAL, "%s is not in the list of trainable tensors", name);
        (gradient ? step->gradient : step->param)[at] = v;
        found++;
    }
    if (found != params->count * (step->shape.gradients ? 2 : 1))
        return FAIL(SODA_ERR_INTERNAL, "%d of %d trainable tensors are in the graph", found,
                    params->count);
    return SODA_OK;
}

soda_status step_open(const training_model *model, const soda_params *params,
                      const step_shape *shape, soda_step *step)
{
    soda_status s = SODA_OK;
    *step = (soda_step){.shape = *shape};
    if (shape->recompute == RECOMPUTE_AUTO)
        TRY_TO(failed, fit(model, step));
    else
        TRY_TO(failed, build(model, shape->recompute == RECOMPUTE_FULL ? INT32_MAX : 0, step));
    if (!shape->adapted) return SODA_OK;
    step->param = malloc((size_t)params->count * sizeof *step->param);
    step->gradient = malloc((size_t)params->count * sizeof *step->gradient);
    if (!step->param || !step->gradient) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto failed;
    }
    TRY_TO(failed, find_params(step, params));
    return SODA_OK;
failed:
    step_close(step);
    return s;
}

void step_close(soda_step *step)
{
    network_close(&step->net);
    free(step->param);
    free(step->gradient);
    *step = (soda_step){0};
}

soda_status step_write_params(soda_step *step, const soda_params *params)
{
    for (int i = 0; step->shape.adapted && i < params->count; i++) {
        const params_tensor *t = &params->tensors[i];
        TRY(exec_write(step->net.exec, step->param[i], params->value + t->offset,
                       (size_t)t->count * sizeof(float)));
    }
    return SODA_OK;
}

soda_status step_read_gradients(const soda_step *step, const soda_params *params, float *gradient)
{
    for (int i = 0; i < params->count; i++) {
        const params_tensor *t = &params->tensors[i];
        TRY(exec_read(step->net.exec, step->gradient[i], gradient + t->offset,
                      (size_t)t->count * sizeof(float)));
    }
    return SODA_OK;
}
