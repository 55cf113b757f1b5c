#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/path.h"
#include "core/pulse.h"
#include "io/newfile.h"
#include "output/run_folder.h"
#include "run/preempt.h"
#include "run/same_program.h"
#include "run/trainer_inputs.h"

/* What a training run needs and the reader of configurations leaves to the verb. */
static soda_status check_config(const run_config *c)
{
    static const char *const keys[] = {"model", "data.path", "output"};
    const char *const values[] = {c->model, c->data.path, c->output};
    for (int i = 0; i < 3; i++)
        if (!values[i])
            return FAIL(SODA_ERR_INPUT, "%s: %s: expected a path, found nothing", c->file, keys[i]);
    if (c->data.prior_path && c->train.loss == LOSS_DCO)
        return FAIL(
            SODA_ERR_INPUT,
            "%s: train.loss: expected mse with data.prior.path, found dco (which already compares "
            "with the frozen model)",
            c->file);
    if (c->sample.every > 0 && c->sample.prompts.count == 0)
        return FAIL(SODA_ERR_INPUT,
                    "%s: sample.prompts: expected prompts, since sample.every is %lld", c->file,
                    (long long)c->sample.every);
    if ((c->validation.pictures > 0 || c->validation.every > 0) && !c->validation.path)
        return FAIL(SODA_ERR_INPUT,
                    "%s: validation.path: expected a folder, since validation.every is %lld and "
                    "validation.pictures %lld (both 0: no validation)",
                    c->file, (long long)c->validation.every, (long long)c->validation.pictures);
    return SODA_OK;
}

static soda_status make_paths(soda_trainer *t)
{
    const char *out = t->config->output;
    const size_t most = sizeof t->path_checkpoints;
    TRY(status_prefix(path_in(t->path_checkpoints, most - 64, out, "checkpoints"), "output"));
    TRY(status_prefix(path_in(t->path_metrics, most, out, "metrics.jsonl"), "output"));
    TRY(status_prefix(path_in(t->path_spectra, most, out, "spectra.h5"), "output"));
    TRY(status_prefix(path_in(t->path_adapter, most, out, "adapter.safetensors"), "output"));
    if (t->comm->rank != 0) return SODA_OK;
    return run_folder_open(out, t->config_text, t->overwrite, &t->lock);
}

static soda_status scheduler_path(const soda_trainer *t, char *path, size_t size)
{
    return folder_path(t->folder, "scheduler", "scheduler_config.json", path, size);
}

static soda_status open_schedule(soda_trainer *t)
{
    char path[4096];
    soda_json json;
    TRY(scheduler_path(t, path, sizeof path));
    TRY(soda_json_load(path, &json));
    const soda_status s = schedule_create(&json, &t->schedule);
    soda_json_free(&json);
    return s;
}

/* The configuration as checkpoints hold it: without where weights are kept and whether steps wait
 * for checkpoints, which change no bit and may be others at each start. */
static soda_status stored_text(const run_config *config, char **text)
{
    run_config stored = *config;
    stored.parallel.weights = WEIGHTS_REPLICATE;
    stored.parallel.shard = 1;
    stored.parallel.ring_mib = 0;
    stored.parallel.timeout_s = 0;
    stored.checkpoint.async = true;
    return run_config_text(&stored, text);
}

/* Everything a rank can do by itself before the first collective piece of work. */
static soda_status open_alone(soda_trainer *t)
{
    const run_config *c = t->config;
    TRY(check_config(c));
    TRY(run_config_group(c, t->comm->size, &t->group));
    TRY(run_config_text(c, &t->config_text));
    TRY(stored_text(c, &t->stored_text));
    TRY(preempt_describe(c->checkpoint.time_limit_s, t->time_limit, sizeof t->time_limit));
    TRY(make_paths(t));
    TRY(status_prefix(folder_open(c->model, &t->folder), "%s: model", c->file));
    TRY(open_schedule(t));
    TRY(trainer_choose_sampler(t));
    t->rules = (noising_rules){.schedule = &t->schedule,
                               .scaling_factor = t->folder->vae.scaling_factor,
                               .min_snr_gamma = c->train.min_snr_gamma,
                               .seed = c->train.seed};
    return SODA_OK;
}

