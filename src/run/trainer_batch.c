/* trainer_batch.c: micro-batches and held-out pictures become inputs of the networks. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "model/clip.h"
#include "run/trainer_internal.h"

enum { HELD_OUT_TIMESTEPS = 8 }; /* of each picture, spread evenly over the schedule */

/* What one run of a network is given; arrays of `batch` images, one after the other. */
typedef struct {
    int64_t batch, h, w;
    float *sample, *target; /* [batch,h,w,C] */
    float *timestep, *weight;
    float *hidden, *pooled, *time_ids;
    int32_t *ids;
    float *memory;
} inputs;

static soda_status inputs_create(const dataset_about *about, int64_t batch, int64_t h, int64_t w,
                                 inputs *in)
{
    const int64_t pixels = h * w * about->channels, text = about->tokens * about->width;
    const int64_t each = 2 * pixels + 2 + text + about->pooled_width + UNET_TIME_IDS;
    *in = (inputs){.batch = batch, .h = h, .w = w};
    in->memory = malloc((size_t)(batch * each) * sizeof(float));
    in->ids = malloc((size_t)(batch * about->tokens) * sizeof(int32_t));
    if (!in->memory || !in->ids) {
        free(in->memory);
        free(in->ids);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    float *at = in->memory;
    float **const arrays[] = {&in->sample, &in->target, &in->timestep, &in->weight,
                              &in->hidden, &in->pooled, &in->time_ids};
    const int64_t counts[] = {pixels, pixels, 1, 1, text, about->pooled_width, UNET_TIME_IDS};
    for (int i = 0; i < 7; i++) {
        *arrays[i] = at;
        at += batch * counts[i];
    }
    return SODA_OK;
}

static void inputs_free(inputs *in)
{
    free(in->memory);
    free(in->ids);
}

/* Text number `text[b]` of each image: states, or the ids of the encoders that are in the graph. */
static soda_status write_texts(const soda_trainer *t, const soda_dataset *set, const int64_t *text,
                               inputs *in, const soda_step *step)
{
    static const char *const scopes[2] = {"text_encoder.", "text_encoder_2."};
    const dataset_about *about = dataset_describe(set);
    const size_t hidden = (size_t)(about->tokens * about->width),
                 pooled = (size_t)about->pooled_width;
    soda_exec *exec = step->net.exec;
    if (!t->model.text_encoder) {
        for (int64_t b = 0; b < in->batch; b++) {
            const dataset_text states = dataset_text_at(set, text[b]);
            memcpy(in->hidden + (size_t)b * hidden, states.hidden, hidden * sizeof(float));
            if (pooled)
                memcpy(in->pooled + (size_t)b * pooled, states.pooled, pooled * sizeof(float));
        }
        TRY(exec_write_f32(exec, "encoder_hidden_states", in->hidden, in->batch * (int64_t)hidden));
        return pooled ? exec_write_f32(exec, "text_embeds", in->pooled, in->batch * (int64_t)pooled)
                      : SODA_OK;
    }
    for (int e = 0; e < 2 && e < t->folder->texts; e++) {
        for (int64_t b = 0; b < in->batch; b++)
            memcpy(in->ids + b * about->tokens, dataset_text_at(set, text[b]).ids[e],
                   (size_t)about->tokens * sizeof(int32_t));
        TRY(clip_write(exec, step->net.graph, scopes[e], &t->folder->text[e], in->ids, in->batch,
                       about->tokens));
    }
    return SODA_OK;
}

static void set_time_ids(const dataset_view *view, float *time_ids)
{
    for (int i = 0; i < UNET_TIME_IDS; i++) time_ids[i] = (float)view->time_ids[i];
}

static soda_status write_pictures(const soda_trainer *t, const inputs *in, const soda_step *step)
{
    const int64_t count = in->batch * in->h * in->w * t->folder->unet.in_channels;
    soda_exec *exec = step->net.exec;
    TRY(exec_write_f32(exec, "sample", in->sample, count));
    TRY(exec_write_f32(exec, "target", in->target, count));
    TRY(exec_write_f32(exec, "timestep", in->timestep, in->batch));
    TRY(exec_write_f32(exec, "weight", in->weight, in->batch));
    if (!t->folder->xl) return SODA_OK;
    return exec_write_f32(exec, "time_ids", in->time_ids, in->batch * UNET_TIME_IDS);
}

/* Leaves in t->image the frozen network's error of each image, whose caption is the class alone. */
static soda_status run_reference(soda_trainer *t, const dataset_sample *samples, inputs *in)
{
    soda_step *frozen = step_list_find(&t->networks.frozen, in->h, in->w);
    int64_t *text = malloc((size_t)in->batch * sizeof *text);
    if (!text) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t b = 0; b < in->batch; b++) {
        const bool dropped = samples[b].text == dataset_describe(t->data)->empty_text;
        text[b] =
            dropped ? samples[b].text : dataset_image_at(t->data, samples[b].image)->class_text;
    }
    soda_status s = write_texts(t, t->data, text, in, frozen);
    free(text);
    TRY(s);
    TRY(write_pictures(t, in, frozen));
    return exec_run(frozen->net.exec);
}

