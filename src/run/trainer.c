#include "run/trainer.h"
#include "run/same_program.h"
#include "run/same_state.h"

#include <math.h>
#include <string.h>

#include "core/pulse.h"
#include "run/preempt.h"
#include "run/trainer_internal.h"

/* A step, writing what it made, and `draw_s` must fit twice into what is left; mpirun takes 3 s to
 * end. */
static int64_t stop_flags(const soda_trainer *t, double draw_s)
{
    const double save_s = t->saver ? run_saver_longest_s(t->saver) : 0;
    const double needed_s = 2 * (t->longest_step_s + draw_s + save_s) + 6;
    const bool late = preempt_seconds_left(t->config->checkpoint.time_limit_s) < needed_s;
    return (preempt_requested() ? FLAG_SIGNAL : 0) | (late ? FLAG_TIME : 0);
}

bool trainer_must_stop(const soda_trainer *t) { return stop_flags(t, 0) != 0; }

/* checkpoint.every_minutes: on rank 0 alone. */
static bool is_time_to_save(const soda_trainer *t)
{
    const double every_s = 60 * t->config->checkpoint.every_minutes;
    return t->saver && every_s > 0 && log_seconds() - t->saved_s >= every_s;
}

/* Gradient and loss of the global batch, on every rank. */
static soda_status reduce(soda_trainer *t)
{
    const int64_t count = t->config->train.global_batch / t->config->train.batch;
    return reducer_finish(&t->reducer, 1.0f / (float)count, t->params.at.gradient);
}

static bool is_due(int64_t every, int64_t step) { return every > 0 && step % every == 0; }

/* Whether a checkpoint is saved after this step, the last one apart: on rank 0 alone. No step waits
 * for the disk: what comes due while an earlier one is being written is saved after the first step
 * that finds it written; or two minutes later, lest a writer that gets no core from other programs
 * of the node leaves the run without checkpoints. */
static bool starts_save(soda_trainer *t)
{
    enum { PATIENCE_S = 120 };
    const int64_t step = t->state.step + 1;
    int64_t written;
    if (!t->saver || step == t->config->train.steps) return false;
    if (t->save_due_s == 0 && (is_due(t->config->checkpoint.every, step) || is_time_to_save(t)))
        t->save_due_s = log_seconds();
    if (t->save_due_s == 0) return false;
    if (run_saver_make_way(t->saver, &written) || log_seconds() - t->save_due_s > PATIENCE_S)
        return true;
    if (!t->save_waited)
        log_info("the checkpoint of step %lld waits: that of step %lld is still being written; "
                 "a later step takes its place",
                 (long long)step, (long long)written);
    t->save_waited = true;
    return false;
}

/* Whether ranks compare their state after `step` steps: now and then, and before it is saved. */
static bool is_compared(const soda_trainer *t, const trainer_flags *flags, int64_t step)
{
    return t->comm->size > 1 && (flags->stop || step == t->config->train.steps || flags->save ||
                                 is_due(t->config->parallel.check_every, step));
}

static soda_status update(soda_trainer *t, bool compared)
{
    const run_config *c = t->config;
    const params_options options = {c->train.rotation, c->train.spectrum, c->train.clip};
    TRY(params_step(&t->params, &options, t->state.step + 1,
                    lr_schedule_factor(&c->train.schedule, t->state.step), &t->found.at->report));
    const step_list *trained = &t->networks.trained;
    for (int i = 0; i < trained->count; i++) exec_params_changed(trained->list[i].net.exec);
    return compared ? params_sum(&t->params, &t->found.at->sums) : SODA_OK;
}

/* Since the start. */
static residency_report gathered(const soda_trainer *t)
{
    residency_report report = {0};
    if (t->model.residency->report) t->model.residency->report(t->model.residency, &report);
    return report;
}

static soda_status note(soda_trainer *t, double started_s, double reduced_s, double network_end_s)
{
    const params_report *report = &t->found.host->report;
    const double loss = (double)report->loss;
    const run_config *c = t->config;
    const double now_s = log_seconds();
    const double factor = lr_schedule_factor(&c->train.schedule, t->state.step);
    const residency_report after = gathered(t);
    const metrics_row row = {.step = t->state.step,
                             .loss = loss,
                             .lr_rotation = c->train.rotation.lr * factor,
                             .lr_spectrum = c->train.spectrum.lr * factor,
                             .grad_norm = report->gradient_norm,
                             .orthogonality = report->orthogonality,
                             .images_per_s = (double)c->train.global_batch / (now_s - started_s),
                             .data_s = t->data_s,
                             .network_s = t->network_s,
                             .reduce_s = reduced_s - network_end_s,
                             .update_s = now_s - reduced_s,
                             .save_s = t->save_s,
                             .gathers = after.timed,
                             .gather_s = after.gather_s - t->gathered.gather_s,
                             .wait_s = after.wait_s - t->gathered.wait_s};
    t->save_s = 0;
    t->longest_step_s = fmax(t->longest_step_s, now_s - started_s);
    TRY(run_state_note(&t->state, loss, report->gradient_norm));
    TRY(run_lock_check(t->lock));
    return t->metrics ? metrics_write(t->metrics, &row) : SODA_OK;
}