/* What all ranks must have in common before they open anything together. */
static soda_status check_same(soda_trainer *t)
{
    uint8_t digest[SHA256_BYTES] = {0};
    char path[4096] = "";
    TRY(same_config(t->comm, t->config_text));
    TRY(same_clock(t->comm, preempt_reads_clock(t->config->checkpoint.time_limit_s)));
    soda_status s = scheduler_path(t, path, sizeof path);
    if (s == SODA_OK) s = sha256_file(path, digest);
    TRY(comm_agree(t->comm, s));
    return comm_agree_same(t->comm, digest, sizeof digest, path);
}

static soda_status open_set(soda_trainer *t, dataset_role role, soda_dataset **set)
{
    const run_config *c = t->config;
    const dataset_options options = dataset_options_of(c, role);
    if (!options.path) return SODA_OK;
    TRY(dataset_open(t->folder, t->backend, c->train.dtype, &options, t->comm, set));
    return comm_agree_same(t->comm, dataset_describe(*set)->sha256, SHA256_HEX, options.path);
}

static soda_status open_sets(soda_trainer *t)
{
    TRY(open_set(t, DATASET_TRAINING, &t->data));
    TRY(open_set(t, DATASET_PRIOR, &t->prior));
    return open_set(t, DATASET_HELD_OUT, &t->held_out);
}

/* More ranks than micro-batches make no step faster, and by default there is one. */
static void warn_of_idle_ranks(const soda_trainer *t)
{
    const int64_t pieces = trainer_micro_batch_count(t), idle = t->comm->size - pieces;
    if (idle <= 0) return;
    log_warning(
        "%s: train.global_batch: steps of %lld micro-batch%s leave %lld of %d ranks without "
        "one; more pictures per step would use them",
        t->config->file, (long long)pieces, pieces == 1 ? "" : "es", (long long)idle,
        t->comm->size);
}

/* The sizes of latents in a set; NULL: none. */
static soda_status find_sizes(const soda_dataset *set, latent_sizes *sizes)
{
    for (int64_t i = 0; set && i < dataset_describe(set)->count; i++) {
        const dataset_image *image = dataset_image_at(set, i);
        TRY(latent_sizes_add(sizes, image->h, image->w));
    }
    return SODA_OK;
}

/* Bytes for packed weights and activations. Ranks that gather weights together need the same
 * networks, so the least limit counts for all. */
static soda_status find_limit(soda_trainer *t, size_t *bytes)
{
    soda_device *d = t->backend->device;
    size_t all, used;
    d->memory(d, t->comm->node->size, &all, &used);
    int64_t limit = -(int64_t)networks_limit(t->config, all, used);
    if (t->group > 1) TRY(t->comm->max_i64(t->comm, &limit, 1));
    *bytes = (size_t)-limit;
    return SODA_OK;
}

static soda_status open_networks(soda_trainer *t)
{
    networks_request r = {.model = &t->model,
                          .params = &t->params,
                          .config = t->config,
                          .comm = t->comm,
                          .tokens = dataset_describe(t->data)->tokens,
                          .image = t->image,
                          .commit = step_commit};
    soda_status s;
    TRY(find_limit(t, &r.limit_bytes));
    TRY_TO(done, find_sizes(t->data, &r.data));
    TRY_TO(done, find_sizes(t->prior, &r.prior));
    TRY_TO(done, find_sizes(t->held_out, &r.held));
done:
    s = comm_agree(t->comm, s);
    if (s == SODA_OK) s = networks_open(&r, &t->networks);
    latent_sizes_free(&r.data);
    latent_sizes_free(&r.prior);
    latent_sizes_free(&r.held);
    return s;
}

/* Makes the forms of weights that pictures of this run will want, if ranks share them: later, ranks
 * draw different pictures and at different times. Collective. */