static soda_status fill(soda_trainer *t, soda_dataset *set, const dataset_sample *samples,
                        inputs *in, const soda_step *step)
{
    const int64_t count = in->h * in->w * dataset_describe(set)->channels;
    const bool prior = set == t->prior;
    int64_t *text = malloc((size_t)in->batch * sizeof *text);
    if (!text) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t b = 0; b < in->batch; b++) {
        const dataset_view view = dataset_view_at(set, samples[b].image, samples[b].variant);
        /* the top bit parts the noise of class images from that of the others */
        const uint64_t number = samples[b].number | (uint64_t)prior << 63;
        const noising_place to = {in->sample + b * count, in->target + b * count, &in->timestep[b],
                                  &in->weight[b]};
        noising_draw(&t->rules, number, view.mean, view.std, count, to);
        if (prior) in->weight[b] *= (float)t->config->data.prior_weight;
        set_time_ids(&view, in->time_ids + b * UNET_TIME_IDS);
        text[b] = samples[b].text;
    }
    soda_status s;
    TRY_TO(done, write_pictures(t, in, step));
    TRY_TO(done, write_texts(t, set, text, in, step));
done:
    free(text);
    return s;
}

/* Gradients and loss of a run. */
static soda_status add_gradients(void *context)
{
    soda_trainer *t = context;
    const update_notes notes = findings_notes(&t->found);
    return reducer_add(&t->reducer, t->params.at.gradient, &notes);
}

void trainer_add_gradients(soda_trainer *t)
{
    const step_list *trained = &t->networks.trained;
    for (int i = 0; i < trained->count; i++)
        exec_append(trained->list[i].net.exec, (device_work){.queue = add_gradients, .context = t});
}

static soda_status run_samples(soda_trainer *t, soda_dataset *set, const dataset_sample *samples)
{
    const int64_t batch = t->config->train.batch;
    const dataset_image *image = dataset_image_at(set, samples[0].image);
    soda_step *step = step_list_find(&t->networks.trained, image->h, image->w);
    inputs in;
    soda_status s = SODA_OK;
    const double start_s = log_seconds();
    TRY(inputs_create(dataset_describe(set), batch, image->h, image->w, &in));
    TRY_TO(done, fill(t, set, samples, &in, step));
    t->data_s += log_seconds() - start_s;
    const double filled_s = log_seconds();
    if (t->config->train.loss == LOSS_DCO) TRY_TO(done, run_reference(t, samples, &in));
    t->pictures[t->added++] = image->file;
    TRY_TO(done, exec_run(step->net.exec));
    t->network_s += log_seconds() - filled_s;
done:
    inputs_free(&in);
    return s;
}

/* One micro-batch: forward, backward, added to the reducer. */
static soda_status run_micro_batch(soda_trainer *t, int64_t micro)
{
    const int64_t batch = t->config->train.batch, global = t->config->train.global_batch;
    const int64_t own = global / batch; /* those after them hold class images */
    soda_dataset *set = micro < own ? t->data : t->prior;
    dataset_sample *samples = malloc((size_t)batch * sizeof *samples);
    if (!samples) return FAIL(SODA_ERR_MEMORY, "out of memory");
    soda_status s;
    TRY_TO(done, dataset_samples(set, batch, global, t->state.step, micro % own, samples));
    TRY_TO(done, run_samples(t, set, samples));
done:
    free(samples);
    return s;
}

