/* trainer_batch.c: the micro-batches of a step: noised, run forward and backward, added up. */
#include <stdlib.h>
#include <string.h>

#include "run/trainer_inputs.h"

/* Leaves in t->image the frozen network's error of each image, whose caption is the class alone. */
static soda_status run_reference(soda_trainer *t, const dataset_sample *samples, trainer_inputs *in)
{
    soda_step *frozen = step_list_find(&t->networks.frozen, in->h, in->w);
    int64_t *text = malloc((size_t)in->batch * sizeof *text);
    if (!text) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t b = 0; b < in->batch; b++) {
        const bool dropped = samples[b].text == dataset_describe(t->data)->empty_text;
        text[b] =
            dropped ? samples[b].text : dataset_image_at(t->data, samples[b].image)->class_text;
    }
    soda_status s = trainer_write_texts(t, t->data, text, in, frozen);
    free(text);
    TRY(s);
    TRY(trainer_write_pictures(t, in, frozen));
    return exec_run(frozen->net.exec);
}

static soda_status fill(soda_trainer *t, soda_dataset *set, const dataset_sample *samples,
                        trainer_inputs *in, const soda_step *step)
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
        memcpy(in->time_ids + b * UNET_TIME_IDS, view.time_ids, sizeof view.time_ids);
        text[b] = samples[b].text;
    }
    soda_status s;
    TRY_TO(done, trainer_write_pictures(t, in, step));
    TRY_TO(done, trainer_write_texts(t, set, text, in, step));
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
    trainer_inputs in;
    soda_status s = SODA_OK;
    const double start_s = log_seconds();
    TRY(trainer_inputs_create(dataset_describe(set), batch, image->h, image->w, &in));
    TRY_TO(done, fill(t, set, samples, &in, step));
    t->data_s += log_seconds() - start_s;
    const double filled_s = log_seconds();
    if (t->config->train.loss == LOSS_DCO) TRY_TO(done, run_reference(t, samples, &in));
    t->pictures[t->added++] = image->file;
    TRY_TO(done, exec_run(step->net.exec));
    t->network_s += log_seconds() - filled_s;
done:
    trainer_inputs_free(&in);
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
