#include "plan/outline.h"

#include <string.h>

#include "core/arena.h"
#include "pipeline/vae_decoder.h"

enum { PROMPT_TOKENS = 77, LATENT_FACTOR = 8 }; /* of a U-Net without its model folder */

static soda_status open_set(soda_outline *o, dataset_role role, soda_dataset **set)
{
    const dataset_options options = dataset_options_of(o->request->config, role);
    if (!options.path) return SODA_OK;
    TRY(dataset_outline(o->folder, &options, set));
    o->data_bytes += (size_t)dataset_bytes(*set);
    const dataset_about *about = dataset_describe(*set);
    o->pictures += about->count * about->variants;
    o->texts += about->texts;
    return SODA_OK;
}

static soda_status open_folder(soda_outline *o)
{
    const outline_request *r = o->request;
    const run_config *c = r->config;
    o->folder = r->unet_folder;
    if (o->folder) return SODA_OK;
    if (!c->model)
        return FAIL(SODA_ERR_INPUT, "%s: model: expected a path, found nothing", c->file);
    TRY(status_prefix(folder_open(c->model, &o->opened), "%s: model", c->file));
    o->folder = o->opened;
    TRY(open_set(o, DATASET_TRAINING, &o->data));
    TRY(open_set(o, DATASET_PRIOR, &o->prior));
    return open_set(o, DATASET_HELD_OUT, &o->held_out);
}

static int64_t side_of(const soda_outline *o)
{
    const int64_t factor = o->opened ? config_vae_factor(&o->folder->vae) : LATENT_FACTOR;
    return o->request->config->data.resolution / factor;
}

/* The sizes of latents in a set; without one, `fallback` square. */
static soda_status find_sizes(const soda_dataset *set, int64_t fallback, latent_sizes *sizes)
{
    for (int64_t i = 0; set && i < dataset_describe(set)->count; i++) {
        const dataset_image *image = dataset_image_at(set, i);
        TRY(latent_sizes_add(sizes, image->h, image->w));
    }
    return set || !fallback ? SODA_OK : latent_sizes_add(sizes, fallback, fallback);
}

static int64_t tokens_of(const soda_outline *o)
{
    return o->data ? dataset_describe(o->data)->tokens : PROMPT_TOKENS;
}

static soda_status note(soda_step *step, const soda_backend *backend)
{
    (void)backend;
    return step->net.residency->fill(step->net.residency, exec_weights(step->net.exec));
}

static soda_status open_networks(soda_outline *o)
{
    const run_config *c = o->request->config;
    networks_request r = {.model = &o->model,
                          .params = &o->params,
                          .config = c,
                          .comm = comm_self(),
                          .tokens = tokens_of(o),
                          .image = o->image,
                          .limit_bytes =
                              networks_limit(c, o->request->machine_bytes, arena_rss_bytes()),
                          .commit = note};
    soda_status s;
    TRY_TO(done, find_sizes(o->data, side_of(o), &r.data));
    TRY_TO(done, find_sizes(o->prior, 0, &r.prior));
    TRY_TO(done, find_sizes(o->held_out, 0, &r.held));
    TRY_TO(done, networks_open(&r, &o->networks));
done:
    latent_sizes_free(&r.data);
    latent_sizes_free(&r.prior);
    latent_sizes_free(&r.held);
    return s;
}

/* Notes the forms that a network of pictures wants, and adds its activations. */
static soda_status add_drawing(soda_outline *o, bool adapted)
{
    soda_network net = {0};
    soda_residency *r = o->model.residency;
    soda_status s;
    TRY_TO(done, networks_plan_pictures(&o->model, o->request->config, side_of(o), tokens_of(o),
                                        adapted, &net));
    TRY_TO(done, r->fill(r, exec_weights(net.exec)));
    const size_t bytes = exec_arena_bytes(net.exec);
    if (bytes > o->picture_bytes) o->picture_bytes = bytes; /* one is drawn with at a time */
done:
    network_close(&net);
    return s;
}