/* The network of each micro-batch of the step, by its shape. */
static soda_status find_networks(soda_trainer *t, int64_t count, int *network)
{
    const int64_t batch = t->config->train.batch, global = t->config->train.global_batch;
    dataset_sample *samples = malloc((size_t)batch * sizeof *samples);
    soda_status s = samples ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count && s == SODA_OK; i++) {
        soda_dataset *set = i < global / batch ? t->data : t->prior;
        s = dataset_samples(set, batch, global, t->state.step, i % (global / batch), samples);
        if (s != SODA_OK) break;
        const dataset_image *image = dataset_image_at(set, samples[0].image);
        network[i] = step_list_index(&t->networks.trained, image->h, image->w);
    }
    free(samples);
    return s;
}

soda_status trainer_deal(const soda_trainer *t, const int *network, int64_t pieces, int networks,
                         turns *dealt)
{
    return turns_deal(network, pieces, networks, t->comm->rank, t->comm->size, t->group, dealt);
}

int64_t trainer_micro_batch_count(const soda_trainer *t)
{
    const int64_t own = t->config->train.global_batch / t->config->train.batch;
    return t->prior ? 2 * own : own; /* as many again of class images */
}

static soda_status deal_micro_batches(soda_trainer *t, turns *dealt)
{
    const int64_t count = trainer_micro_batch_count(t);
    if (t->networks.trained.count == 1) return trainer_deal(t, NULL, count, 1, dealt);
    int *network = malloc((size_t)count * sizeof *network);
    if (!network) return FAIL(SODA_ERR_MEMORY, "out of memory");
    soda_status s;
    TRY_TO(done, find_networks(t, count, network));
    TRY_TO(done, trainer_deal(t, network, count, t->networks.trained.count, dealt));
done:
    free(network);
    return s;
}

soda_status trainer_walk(soda_exec *exec, int64_t runs, soda_status s)
{
    const soda_status here = exec_walk(exec, runs);
    return s == SODA_OK ? here : s;
}

/* One turn, with no part in it if `s` is a failure. */
static soda_status take_turn(soda_trainer *t, const turn *own, soda_status s)
{
    soda_step *step = &t->networks.trained.list[own->network], *frozen = NULL;
    const int64_t runs = exec_runs(step->net.exec);
    int64_t frozen_runs = 0;
    if (t->config->train.loss == LOSS_DCO) {
        frozen = step_list_find(&t->networks.frozen, step->shape.h, step->shape.w);
        frozen_runs = exec_runs(frozen->net.exec);
    }
    if (s == SODA_OK && own->piece >= 0) s = run_micro_batch(t, own->piece);
    if (frozen) s = trainer_walk(frozen->net.exec, frozen_runs + 1, s);
    return trainer_walk(step->net.exec, runs + 1, s);
}

soda_status trainer_micro_batches(soda_trainer *t, soda_status own)
{
    turns dealt = {0};
    soda_status s = own;
    t->data_s = t->network_s = 0;
    t->added = 0;
    if (s == SODA_OK) s = reducer_clear(&t->reducer);
    if (s == SODA_OK) s = findings_clear(&t->found);
    if (s == SODA_OK) s = deal_micro_batches(t, &dealt);
    if (t->group > 1) s = comm_agree(t->comm, s); /* from here on all have the same turns */
    const int64_t count = s == SODA_OK ? dealt.count : 0;
    for (int64_t i = 0; i < count; i++) s = take_turn(t, &dealt.list[i], s);
    turns_free(&dealt);
    return s;
}

/* What was not finite in addition `i` of this step. */
static soda_status refuse(soda_trainer *t, int64_t i)
{
    const update_found *found = &t->found.host->added[i];
    /* which stands behind the gradients */
    const bool of_loss = !isfinite(found->last) || found->where >= t->params.length;
    return FAIL(SODA_ERR_NUMERIC,
                "step %lld: the %s%s is %g (first picture of the micro-batch: %s); this step is "
                "discarded",
                (long long)t->state.step, of_loss ? "loss" : "gradient of ",
                of_loss ? "" : params_at(&t->params, found->where)->name,
                (double)(of_loss ? found->last : found->value), t->pictures[i]);
}

soda_status trainer_refuse_step(soda_trainer *t)
{
    const int64_t refused = findings_refused(&t->found, t->added);
    TRY(comm_agree(t->comm, refused < 0 ? SODA_OK : refuse(t, refused)));
    return params_check(&t->params, &t->found.host->report);
}

