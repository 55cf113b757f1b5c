#include "train/training_model.h"

#include <string.h>

#include "model/clip.h"
#include "train/training_targets.h"

/* Scopes of the encoders' inputs in a graph; also what their weights are called. */
static const char *const prefixes[TRAINING_COMPONENTS] = {"unet.", "vae.", "text_encoder.",
                                                          "text_encoder_2."};

typedef struct {
    const training_model *model;
    soda_graph *graph;
    builder_adapt adapt;
    bool training;
} assembly;

static soda_builder builder_of(const assembly *a, folder_component component, layers_place *place)
{
    *place = (layers_place){a->model->layers, prefixes[component], a->training,
                            a->model->backend->prices};
    return (soda_builder){.graph = a->graph,
                          .source = a->model->source[component],
                          .adapt = a->adapt,
                          .adapt_context = place,
                          .scope = prefixes[component]};
}

/* One encoder's hidden states (fp32 [N,T,width]), as text_encode picks them. */
static soda_id build_encoder(const assembly *a, int index, unet_size size)
{
    const soda_folder *folder = a->model->folder;
    const folder_component component = (folder_component)(FOLDER_TEXT_ENCODER + index);
    layers_place place;
    soda_builder b = builder_of(a, component, &place);
    const unsigned wanted = !folder->xl  ? CLIP_LAST
                            : index == 0 ? CLIP_PENULTIMATE
                                         : CLIP_PENULTIMATE | CLIP_TEXT_EMBEDS;
    const soda_status s = clip_build(&b, &folder->text[index], size.batch, size.tokens, wanted);
    if (s != SODA_OK) return graph_fail(a->graph, s);
    return graph_find(
        a->graph,
        path_join("%s%s", b.scope, folder->xl ? "penultimate" : "last_hidden_state").text);
}

static unet_text build_texts(const assembly *a, unet_size size)
{
    unet_text text = {build_encoder(a, 0, size), NO_VALUE};
    if (!a->model->folder->xl) return text;
    const soda_id second = build_encoder(a, 1, size);
    if (graph_status(a->graph) != SODA_OK) return text;
    text.hidden = graph_concat(a->graph, text.hidden, second);
    text.pooled =
        graph_find(a->graph, path_join("%stext_embeds", prefixes[FOLDER_TEXT_ENCODER_2]).text);
    return text;
}

static soda_id build_unet(const assembly *a, unet_size size)
{
    layers_place place;
    if (graph_status(a->graph) != SODA_OK) return NO_VALUE;
    soda_builder b = builder_of(a, FOLDER_UNET, &place);
    return unet_build(&b, &a->model->folder->unet, size);
}

soda_id training_model_build(const training_model *model, soda_graph *graph, builder_adapt adapt,
                             bool training, unet_size size)
{
    const assembly a = {model, graph, adapt, training};
    unet_text text;
    if (model->text_encoder) {
        text = build_texts(&a, size);
        size.text = &text;
    }
    return build_unet(&a, size);
}

soda_id training_model_build_sampler(const training_model *model, soda_graph *graph,
                                     builder_adapt adapt, unet_size size)
{
    const assembly a = {model, graph, adapt, false};
    return build_unet(&a, size);
}

soda_status training_model_collect(training_model *model)
{
    soda_graph *graph;
    const int64_t side = 1LL << (model->folder->unet.blocks - 1); /* all levels can halve it */
    TRY(graph_create(model->dtype, &graph));
    training_model_build(model, graph, layers_collect, true, (unet_size){1, side, side, 8, NULL});
    const soda_status s = graph_status(graph);
    graph_destroy(graph);
    return s;
}

static soda_status open_component(training_model *t, folder_component component)
{
    TRY(folder_weights_open(t->folder, component, &t->files[component]));
    t->source[component] = t->files[component].source;
    return SODA_OK;
}

