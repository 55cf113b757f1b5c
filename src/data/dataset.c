#include "data/dataset.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "data/dataset_parts.h"
#include "io/spread_arrays.h"
#include "model/hash.h"
#include "model/time_ids.h"

static soda_status check_options(const dataset_opening *o)
{
    const int64_t factor = config_vae_factor(&o->model->vae), resolution = o->options->resolution;
    if (resolution >= factor && resolution <= IMAGE_MAX_SIDE && resolution % factor == 0)
        return SODA_OK;
    return FAIL(
        SODA_ERR_INPUT,
        "%s: data.resolution: expected a multiple of %lld (the VAE scale factor of %s), at most "
        "%d, found %lld",
        o->options->file, (long long)factor, o->model->root, IMAGE_MAX_SIDE, (long long)resolution);
}

dataset_options dataset_options_of(const run_config *c, dataset_role role)
{
    static const char *const keys[] = {"data.path", "data.prior.path", "validation.path"};
    const char *const paths[] = {c->data.path, c->data.prior_path, c->validation.path};
    const bool held_out = role == DATASET_HELD_OUT;
    return (dataset_options){.path = paths[role],
                             .file = c->file,
                             .key = keys[role],
                             .resolution = c->data.resolution,
                             .buckets = c->data.buckets,
                             .random_crop = !held_out && c->data.crop == CROP_RANDOM,
                             .flip = !held_out && c->data.flip,
                             .caption_dropout = held_out ? 0 : c->data.caption_dropout,
                             .seed = c->train.seed,
                             .want_states = !c->adapter.text_encoder};
}

/* The pictures and texts there are. Local. */
static soda_status list_items(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    TRY(check_options(o));
    TRY(status_prefix(image_folder_open(o->options->path, &d->folder), "%s: %s", o->options->file,
                      o->options->key));
    image_folder_warn(d->folder);
    const int64_t count = d->folder->list.count;
    d->transform = (transform_options){.resolution = o->options->resolution,
                                       .buckets = o->options->buckets,
                                       .factor = config_vae_factor(&o->model->vae),
                                       .random_crop = o->options->random_crop,
                                       .flip = o->options->flip,
                                       .seed = o->options->seed};
    d->caption_dropout = o->options->caption_dropout;
    d->has_states = o->options->want_states;
    d->about = (dataset_about){.count = count,
                               .variants = transform_variants(&d->transform),
                               .channels = o->model->vae.latent_channels};
    d->images = calloc((size_t)count, sizeof *d->images);
    d->files = calloc((size_t)count, sizeof *d->files);
    if (!d->images || !d->files)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for a list of %lld pictures",
                    o->options->path, (long long)count);
    for (int64_t i = 0; i < count; i++) d->images[i].file = d->folder->list.items[i].file;
    return dataset_list_texts(o);
}

static soda_status create_arrays(soda_dataset *d)
{
    const dataset_about *about = &d->about;
    TRY(shared_arrays_create("latents", NULL, about->count * about->variants, 2, &d->latents));
    return d->has_states ? shared_arrays_create("text", NULL, about->texts, 2, &d->states)
                         : SODA_OK;
}

static soda_status open_local(dataset_opening *o)
{
    if (!o->dataset) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(list_items(o));
    return create_arrays(o->dataset);
}

/* Collective over `node`. */
static soda_status hash_on_node(dataset_opening *o, soda_comm *node)
{
    TRY(model_hash_together(o->model, FOLDER_VAE, node));
    for (int i = 0; o->dataset->has_states && i < o->model->texts; i++) {
        TRY(model_hash_together(o->model, FOLDER_TEXT_ENCODER + i, node));
        TRY(model_hash(o->model, FOLDER_TEXT_ENCODER + i, MODEL_HASH, o->text_sha256[i]));
    }
    return model_hash(o->model, FOLDER_VAE, MODEL_HASH, o->vae_sha256);
}

/* The node of rank 0 reads the weights for all. */
static soda_status hash_model(dataset_opening *o)
{
    soda_comm *node = o->comm->node;
    int64_t reads = o->comm->rank == 0;
    TRY(node->max_i64(node, &reads, 1));
    TRY(comm_agree_after(o->comm, node, reads ? hash_on_node(o, node) : SODA_OK));
    TRY(o->comm->broadcast(o->comm, o->vae_sha256, sizeof o->vae_sha256, 0));
    return o->comm->broadcast(o->comm, o->text_sha256, sizeof o->text_sha256, 0);
}