/* One step; *flags are what the ranks agreed on. */
static soda_status train_step(soda_trainer *t, trainer_flags *flags)
{
    const double started_s = log_seconds();
    t->gathered = gathered(t);
    pulse_phase("micro-batches", t->state.step);
    if (t->pending == SODA_OK && t->saver) t->pending = run_saver_poll(t->saver);
    const soda_status own = trainer_micro_batches(t, t->pending);
    int64_t agreed[] = {stop_flags(t, t->longest_draw_s), starts_save(t), pulse_read().saved};
    TRY(comm_agree_flags(t->comm, own, agreed, 3));
    if (agreed[2]) pulse_saved(); /* the others learn of what rank 0 saved */
    *flags = (trainer_flags){.stop = agreed[0], .save = agreed[1]};
    const double network_end_s = log_seconds();
    pulse_phase("reduction", t->state.step);
    soda_status read = reduce(t);
    const double reduced_s = log_seconds();
    pulse_phase("update", t->state.step);
    const bool compared = is_compared(t, flags, t->state.step + 1);
    if (read == SODA_OK) read = update(t, compared);
    if (read == SODA_OK && !flags->stop && t->state.step + 1 < t->config->train.steps)
        read = trainer_draw_ahead(t);
    /* the host waits here, once per step */
    if (read == SODA_OK) read = findings_read(&t->found, t->added);
    t->pending = read; /* of this rank alone, where a device works for it */
    if (read == SODA_OK && !isfinite(t->found.host->report.gradient_norm))
        return trainer_refuse_step(t);
    if (read == SODA_OK) t->pending = note(t, started_s, reduced_s, network_end_s);
    t->state.step++;
    if (!compared) return SODA_OK;
    return same_state_check(t->comm, &t->params, read, &t->found.host->sums, t->state.step);
}

/* What is due after `state.step` steps, for people to look at. Repeating it changes nothing. */
static soda_status show(soda_trainer *t, bool last)
{
    const run_config *c = t->config;
    const double start_s = log_seconds();
    const bool first = t->state.step == 0;
    pulse_phase("validation and pictures", t->state.step);
    if (first || last || is_due(c->validation.every, t->state.step)) TRY(trainer_validate(t));
    if (c->sample.every > 0 && (first || last || is_due(c->sample.every, t->state.step)))
        TRY(trainer_sample(t));
    t->longest_draw_s = fmax(t->longest_draw_s, log_seconds() - start_s);
    return SODA_OK;
}

static const char *why_stopped(int64_t flags)
{
    return flags & FLAG_SIGNAL ? "received a signal" : "near the time limit";
}

static soda_status stop(soda_trainer *t, int64_t flags)
{
    TRY(trainer_save_last(t, true));
    trainer_write_rest(t); /* of steps that the process which resumes does not make again */
    log_info(
        "stopped after step %lld of %lld (%s); checkpoint saved in %s; rerun the command to resume",
        (long long)t->state.step, (long long)t->config->train.steps, why_stopped(flags),
        t->path_checkpoints);
    return SODA_STOPPED;
}

/* Between steps, where validation or pictures gave up. */
static soda_status stop_between(soda_trainer *t)
{
    int64_t flags = stop_flags(t, 0);
    TRY(comm_agree_flags(t->comm, t->pending, &flags, 1));
    if (t->state.step == t->config->train.steps) {
        trainer_write_rest(t);
        log_info("stopped after the last step (%s), with the adapter in %s; rerun the command for "
                 "the pictures that are left",
                 why_stopped(flags), t->path_adapter);
        return SODA_STOPPED;
    }
    if (t->comm->size > 1) { /* nothing is saved that ranks have not compared */
        soda_status s = params_sum(&t->params, &t->found.at->sums);
        if (s == SODA_OK) s = findings_read(&t->found, 0);
        TRY(same_state_check(t->comm, &t->params, s, &t->found.host->sums, t->state.step));
    }
    return stop(t, flags);
}

static soda_status show_or_stop(soda_trainer *t, bool last)
{
    soda_status s = show(t, last);
    if (s == SODA_OK && last) s = trainer_compare(t);
    return s == SODA_STOPPED ? stop_between(t) : s;
}

static soda_status train(soda_trainer *t)
{
    const int64_t steps = t->config->train.steps;
    t->began = t->state.step;
    /* Before the first step: what the run will be compared with, and the most memory that it will
     * ever need is used once. Later: what the process that was stopped did not come to. */
    if (t->began < steps) TRY(show_or_stop(t, false));
    log_progress progress;
    log_progress_start(&progress, "training", t->began, steps);
    while (t->state.step < steps) {
        trainer_flags flags;
        char text[64];
        TRY(train_step(t, &flags));
        snprintf(text, sizeof text, "loss %.4f", (double)t->found.host->report.loss);
        log_progress_update(&progress, t->state.step, text);
        if (t->state.step == steps) break;
        if (flags.stop) return stop(t, flags.stop);
        if (flags.save) trainer_save(t);
        TRY(show_or_stop(t, false));
    }
    if (t->began < steps) TRY(trainer_save_last(t, false));
    TRY(trainer_write_adapter(t)); /* what counts, before pictures that take long */
    TRY(show_or_stop(t, true));
    return comm_agree(t->comm, t->pending);
}

soda_status trainer_run(const run_config *config, bool overwrite, const soda_backend *backend,
                        soda_comm *comm)
{
    soda_trainer t = {.config = config,
                      .backend = backend,
                      .comm = comm,
                      .overwrite = overwrite,
                      .held_before = (double)NAN,
                      .held_after = (double)NAN,
                      .started_s = log_seconds()};
    soda_status s = SODA_OK;
    pulse_phase("comparing programs", -1);
    TRY_TO(done, same_program(comm));
    if (config->parallel.reduction == REDUCE_EXACT)
        TRY_TO(done, same_hardware(comm, backend->device));
    TRY_TO(done, trainer_open(&t));
    TRY_TO(done, train(&t));
    trainer_finish(&t);
done:
    trainer_close(&t); /* may wait for a save */
    return s;
}