static soda_status open_files(training_model *t)
{
    TRY(open_component(t, FOLDER_UNET));
    for (int i = 0; t->text_encoder && i < t->folder->texts; i++)
        TRY(open_component(t, (folder_component)(FOLDER_TEXT_ENCODER + i)));
    return SODA_OK;
}

static soda_status find_layers(training_model *t, const run_config *config, bool warn)
{
    TRY(targets_create((const char *const *)config->adapter.targets.list,
                       config->adapter.targets.count, &t->targets));
    TRY(layers_create(config->adapter.method, t->targets, &config->adapter.options, &t->layers));
    TRY(training_model_collect(t));
    return training_targets_check(t, config, warn);
}

/* Collective. */
static soda_status open_weights(training_model *t, const run_config *config, soda_comm *comm)
{
    soda_device *device = t->backend->device;
    const sharded_options options = {(int)config->parallel.shard,
                                     (size_t)(config->parallel.ring_mib * 0x1p20)};
    TRY(comm_agree(comm, open_files(t)));
    if (config->parallel.weights == WEIGHTS_SHARD && comm->size > 1)
        return sharded_create(t->backend, comm, &options, &t->residency);
    return comm_agree(comm, config->parallel.weights == WEIGHTS_NODE
                                ? resident_create_shared(device, comm, &t->residency)
                                : resident_create(device, &t->residency));
}

static training_model start(const soda_folder *folder, const run_config *config,
                            const soda_backend *backend)
{
    return (training_model){.backend = backend,
                            .dtype = config->train.dtype,
                            .folder = folder,
                            .text_encoder = config->adapter.text_encoder};
}

soda_status training_model_open(const soda_folder *folder, const run_config *config,
                                const soda_backend *backend, soda_comm *comm, training_model *t)
{
    *t = start(folder, config, backend);
    soda_status s = SODA_OK;
    TRY_TO(failed, open_weights(t, config, comm));
    TRY_TO(failed, comm_agree(comm, find_layers(t, config, true)));
    TRY_TO(failed, bases_load(t->layers, comm, NULL, &t->bases));
    return SODA_OK;
failed:
    training_model_close(t);
    return s;
}

/* So that graphs can be built from the layers: they ask whether there are bases. */
static void claim_bases(soda_layers *layers)
{
    static float nothing;
    for (int i = 0; i < layers_count(layers); i++) {
        soda_layer *layer = layers_at(layers, i);
        for (int k = 0; k < method_bases(layer->method); k++)
            layer->basis[k].source.data = &nothing;
    }
}

soda_status training_model_outline(const soda_folder *folder, const run_config *config,
                                   const soda_backend *backend, soda_weight_source *unet,
                                   soda_residency *residency, training_model *t)
{
    *t = start(folder, config, backend);
    t->residency = residency;
    soda_status s = SODA_OK;
    if (unet)
        t->source[FOLDER_UNET] = unet;
    else
        TRY_TO(failed, open_files(t));
    TRY_TO(failed, find_layers(t, config, false));
    claim_bases(t->layers);
    return SODA_OK;
failed:
    training_model_close(t);
    return s;
}

soda_status training_model_draw_bases(training_model *t, soda_weight_source *source)
{
    for (int i = 0; i < layers_count(t->layers); i++) {
        soda_layer *layer = layers_at(t->layers, i);
        for (int k = 0; k < method_bases(layer->method); k++) {
            soda_weight w;
            TRY(source->find(source, layer->basis[k].name, &layer->basis[k].source.shape, &w));
            layer->basis[k].source.data = w.source.data;
            layer->basis[k].mapped = w.mapped;
        }
    }
    return SODA_OK;
}

void training_model_close(training_model *t)
{
    bases_destroy(t->bases);
    layers_destroy(t->layers);
    targets_destroy(t->targets);
    residency_close(t->residency);
    for (int c = 0; c < TRAINING_COMPONENTS; c++) folder_weights_close(&t->files[c]);
    *t = (training_model){0};
}
