/* trainer_batch.c: the micro-batches of a step: noised, run forward and backward, added up. */
#include <stdlib.h>
#include <string.h>

#include "run/trainer_inputs.h"

/* Leaves in t->image the frozen network's error of each image, whose caption is the class alone. */
static soda_status run_reference(soda_trainer *t, trainer_drawn *d)
{
    trainer_inputs *in = &d->in;
    soda_step *frozen = step_list_find(&t->networks.frozen, in->h, in->w);
    int64_t *text = malloc((size_t)in->batch * sizeof *text);
    if (!text) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t b = 0; b < in->batch; b++) {
        const dataset_sample *sample = &d->samples[b];
        const bool dropped = sample->text == dataset_describe(t->data)->empty_text;
        text[b] = dropped ? sample->text : dataset_image_at(t->data, sample->image)->class_text;
    }
    soda_status s = trainer_write_texts(t, t->data, text, in, frozen);
    free(text);
    TRY(s);
    TRY(trainer_write_pictures(t, in, frozen));
    return exec_run(frozen->net.exec);
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

/* What was drawn ahead, if it is this, else drawn now. */
static soda_status take_drawn(soda_trainer *t, int64_t micro, trainer_drawn **drawn)
{
    trainer_drawn *ahead = t->ahead;
    t->ahead = NULL;
    if (ahead && ahead->step == t->state.step && ahead->micro == micro) {
        *drawn = ahead;
        return SODA_OK;
    }
    trainer_drawn_free(ahead);
    return trainer_draw(t, t->state.step, micro, drawn);
}

/* One micro-batch: forward, backward, added to the reducer. */
static soda_status run_micro_batch(soda_trainer *t, int64_t micro)
{
    trainer_drawn *d;
    soda_status s;
    const double start_s = log_seconds();
    TRY(take_drawn(t, micro, &d));
    soda_step *step = step_list_find(&t->networks.trained, d->in.h, d->in.w);
    TRY_TO(done, trainer_write_pictures(t, &d->in, step));
    TRY_TO(done, trainer_write_texts(t, d->set, d->text, &d->in, step));
    const double filled_s = log_seconds();
    t->data_s += filled_s - start_s;
    if (t->config->train.loss == LOSS_DCO) TRY_TO(done, run_reference(t, d));
    t->pictures[t->added++] = dataset_image_at(d->set, d->samples[0].image)->file;
    TRY_TO(done, exec_run(step->net.exec));
    t->network_s += log_seconds() - filled_s;
done:
    trainer_drawn_free(d);
    return s;
}

/* The network of each micro-batch of a step, by its shape. */
static soda_status find_networks(const soda_trainer *t, int64_t step, int64_t count, int *network)
{
    const int64_t batch = t->config->train.batch, global = t->config->train.global_batch;
    dataset_sample *samples = malloc((size_t)batch * sizeof *samples);
    soda_status s = samples ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int64_t i = 0; i < count && s == SODA_OK; i++) {
        soda_dataset *set = i < global / batch ? t->data : t->prior;
        s = dataset_samples(set, batch, global, step, i % (global / batch), samples);
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

static soda_status deal_micro_batches(const soda_trainer *t, int64_t step, turns *dealt)
{
    const int64_t count = trainer_micro_batch_count(t);
    if (t->networks.trained.count == 1) return trainer_deal(t, NULL, count, 1, dealt);
    int *network = malloc((size_t)count * sizeof *network);
    if (!network) return FAIL(SODA_ERR_MEMORY, "out of memory");
    soda_status s;
    TRY_TO(done, find_networks(t, step, count, network));
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
    if (s == SODA_OK) s = deal_micro_batches(t, t->state.step, &dealt);
    if (t->group > 1) s = comm_agree(t->comm, s); /* from here on all have the same turns */
    const int64_t count = s == SODA_OK ? dealt.count : 0;
    for (int64_t i = 0; i < count; i++) s = take_turn(t, &dealt.list[i], s);
    turns_free(&dealt);
    return s;
}

soda_status trainer_draw_ahead(soda_trainer *t)
{
    const int64_t next = t->state.step + 1;
    const double start_s = log_seconds();
    turns dealt = {0};
    int64_t i = 0;
    if (t->backend->device->host) return SODA_OK; /* which has done all its work */
    TRY(deal_micro_batches(t, next, &dealt));
    while (i < dealt.count && dealt.list[i].piece < 0) i++;
    const int64_t micro = i < dealt.count ? dealt.list[i].piece : -1;
    turns_free(&dealt);
    if (micro >= 0) TRY(trainer_draw(t, next, micro, &t->ahead));
    t->data_s += log_seconds() - start_s;
    return SODA_OK;
}