/* Collective. */
static soda_status check_same(dataset_opening *o, folder_component component)
{
    char own[SHA256_HEX], path[4096];
    TRY(model_hash_together(o->model, component, o->comm));
    TRY(comm_agree(o->comm, model_hash(o->model, component, MODEL_HASH, own)));
    snprintf(path, sizeof path, "%s/%s", o->model->root, folder_component_name(component));
    return comm_agree_same(o->comm, own, sizeof own, path);
}

static bool lacks_any(const shared_arrays *arrays)
{
    for (int64_t i = 0; i < arrays->count; i++)
        if (shared_arrays_absent(arrays, i)) return true;
    return false;
}

/* What a rank encodes is kept under the hashes of rank 0's weights: those of all nodes have to be
 * the same. They are read only where something is to be encoded. Collective. */
static soda_status check_encoders(dataset_opening *o)
{
    const soda_dataset *d = o->dataset;
    int64_t lacks[2] = {lacks_any(&d->latents), d->has_states && lacks_any(&d->states)};
    TRY(o->comm->max_i64(o->comm, lacks, 2));
    if (lacks[0]) TRY(check_same(o, FOLDER_VAE));
    for (int i = 0; lacks[1] && i < o->model->texts; i++)
        TRY(check_same(o, FOLDER_TEXT_ENCODER + i));
    return SODA_OK;
}

/* Tokens of another tokenizer get other states. Collective. */
static soda_status check_tokens(dataset_opening *o)
{
    const soda_tokens *tokens = &o->dataset->tokens;
    const size_t bytes = (size_t)(tokens->count * tokens->tokens) * sizeof(int32_t);
    uint8_t digest[SHA256_BYTES] = {0};
    char what[4096];
    soda_sha256 *hash = NULL;
    soda_status s = sha256_create(&hash);
    for (int i = 0; s == SODA_OK && i < o->model->texts; i++)
        s = sha256_update(hash, tokens->ids[i], bytes);
    if (s == SODA_OK) s = sha256_finish(hash, digest);
    sha256_destroy(hash);
    TRY(comm_agree(o->comm, s));
    snprintf(what, sizeof what, "%s: what a tokenizer of %s makes of the captions",
             o->options->path, o->model->root);
    return comm_agree_same(o->comm, digest, sizeof digest, what);
}

static soda_status spread(dataset_opening *o)
{
    soda_dataset *d = o->dataset;
    TRY(spread_arrays(&d->latents, o->comm));
    return d->has_states ? spread_arrays(&d->states, o->comm) : SODA_OK;
}

/* Each rank its share into the cache, then each what its cache still lacks. */
static soda_status prepare(dataset_opening *o)
{
    const soda_dataset *d = o->dataset;
    soda_status s = dataset_encode_images(o);
    if (s == SODA_OK && d->has_states) s = dataset_encode_texts(o);
    TRY(comm_agree(o->comm, s)); /* and every file is there now */
    TRY(spread(o));
    return dataset_warn_no_end(o);
}

static soda_status open_all(dataset_opening *o)
{
    TRY(comm_agree(o->comm, open_local(o)));
    TRY(dataset_same_items(o));
    TRY(check_tokens(o));
    TRY(hash_model(o));
    TRY(dataset_scan(o));
    TRY(comm_agree(o->comm, o->dataset->has_states ? dataset_text_keys(o) : SODA_OK));
    TRY(spread(o)); /* what some node has already is not made again */
    TRY(check_encoders(o));
    return prepare(o);
}

soda_status dataset_open(const soda_folder *folder, const soda_backend *backend, soda_dtype dtype,
                         const dataset_options *options, soda_comm *comm, soda_dataset **dataset)
{
    dataset_opening o = {.dataset = calloc(1, sizeof **dataset),
                         .model = folder,
                         .backend = backend,
                         .dtype = dtype,
                         .options = options,
                         .comm = comm};
    *dataset = NULL;
    const soda_status s = open_all(&o);
    if (s != SODA_OK) {
        dataset_close(o.dataset);
        return status_pass(s, __FILE__, __LINE__);
    }
    *dataset = o.dataset;
    return SODA_OK;
}

soda_status dataset_outline(const soda_folder *folder, const dataset_options *options,
                            soda_dataset **dataset)
{
    dataset_opening o = {
        .dataset = calloc(1, sizeof **dataset), .model = folder, .options = options};
    soda_status s = o.dataset ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    *dataset = NULL;
    TRY(s);
    TRY_TO(failed, list_items(&o));
    TRY_TO(failed, dataset_measure(&o));
    *dataset = o.dataset;
    return SODA_OK;
failed:
    dataset_close(o.dataset);
    return s;
}