/* Adds the error of picture i at timestep number k. */
static soda_status held_out_error(soda_trainer *t, int64_t i, int k, inputs *in, double *sum)
{
    const dataset_image *image = dataset_image_at(t->held_out, i);
    const dataset_view view = dataset_view_at(t->held_out, i, 0);
    const soda_step *step = step_list_find(&t->networks.held, image->h, image->w);
    const int64_t count = image->h * image->w * dataset_describe(t->held_out)->channels;
    const int timestep =
        (int)((2 * k + 1) * (int64_t)t->schedule.train_steps / (2 * HELD_OUT_TIMESTEPS));
    float error;
    noising_held_out(&t->rules, (uint64_t)(i * HELD_OUT_TIMESTEPS + k), timestep, view.mean, count,
                     in->sample, in->target);
    in->timestep[0] = (float)timestep;
    in->weight[0] = 1;
    set_time_ids(&view, in->time_ids);
    TRY(write_pictures(t, in, step));
    TRY(write_texts(t, t->held_out, &image->text, in, step));
    TRY(exec_run(step->net.exec));
    TRY(exec_read_f32(step->net.exec, "image", &error, 1));
    if (!isfinite(error))
        return FAIL(SODA_ERR_NUMERIC, "step %lld: the held-out loss of %s is not finite",
                    (long long)t->state.step, image->file);
    *sum += (double)error;
    return SODA_OK;
}

/* The mean error of picture i over timesteps. */
static soda_status held_out_picture(soda_trainer *t, int64_t i, float *mean)
{
    const dataset_image *image = dataset_image_at(t->held_out, i);
    inputs in;
    double sum = 0;
    soda_status s = SODA_OK;
    TRY(inputs_create(dataset_describe(t->held_out), 1, image->h, image->w, &in));
    for (int k = 0; k < HELD_OUT_TIMESTEPS; k++) TRY_TO(done, held_out_error(t, i, k, &in, &sum));
    *mean = (float)(sum / HELD_OUT_TIMESTEPS);
done:
    inputs_free(&in);
    return s;
}

/* Turns for all held-out pictures. */
static soda_status deal_pictures(const soda_trainer *t, turns *dealt)
{
    const int64_t count = dataset_describe(t->held_out)->count;
    int *network = malloc((size_t)count * sizeof *network);
    if (!network) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count; i++) {
        const dataset_image *image = dataset_image_at(t->held_out, i);
        network[i] = step_list_index(&t->networks.held, image->h, image->w);
    }
    const soda_status s = trainer_deal(t, network, count, t->networks.held.count, dealt);
    free(network);
    return s;
}

/* Adds the losses of this rank's pictures. */
static soda_status own_pictures(soda_trainer *t, const turns *dealt, int64_t limbs[EXACT_LIMBS])
{
    soda_status s = SODA_OK;
    int64_t where;
    for (int i = 0; i < t->networks.held.count; i++)
        exec_params_changed(t->networks.held.list[i].net.exec);
    for (int64_t i = 0; i < dealt->count; i++) {
        const turn *own = &dealt->list[i];
        soda_exec *exec = t->networks.held.list[own->network].net.exec;
        const int64_t runs = exec_runs(exec);
        float mean;
        if (s == SODA_OK && own->piece >= 0) {
            s = held_out_picture(t, own->piece, &mean);
            if (s == SODA_OK) s = exact_add(limbs, &mean, 1, &where);
        }
        s = trainer_walk(exec, runs + HELD_OUT_TIMESTEPS, s);
    }
    return s;
}

static soda_status write_held_out(const soda_trainer *t, double loss)
{
    TRY(run_lock_check(t->lock));
    return metrics_write_validation(t->metrics, t->state.step, loss);
}

soda_status trainer_validate(soda_trainer *t)
{
    int64_t limbs[EXACT_LIMBS] = {0};
    float loss = 0;
    if (!t->held_out) return SODA_OK;
    turns dealt = {0};
    soda_status s = comm_agree(t->comm, deal_pictures(t, &dealt));
    if (s == SODA_OK) s = comm_agree(t->comm, own_pictures(t, &dealt, limbs));
    turns_free(&dealt);
    TRY(s);
    TRY(t->comm->sum_i64(t->comm, limbs, EXACT_LIMBS));
    exact_round(limbs, &loss, 1);
    loss *= 1.0f / (float)dataset_describe(t->held_out)->count;
    log_info("held-out loss after %lld steps: %.5f", (long long)t->state.step, (double)loss);
    if (t->state.step == 0) t->held_before = (double)loss;
    t->held_after = (double)loss;
    if (t->metrics && t->pending == SODA_OK) t->pending = write_held_out(t, (double)loss);
    return SODA_OK;
}