/* What drawing pictures takes besides: the U-Net without gradients, and the VAE's decoder. */
static soda_status open_pictures(soda_outline *o)
{
    const run_config *c = o->request->config;
    soda_residency *all = NULL;
    vae_decoder decoder = {0};
    soda_status s = SODA_OK;
    if (!o->opened || (c->validation.pictures == 0 && c->sample.every == 0)) return SODA_OK;
    TRY(add_drawing(o, true));
    if (c->validation.pictures > 0) TRY(add_drawing(o, false));
    TRY(ledger_create(o->request->backend->device, 1, 0, &all));
    TRY_TO(done, vae_decoder_plan(o->folder, o->request->backend, c->train.dtype, side_of(o),
                                  side_of(o), &decoder));
    o->picture_bytes +=
        all->missing(all, exec_weights(decoder.net.exec)) + exec_arena_bytes(decoder.net.exec);
done:
    vae_decoder_close(&decoder);
    residency_close(all);
    return s;
}

/* The weights of the networks as they came: parameters, and bytes of their files. */
static soda_status count_frozen(soda_outline *o)
{
    soda_graph *graph;
    const soda_step *step = outline_step(o);
    TRY(graph_create(o->model.dtype, &graph));
    training_model_build(&o->model, graph, NULL, false,
                         (unet_size){1, step->shape.h, step->shape.w, tokens_of(o), NULL});
    const soda_status s = graph_status(graph);
    for (soda_id v = 0; s == SODA_OK && v < graph_value_count(graph); v++) {
        const soda_value *value = graph_value(graph, v);
        if (value->kind != VALUE_WEIGHT || value->view_of != NO_VALUE) continue;
        o->frozen += shape_count(&value->shape);
        o->file_bytes += (int64_t)tensor_bytes(&value->weight.source);
    }
    graph_destroy(graph);
    return s;
}

static soda_status open_all(soda_outline *o)
{
    const outline_request *r = o->request;
    const run_config *c = r->config;
    soda_device *d = r->backend->device;
    soda_residency *ledger;
    const size_t ring_wanted =
        c->parallel.weights == WEIGHTS_SHARD ? (size_t)(c->parallel.ring_mib * 0x1p20) : 0;
    TRY(open_folder(o));
    TRY(ledger_create(d, r->sharers, ring_wanted, &ledger));
    ledger->rebuilds = r->rebuilds;
    TRY(training_model_outline(o->folder, c, r->backend, r->unet, ledger, &o->model));
    TRY(params_create(o->model.layers, &c->adapter.options, r->backend, &o->params));
    if (c->train.loss == LOSS_DCO)
        TRY(d->alloc(d, (size_t)c->train.batch * sizeof(float), (void **)&o->image));
    TRY(open_networks(o));
    TRY(open_pictures(o));
    TRY(count_frozen(o));
    o->program_bytes = arena_rss_bytes() - params_bytes(&o->params);
    return SODA_OK;
}

soda_status outline_open(const outline_request *request, soda_outline *o)
{
    *o = (soda_outline){.request = request};
    const soda_status s = open_all(o);
    if (s != SODA_OK) outline_close(o);
    return status_pass(s, __FILE__, __LINE__);
}

void outline_close(soda_outline *o)
{
    networks_close(&o->networks);
    if (o->image) o->request->backend->device->release(o->request->backend->device, o->image);
    params_destroy(&o->params);
    training_model_close(&o->model);
    dataset_close(o->data);
    dataset_close(o->prior);
    dataset_close(o->held_out);
    folder_close(o->opened);
    *o = (soda_outline){0};
}

const soda_step *outline_step(const soda_outline *o)
{
    const step_list *steps = &o->networks.trained;
    const soda_step *largest = &steps->list[0];
    for (int i = 1; i < steps->count; i++)
        if (steps->list[i].shape.h * steps->list[i].shape.w > largest->shape.h * largest->shape.w)
            largest = &steps->list[i];
    return largest;
}
