/* trainer_validation.c: the loss on held-out pictures. */
#include <math.h>
#include <stdlib.h>
#include <string.h>

#include "comm/exact.h"
#include "run/trainer_inputs.h"

enum { HELD_OUT_TIMESTEPS = 8 }; /* of each picture, spread evenly over the schedule */

/* Adds the error of picture i at timestep number k. */
static soda_status held_out_error(soda_trainer *t, int64_t i, int k, trainer_inputs *in,
                                  double *sum)
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
    memcpy(in->time_ids, view.time_ids, sizeof view.time_ids);
    TRY(trainer_write_pictures(t, in, step));
    TRY(trainer_write_texts(t, t->held_out, &image->text, in, step));
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
    trainer_inputs in;
    double sum = 0;
    soda_status s = SODA_OK;
    TRY(trainer_inputs_create(dataset_describe(t->held_out), 1, image->h, image->w, &in));
    for (int k = 0; k < HELD_OUT_TIMESTEPS; k++) {
        TRY_TO(done, trainer_must_stop(t) ? SODA_STOPPED : SODA_OK);
        TRY_TO(done, held_out_error(t, i, k, &in, &sum));
    }
    *mean = (float)(sum / HELD_OUT_TIMESTEPS);
done:
    trainer_inputs_free(&in);
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