static soda_status fill_for_pictures(soda_trainer *t)
{
    const run_config *c = t->config;
    const bool wanted[2] = {c->validation.pictures > 0,
                            c->validation.pictures > 0 || c->sample.every > 0};
    if (c->parallel.weights == WEIGHTS_REPLICATE) return SODA_OK;
    for (int adapted = 0; adapted < 2; adapted++) {
        soda_network net = {0};
        if (!wanted[adapted]) continue;
        soda_status s;
        TRY_TO(done, comm_agree(t->comm, trainer_plan_pictures(t, adapted, &net)));
        TRY_TO(done, comm_agree(t->comm, t->model.residency->fill(t->model.residency,
                                                                  exec_weights(net.exec))));
    done:
        network_close(&net);
        TRY(s);
    }
    return SODA_OK;
}

/* "1 to 2 threads" where ranks have other numbers of them. Collective. */
static soda_status describe_threads(const soda_trainer *t, char *text, size_t size)
{
    int64_t most[2] = {t->backend->threads, -t->backend->threads};
    TRY(t->comm->max_i64(t->comm, most, 2));
    const long long least = (long long)-most[1];
    if (least < most[0])
        snprintf(text, size, "%lld to %lld threads", least, (long long)most[0]);
    else
        snprintf(text, size, "%lld thread%s", least, least == 1 ? "" : "s");
    return SODA_OK;
}

/* What the run will hold from here to its end. */
static void print_footprint(const soda_trainer *t, const char *threads)
{
    const soda_residency *r = t->model.residency;
    char shared[128] = "";
    const size_t activations = networks_arena_bytes(&t->networks);
    const soda_step *first = &t->networks.trained.list[0];
    const size_t arrays = t->comm->rank == 0 ? 8 : 5; /* three of them copies, to save */
    const size_t state = (size_t)t->params.total * arrays * sizeof(float) +
                         (t->reducer.limbs ? (size_t)t->reducer.count * 32 : 0);
    const int64_t pictures = dataset_describe(t->data)->count;
    log_info(
        "%d adapted layers, %lld trainable parameters (%lld degrees of freedom); %lld picture%s, "
        "%d rank%s with %s",
        layers_count(t->model.layers), (long long)t->params.total,
        (long long)layers_freedom(t->model.layers), (long long)pictures, pictures == 1 ? "" : "s",
        t->comm->size, t->comm->size == 1 ? "" : "s", threads);
    if (r->sharers > 1)
        snprintf(shared, sizeof shared, " (a share of %.0f MiB of this node)",
                 (double)r->bytes / 0x1p20);
    if (r->report) {
        char ring[64] = "";
        residency_report report;
        r->report(r, &report);
        if (report.ring_bytes > 0)
            snprintf(ring, sizeof ring, ", and a ring of %.3g MiB",
                     (double)report.ring_bytes / 0x1p20);
        snprintf(shared, sizeof shared, " (1/%d of %.0f MiB%s)", report.ranks,
                 (double)report.whole_bytes / 0x1p20, ring);
    }
    log_info("memory of each rank: weights %.0f MiB%s, activations %.0f MiB (%d of %d blocks "
             "recomputed), adapters with optimizer state %.1f MiB",
             (double)residency_share(r, 0) / 0x1p20, shared, (double)activations / 0x1p20,
             first->recomputed, first->segments, (double)state / 0x1p20);
}

static soda_status restore(soda_trainer *t)
{
    char path[4096];
    TRY(run_state_restore(&t->state, &t->params, t->comm, t->path_checkpoints, path, sizeof path));
    if (t->state.step > t->config->train.steps)
        return FAIL(SODA_ERR_INPUT,
                    "%s: train.steps: expected at least the %lld steps already done, "
                    "found %lld",
                    t->config->file, (long long)t->state.step, (long long)t->config->train.steps);
    if (t->state.step == 0 && t->comm->rank == 0)
        unlink(t->path_spectra); /* of a run that --overwrite gives up */
    if (t->state.step == 0) return SODA_OK;
    pulse_saved();
    log_info("resuming from %s at step %lld of %lld", path, (long long)t->state.step,
             (long long)t->config->train.steps);
    return SODA_OK;
}