int64_t dataset_bytes(const soda_dataset *d)
{
    const dataset_about *about = &d->about;
    int64_t latents = 0;
    for (int64_t i = 0; i < about->count; i++) latents += d->images[i].h * d->images[i].w;
    latents *= 2 * about->channels * about->variants;
    const int64_t states =
        d->has_states ? about->texts * (about->tokens * about->width + about->pooled_width) : 0;
    return (latents + states) * (int64_t)sizeof(float);
}

void dataset_close(soda_dataset *d)
{
    if (!d) return;
    order_destroy(d->order);
    free(d->drawn);
    shared_arrays_destroy(&d->states);
    shared_arrays_destroy(&d->latents);
    text_tokens_free(&d->tokens);
    free((void *)d->texts);
    free(d->files);
    free(d->images);
    image_folder_close(d->folder);
    free(d);
}

const dataset_about *dataset_describe(const soda_dataset *d) { return &d->about; }

const dataset_image *dataset_image_at(const soda_dataset *d, int64_t image)
{
    return &d->images[image];
}

dataset_view dataset_view_at(const soda_dataset *d, int64_t image, int variant)
{
    const int64_t item = image * d->about.variants + variant;
    const transform_view t = dataset_transform(d, image, variant);
    const time_ids_sizes sizes = {
        d->files[image].height, d->files[image].width, t.top, t.left, t.h, t.w};
    dataset_view view = {.mean = shared_arrays_data(&d->latents, item, 0),
                         .std = shared_arrays_data(&d->latents, item, 1)};
    time_ids_set(&sizes, view.time_ids);
    return view;
}

dataset_text dataset_text_at(const soda_dataset *d, int64_t text)
{
    dataset_text t = {.text = d->texts[text]};
    for (int i = 0; i < 2; i++)
        if (d->tokens.ids[i]) t.ids[i] = d->tokens.ids[i] + text * d->about.tokens;
    if (!d->has_states) return t;
    t.hidden = shared_arrays_data(&d->states, text, 0);
    if (d->about.pooled_width) t.pooled = shared_arrays_data(&d->states, text, 1);
    return t;
}

/* Pictures of one size are a bucket, called by the first of them. */
static soda_status make_order(soda_dataset *d, int64_t batch, int64_t global_batch)
{
    const int64_t count = d->about.count;
    int64_t *bucket = malloc((size_t)count * sizeof *bucket);
    order_destroy(d->order);
    free(d->drawn);
    d->order = NULL;
    d->drawn = malloc((size_t)batch * sizeof *d->drawn);
    if (!bucket || !d->drawn) {
        free(bucket);
        return FAIL(SODA_ERR_MEMORY, "out of memory for the order of the pictures");
    }
    for (int64_t i = 0; i < count; i++) {
        bucket[i] = i;
        for (int64_t k = 0; k < i; k++) /* short: sizes are few and soon all seen */
            if (d->images[k].h == d->images[i].h && d->images[k].w == d->images[i].w) {
                bucket[i] = k;
                break;
            }
    }
    const order_options options = {.seed = d->transform.seed,
                                   .count = count,
                                   .bucket = bucket,
                                   .batch = batch,
                                   .global_batch = global_batch,
                                   .variants = d->about.variants,
                                   .caption_dropout = d->caption_dropout};
    const soda_status s = order_create(&options, &d->order);
    free(bucket);
    TRY(s);
    d->order_batch = batch;
    d->order_global = global_batch;
    return SODA_OK;
}

soda_status dataset_samples(soda_dataset *d, int64_t batch, int64_t global_batch, int64_t step,
                            int64_t micro, dataset_sample *samples)
{
    if (!d->order || d->order_batch != batch || d->order_global != global_batch)
        TRY(make_order(d, batch, global_batch));
    order_samples(d->order, step, micro, d->drawn);
    for (int64_t i = 0; i < batch; i++) {
        const order_sample *drawn = &d->drawn[i];
        samples[i] = (dataset_sample){
            .number = drawn->number,
            .image = drawn->image,
            .variant = drawn->variant,
            .text = drawn->drop_caption ? d->about.empty_text : d->images[drawn->image].text,
        };
    }
    return SODA_OK;
}
