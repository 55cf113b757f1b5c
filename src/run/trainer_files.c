/* trainer_files.c: what a run leaves on the disk besides its metrics. */
#include <math.h>

#include "core/arena.h"
#include "core/path.h"
#include "run/trainer_internal.h"
#include "train/params_adapter.h"

soda_status trainer_save(soda_trainer *t)
{
    soda_status s = SODA_OK;
    const double start_s = log_seconds();
    if (t->comm->rank == 0) {
        s = params_fetch(&t->params);
        if (s == SODA_OK)
            s = run_state_save(&t->state, &t->params, t->path_checkpoints,
                               t->config->checkpoint.keep);
        if (s == SODA_OK && run_spectra_record(&t->spectra, t->model.layers, &t->params,
                                               t->path_spectra, t->state.step) != SODA_OK) {
            log_warning("training continues without this entry in spectra.h5: %s",
                        status_message());
            status_clear(); /* the checkpoint is what matters, and it is there */
        }
    }
    s = comm_agree(t->comm, s);
    t->longest_save_s = fmax(t->longest_save_s, log_seconds() - start_s);
    return s;
}

static soda_status write_adapter(soda_trainer *t, const char *path)
{
    soda_adapter *adapter;
    if (t->comm->rank != 0) return SODA_OK;
    TRY(params_fetch(&t->params));
    TRY(params_adapter(&t->params, t->model.layers, t->config->adapter.method,
                       t->state.model_sha256, &adapter));
    const soda_status s = adapter_write(path, adapter);
    adapter_close(adapter);
    return s;
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

soda_status trainer_finish(soda_trainer *t)
{
    char path[4200], loss[64], held[96] = "";
    TRY(path_in(path, sizeof path, t->config->output, "adapter.safetensors"));
    TRY(comm_agree(t->comm, write_adapter(t, path)));
    if (!isnan(t->held_before)) /* else it was measured before this process went on */
        snprintf(held, sizeof held, ", held-out loss %.5f -> %.5f", t->held_before, t->held_after);
    else if (!isnan(t->held_after))
        snprintf(held, sizeof held, ", held-out loss %.5f", t->held_after);
    if (t->state.rows > 10)
        snprintf(loss, sizeof loss, "%.4f -> %.4f", mean_loss(&t->state, 0),
                 mean_loss(&t->state, t->state.rows - 10));
    else
        snprintf(loss, sizeof loss, "%.4f", mean_loss(&t->state, 0));
    log_info("done: %lld steps in %.1f s, peak memory %.0f MiB, loss %s%s; wrote %s; checkpoints, "
             "spectra.h5 and metrics.jsonl are in the same folder",
             (long long)t->state.step, log_seconds() - t->started_s,
             (double)arena_peak_rss_bytes() / 0x1p20, loss, held, path);
    return SODA_OK;
}