static soda_status open_buffers(soda_trainer *t)
{
    const int64_t most = trainer_micro_batch_count(t);
    TRY(findings_create(t->backend->device, most, &t->found));
    t->pictures = calloc((size_t)most, sizeof *t->pictures);
    t->drawn = calloc((size_t)t->config->sample.prompts.count + 1, sizeof *t->drawn);
    if (!t->pictures || !t->drawn) return FAIL(SODA_ERR_MEMORY, "out of memory");
    TRY(reducer_create(t->config->parallel.reduction, t->params.length + 1, t->backend, t->exchange,
                       &t->reducer));
    return t->config->train.loss == LOSS_DCO
               ? t->backend->device->alloc(t->backend->device,
                                           (size_t)t->config->train.batch * sizeof(float),
                                           (void **)&t->image)
               : SODA_OK;
}

static soda_status open_metrics(soda_trainer *t)
{
    if (t->comm->rank != 0) return SODA_OK;
    if (run_folder_write_config(t->config->output, t->config->file, t->config_text) != SODA_OK) {
        t->config_failed = true;
        log_warning("training continues without this copy of the configuration: %s",
                    status_message());
        status_clear();
    }
    return metrics_open(t->path_metrics, t->state.step, &t->metrics);
}

static soda_status open_saver(soda_trainer *t)
{
    const run_saver_target target = {.state = &t->state,
                                     .params = &t->params,
                                     .layers = t->model.layers,
                                     .lock = t->lock,
                                     .checkpoints = t->path_checkpoints,
                                     .spectra = t->path_spectra,
                                     .metrics = t->path_metrics,
                                     .keep = t->config->checkpoint.keep};
    if (t->comm->rank != 0) return SODA_OK;
    t->state.lock = t->lock;
    TRY(run_saver_create(&target, &t->saver));
    t->saved_s = log_seconds();
    return t->state.step > 0 ? run_saver_mend(t->saver) : SODA_OK;
}

soda_status trainer_open(soda_trainer *t)
{
    const run_config *c = t->config;
    char threads[64];
    TRY(comm_agree(t->comm, open_alone(t)));
    TRY(check_same(t));
    pulse_phase("opening data sets", -1);
    TRY(open_sets(t));
    warn_of_idle_ranks(t);
    TRY(trainer_identify(t));
    pulse_phase("opening the model", -1);
    TRY(training_model_open(t->folder, c, t->backend, t->comm, &t->model));
    TRY(comm_agree(t->comm,
                   params_create(t->model.layers, &c->adapter.options, t->backend, &t->params)));
    pulse_phase("restoring", -1);
    TRY(restore(t));
    pulse_phase("opening networks", t->state.step);
    TRY(comm_agree(t->comm, t->backend->connect(t->backend->device, t->comm, &t->exchange)));
    TRY(comm_agree(t->comm, open_buffers(t)));
    TRY(comm_agree(t->comm, open_networks(t)));
    trainer_add_gradients(t);
    TRY(fill_for_pictures(t));
    t->model.residency->sealed = true;
    TRY(comm_agree(t->comm, open_metrics(t)));
    TRY(comm_agree(t->comm, open_saver(t)));
    TRY(describe_threads(t, threads, sizeof threads));
    print_footprint(t, threads);
    if (c->checkpoint.time_limit_s != 0) log_info("end of the job: %s", t->time_limit);
    return SODA_OK;
}

void trainer_close(soda_trainer *t)
{
    run_saver_destroy(t->saver);
    metrics_close(t->metrics);
    run_lock_release(t->lock);
    if (t->exchange) t->exchange->close(t->exchange); /* first: then nothing waits for lost ranks */
    networks_close(&t->networks);
    t->backend->device->release(t->backend->device, t->image);
    reducer_destroy(&t->reducer);
    findings_destroy(&t->found);
    free(t->pictures);
    free(t->drawn);
    trainer_drawn_free(t->ahead);
    params_destroy(&t->params);
    training_model_close(&t->model);
    dataset_close(t->data);
    dataset_close(t->prior);
    dataset_close(t->held_out);
    run_state_free(&t->state);
    schedule_destroy(&t->schedule);
    folder_close(t->folder);
    free(t->config_text);
    free(t->stored_text);
}
