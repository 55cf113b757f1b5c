/* trainer_files.c: what a run leaves on the disk besides its metrics. */
#include <math.h>
#include <unistd.h>

#include "core/pulse.h"
#include "io/checkpoint.h"
#include "output/run_folder.h"
#include "run/preempt.h"
#include "run/trainer_internal.h"
#include "train/params_adapter.h"

soda_status trainer_check_lock(soda_trainer *t)
{
    return comm_agree(t->comm, run_lock_check(t->lock));
}

void trainer_save(soda_trainer *t)
{
    const double start_s = log_seconds();
    pulse_phase("checkpoint", t->state.step);
    if (!t->saver || t->pending != SODA_OK) return; /* the run ends at the next agreement */
    t->save_due_s = 0;
    const soda_status s = run_saver_start(t->saver, !t->config->checkpoint.async);
    if (s == SODA_ERR_INPUT) {
        t->pending = s; /* the folder is lost: the run ends at the next agreement, too */
    } else if (s != SODA_OK) {
        log_warning("training continues without this checkpoint: %s", status_message());
        status_clear();
    }
    t->saved_s = log_seconds();
    t->save_s += t->saved_s - start_s;
}

/* Room for the last files of a run: on rank 0, whose write just failed. */
static void make_room(const soda_trainer *t)
{
    int deleted = 0;
    if (t->saver && run_saver_wait(t->saver) != SODA_OK) status_clear(); /* one user of HDF5 */
    if (checkpoint_make_room(t->path_checkpoints, &deleted) != SODA_OK) status_clear();
    if (deleted > 0)
        log_warning("%s: deleted %d older checkpoint%s to make room", t->path_checkpoints, deleted,
                    deleted > 1 ? "s" : "");
}

/* Less than the 30 s after which Slurm kills what it asked to end. Spectra of large models take
 * minutes, and can be made again. */
enum { PATIENCE_S = 20, SPECTRA_S = 10 };

/* Calls `write`, collective, until it succeeds: for checkpoint.retry seconds, and as long as there
 * is time for another try before the allocation ends; PATIENCE_S at most once a signal asked for
 * the end. Collective. */
static soda_status insist(soda_trainer *t, soda_status (*write)(soda_trainer *))
{
    double until_s = log_seconds() + t->config->checkpoint.retry_s, longest_s = 0;
    bool hurried = false;
    for (unsigned pause_s = 0;; pause_s = pause_s < 8 ? 2 * pause_s + 1 : 15) {
        TRY(trainer_check_lock(t));
        const double start_s = log_seconds();
        const soda_status s = write(t);
        if (s == SODA_OK) return SODA_OK;
        longest_s = fmax(longest_s, log_seconds() - start_s);
        const double next_s = 2 * longest_s + pause_s + 1; /* until another try has ended */
        const double left_s =
            fmin(until_s - log_seconds(), preempt_seconds_left(t->config->checkpoint.time_limit_s));
        const bool again =
            t->comm->rank == 0 && left_s > next_s && run_lock_check(t->lock) == SODA_OK;
        if (pause_s == 0 && again) log_warning("retrying: %s", status_message());
        int64_t agreed[] = {again, preempt_urgent()};
        TRY(t->comm->max_i64(t->comm, agreed, 2));
        if (!agreed[0]) return s;
        status_clear();
        t->comm->failed_rank = -1;
        if (t->comm->rank == 0 && pause_s > 0) make_room(t); /* not for a passing error */
        sleep(pause_s);                                      /* which a signal ends */
        if (hurried || (!agreed[1] && !preempt_urgent())) continue;
        hurried = true;
        until_s = fmin(until_s, log_seconds() + PATIENCE_S);
    }
}

static soda_status save(soda_trainer *t, double spectra_s)
{
    pulse_phase("checkpoint", t->state.step);
    return comm_agree(t->comm, t->saver ? run_saver_save(t->saver, spectra_s) : SODA_OK);
}

static soda_status save_last(soda_trainer *t) { return save(t, (double)INFINITY); }
static soda_status save_and_stop(soda_trainer *t) { return save(t, SPECTRA_S); }

soda_status trainer_save_last(soda_trainer *t, bool stops)
{
    return insist(t, stops ? save_and_stop : save_last);
}

static soda_status write_own_adapter(soda_trainer *t)
{
    soda_adapter *adapter;
    TRY(params_fetch(&t->params));
    TRY(params_adapter(&t->params, t->model.layers, t->config->adapter.method,
                       t->state.model_sha256, &adapter));
    const soda_status s = adapter_write(t->path_adapter, adapter);
    adapter_close(adapter);
    return s;
}

static soda_status write_adapter(soda_trainer *t)
{
    return comm_agree(t->comm, t->comm->rank == 0 ? write_own_adapter(t) : SODA_OK);
}

/* The mean loss of up to ten steps from `first` on. */
static double mean_loss(const run_state *state, int64_t first)
{
    double sum = 0;
    int64_t count = 0;
    for (int64_t i = first < 0 ? 0 : first; i < state->rows && count < 10; i++, count++)
        sum += state->history[HISTORY_LOSS][i];
    return count ? sum / (double)count : (double)NAN;
}

soda_status trainer_write_adapter(soda_trainer *t)
{
    pulse_phase("adapter", t->state.step);
    return insist(t, write_adapter);
}

/* Whether it went well; else a warning says why it did not. */
static bool went_well(soda_status s)
{
    if (s == SODA_OK) return true;
    log_warning("%s", status_message());
    status_clear();
    return false;
}

void trainer_write_rest(soda_trainer *t)
{
    if (!went_well(run_lock_check(t->lock))) return; /* another attempt's files by now */
    if (t->saver) run_saver_finish(t->saver);
    if (t->config_failed)
        went_well(run_folder_write_config(t->config->output, t->config->file, t->config_text));
    if (t->metrics) went_well(metrics_flush(t->metrics));
}

void trainer_finish(soda_trainer *t)
{
    char loss[64], held[96] = "", part[48] = "";
    pulse_phase("last files", t->state.step);
    trainer_write_rest(t);
    if (!isnan(t->held_before)) /* else it was measured before this process went on */
        snprintf(held, sizeof held, ", held-out loss %.5f -> %.5f", t->held_before, t->held_after);
    else if (!isnan(t->held_after))
        snprintf(held, sizeof held, ", held-out loss %.5f", t->held_after);
    if (t->state.rows > 10)
        snprintf(loss, sizeof loss, "%.4f -> %.4f", mean_loss(&t->state, 0),
                 mean_loss(&t->state, t->state.rows - 10));
    else
        snprintf(loss, sizeof loss, "%.4f", mean_loss(&t->state, 0));
    if (t->began > 0)
        snprintf(part, sizeof part, ", %lld of them", (long long)(t->state.step - t->began));
    log_info("done: %lld steps%s in %.1f s, %.0f MiB at most, loss %s%s; wrote %s; checkpoints, "
             "spectra.h5 and metrics.jsonl are in the same folder",
             (long long)t->state.step, part, log_seconds() - t->started_s,
             (double)residency_peak_bytes(t->model.residency) / 0x1p20, loss, held,
             t->path_adapter);
}
