/* trainer_draw.c: draws what a micro-batch is given. */
#include <stdlib.h>
#include <string.h>

#include "run/trainer_inputs.h"

static soda_status open_drawn(const soda_trainer *t, int64_t step, int64_t micro, trainer_drawn *d)
{
    const int64_t batch = t->config->train.batch, global = t->config->train.global_batch;
    const int64_t own = global / batch; /* those after them hold class images */
    d->step = step;
    d->micro = micro;
    d->set = micro < own ? t->data : t->prior;
    d->samples = malloc((size_t)batch * sizeof *d->samples);
    d->text = malloc((size_t)batch * sizeof *d->text);
    if (!d->samples || !d->text) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(dataset_samples(d->set, batch, global, step, micro % own, d->samples));
    const dataset_image *image = dataset_image_at(d->set, d->samples[0].image);
    return trainer_inputs_create(dataset_describe(d->set), batch, image->h, image->w, &d->in);
}

static void draw_sample(const soda_trainer *t, const trainer_drawn *d, int64_t b)
{
    const trainer_inputs *in = &d->in;
    const dataset_sample *sample = &d->samples[b];
    const int64_t count = in->h * in->w * dataset_describe(d->set)->channels;
    const bool prior = d->set == t->prior;
    const dataset_view view = dataset_view_at(d->set, sample->image, sample->variant);
    /* the top bit parts the noise of class images from that of the others */
    const uint64_t number = sample->number | (uint64_t)prior << 63;
    const noising_place to = {in->sample + b * count, in->target + b * count, &in->timestep[b],
                              &in->weight[b]};
    noising_draw(&t->rules, number, view.mean, view.std, count, to);
    if (prior) in->weight[b] *= (float)t->config->data.prior_weight;
    memcpy(in->time_ids + b * UNET_TIME_IDS, view.time_ids, sizeof view.time_ids);
    d->text[b] = sample->text;
}

soda_status trainer_draw(const soda_trainer *t, int64_t step, int64_t micro, trainer_drawn **drawn)
{
    *drawn = NULL;
    trainer_drawn *d = calloc(1, sizeof *d);
    if (!d) return FAIL(SODA_ERR_MEMORY, "out of memory");
    const soda_status s = open_drawn(t, step, micro, d);
    if (s != SODA_OK) {
        trainer_drawn_free(d);
        return s;
    }
    for (int64_t b = 0; b < d->in.batch; b++) draw_sample(t, d, b);
    *drawn = d;
    return SODA_OK;
}

void trainer_drawn_free(trainer_drawn *d)
{
    if (!d) return;
    trainer_inputs_free(&d->in);
    free(d->samples);
    free(d->text);
    free(d);
}
