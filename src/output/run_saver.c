#include "output/run_saver.h"

#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/lapack.h"
#include "core/log.h"
#include "core/pulse.h"
#include "io/checkpoint_folder.h"
#include "io/newfile.h"
#include "output/spare_cores.h"

enum { LONGEST_PAUSE_S = 60 };

/* What a try of a save could not do. */
typedef enum { WENT_WELL, LOST_FOLDER, NO_CHECKPOINT, NO_SPECTRA, OUTCOMES } saver_outcome;

struct run_saver {
    run_saver_target target;
    run_spectra spectra;

    /* The copy, and how much of it is done. */
    run_state state;
    soda_params params; /* its own arrays on the host; the rest is the run's */
    float *memory;
    bool written, measured, recorded; /* the latter: its entry is in the file of spectra */
    bool looks_first;                 /* whether the file has this entry already */

    /* The thread, which owns everything above, and outcome to took_s, while it runs. */
    pthread_t thread;
    bool running;
    double launched_s;
    atomic_bool ended, measures; /* what it does */
    atomic_bool hurry;           /* somebody waits */
    saver_outcome outcome;
    spare_cores cores;
    status_slot failure;
    double took_s; /* what it would take while somebody waits */

    bool metrics_failing;
    bool failing[OUTCOMES];             /* and somebody was told */
    double longest_s, pause_s, again_s; /* when to try again, on the clock of log_seconds */
    _Atomic double spectra_until_s;     /* of whoever waits */
};

soda_status run_saver_create(const run_saver_target *target, run_saver **saver)
{
    run_saver *s = calloc(1, sizeof *s);
    lapack_prepare();
    const size_t length = (size_t)target->params->length;
    float *memory = malloc((3 * length + 1) * sizeof *memory);
    if (!s || !memory) {
        free(s);
        free(memory);
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    }
    *s = (run_saver){.target = *target,
                     .memory = memory,
                     .outcome = WENT_WELL,
                     .spectra_until_s = (double)INFINITY};
    s->params = *target->params;
    s->params.host =
        (params_arrays){.value = memory, .first = memory + length, .second = memory + 2 * length};
    spare_cores_watch(&s->cores);
    *saver = s;
    return SODA_OK;
}

static soda_status take_copy(run_saver *s)
{
    const params_arrays *from = &s->target.params->host, *to = &s->params.host;
    const size_t bytes = (size_t)s->params.length * sizeof(float);
    TRY(params_fetch(s->target.params));
    TRY(run_state_copy(&s->state, s->target.state));
    memcpy(to->value, from->value, bytes);
    memcpy(to->first, from->first, bytes);
    memcpy(to->second, from->second, bytes);
    s->written = s->measured = s->recorded = s->looks_first = false;
    return SODA_OK;
}

/* The lines of steps that a checkpoint holds are not made again. */
static void sync_metrics(run_saver *s)
{
    if (!s->target.metrics) return;
    const bool failed = newfile_sync_path(s->target.metrics) != SODA_OK;
    if (failed && !s->metrics_failing)
        log_warning("a power cut may cost the last lines of metrics.jsonl: %s", status_message());
    if (failed) status_clear();
    s->metrics_failing = failed;
}

static soda_status write_checkpoint(run_saver *s)
{
    if (s->written) return SODA_OK;
    sync_metrics(s);
    TRY(run_state_save(&s->state, &s->params, s->target.checkpoints, s->target.keep));
    s->written = true;
    pulse_saved();
    return SODA_OK;
}

/* Whether the entry of the copy is among those that wait. */
static bool is_waiting(const run_saver *s)
{
    const int last = s->spectra.waiting - 1;
    return last >= 0 && s->spectra.rows[last].step == s->state.step;
}

static soda_status put_spectra(run_saver *s)
{
    const newfile_permission permission = run_lock_permission(s->target.lock);
    const bool has_this = is_waiting(s);
    TRY(run_spectra_write(&s->spectra, s->target.spectra, &permission));
    s->recorded = s->recorded || has_this;
    return SODA_OK;
}

/* Without `hurry` this is the last chance: what would fail again, or takes too long, is given up.
 */
static soda_status measure(run_saver *s, const atomic_bool *hurry)
{
    const run_spectra_limit limit = {hurry, s->spectra_until_s};
    bool complete = false;
    const soda_status status = run_spectra_measure(&s->spectra, s->target.layers, &s->params,
                                                   s->state.step, &limit, &complete);
    s->measured = complete || status != SODA_OK || !hurry;
    if (status == SODA_OK && s->measured && !complete)
        log_info("there is no time for the spectra of step %lld; a run that resumes from its "
                 "checkpoint makes them",
                 (long long)s->state.step);
    return status;
}

static soda_status write_spectra(run_saver *s, const atomic_bool *hurry)
{
    if (s->looks_first) { /* after a restart: what the process before may not have come to */
        TRY(checkpoint_prune(s->target.checkpoints, s->state.step, s->target.keep));
        TRY(spectra_has(s->target.spectra, s->state.step, &s->recorded));
        s->measured = s->recorded;
        s->looks_first = false;
    }
    if (!s->measured) {
        atomic_store(&s->measures, true);
        const soda_status status = measure(s, hurry);
        atomic_store(&s->measures, false); /* before the look at `hurry`: run_saver_make_way */
        TRY(status);
        if (hurry && atomic_load(hurry)) return SODA_OK; /* whoever waits does the rest */
    }
    return s->written ? put_spectra(s) : SODA_OK;
}

/* Entries that made way for this save, before its checkpoint is there: whoever resumes from that
 * makes no other entry again. Those that fail wait for the next try. */
static void put_earlier_spectra(run_saver *s)
{
    if (s->spectra.waiting == 0 || is_waiting(s)) return;
    if (put_spectra(s) != SODA_OK) status_clear();
}

/* Everything that is not done. The spectra of a checkpoint that fails are measured all the same:
 * they may find room later. */
static void work(run_saver *s, const atomic_bool *hurry)
{
    const double start_s = log_seconds(), began_s = spare_cores_used_s(),
                 delayed_s = spare_cores_delayed_s();
    double saved_s = 0;
    memset(&s->failure, 0, sizeof s->failure);
    s->outcome = WENT_WELL;
    if (hurry) pulse_save("writing the checkpoint", s->state.step);
    soda_status status = run_lock_check(s->target.lock);
    if (status != SODA_OK) {
        s->outcome = LOST_FOLDER;
    } else {
        put_earlier_spectra(s);
        status = write_checkpoint(s);
        if (status != SODA_OK)
            s->outcome = run_lock_check(s->target.lock) == SODA_OK ? NO_CHECKPOINT : LOST_FOLDER;
        status_keep(&s->failure, status);
        saved_s = log_seconds() - start_s - (spare_cores_delayed_s() - delayed_s);
    }
    if (s->outcome != LOST_FOLDER) {
        if (hurry) pulse_save("making the spectra", s->state.step);
        status = write_spectra(s, hurry);
        if (status != SODA_OK && s->outcome == WENT_WELL) s->outcome = NO_SPECTRA;
    }
    status_keep(&s->failure, status);
    status_clear();
    s->took_s = hurry ? saved_s + (spare_cores_used_s() - began_s) / s->params.backend->threads
                      : log_seconds() - start_s;
}

static void *run_thread(void *saver)
{
    run_saver *s = saver;
    spare_cores_use(&s->cores);
    work(s, &s->hurry);
    spare_cores_sufficed(&s->cores, log_seconds() - s->launched_s);
    pulse_save(NULL, 0);
    atomic_store(&s->ended, true);
    return NULL;
}

/* What a checkpoint, or spectra, that fail mean for the run: a warning, once. `done`: whether it is
 * written; a try that was cut short has neither failed nor done it. */
static void note(run_saver *s, saver_outcome what, bool done, const char *name)
{
    if (s->outcome == what) {
        if (!s->failing[what])
            log_warning("training continues without this %s: %s", name, status_message());
        s->failing[what] = true;
    } else if (s->failing[what] && done) {
        log_info("step %lld: the %s is written after all", (long long)s->state.step, name);
        s->failing[what] = false;
    }
}

/* The result of a try that has ended. */
static soda_status conclude(run_saver *s)
{
    s->longest_s = fmax(s->longest_s, s->took_s);
    const soda_status status = status_take(&s->failure);
    if (s->outcome == LOST_FOLDER) return status;
    note(s, NO_CHECKPOINT, s->written, "checkpoint");
    note(s, NO_SPECTRA, s->recorded, "entry in spectra.h5");
    status_clear();
    s->pause_s = s->outcome == WENT_WELL ? 0 : fmin(2 * s->pause_s + 1, LONGEST_PAUSE_S);
    s->again_s = log_seconds() + s->pause_s;
    return SODA_OK;
}

/* On the caller's threads. */
static soda_status work_here(run_saver *s)
{
    work(s, NULL);
    return conclude(s);
}

/* On a thread of its own, or here if there is none to be had. Signals are for the main thread. */
static soda_status launch(run_saver *s)
{
    sigset_t all, before;
    spare_cores_look(&s->cores);
    sigfillset(&all);
    atomic_store(&s->ended, false);
    atomic_store(&s->hurry, false);
    s->launched_s = log_seconds();
    pthread_sigmask(SIG_SETMASK, &all, &before);
    s->running = pthread_create(&s->thread, NULL, run_thread, s) == 0;
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    return s->running ? SODA_OK : work_here(s);
}

/* The thread's part of a save in flight. */
static soda_status join(run_saver *s)
{
    if (!s->running) return SODA_OK;
    atomic_store(&s->hurry, true);
    pthread_join(s->thread, NULL);
    s->running = false;
    return conclude(s);
}

soda_status run_saver_wait(run_saver *s)
{
    const bool ran = s->running;
    TRY(join(s));
    const bool left = !s->measured || (s->outcome == WENT_WELL && s->spectra.waiting > 0);
    return ran && left ? work_here(s) : SODA_OK;
}

/* The spectra that the thread did not come to. They are written together with the next ones. */
static soda_status measure_rest(run_saver *s)
{
    memset(&s->failure, 0, sizeof s->failure);
    const soda_status status = measure(s, NULL);
    if (status != SODA_OK) s->outcome = NO_SPECTRA;
    status_keep(&s->failure, status);
    return conclude(s);
}

soda_status run_saver_poll(run_saver *s)
{
    if (s->running && !atomic_load(&s->ended)) return SODA_OK;
    TRY(run_saver_wait(s));
    return s->outcome != WENT_WELL && log_seconds() >= s->again_s ? launch(s) : SODA_OK;
}

bool run_saver_make_way(run_saver *s, int64_t *step)
{
    *step = s->state.step;
    if (!s->running) return true;
    atomic_store(&s->hurry, true); /* first: what is measured now will not be written then */
    if (atomic_load(&s->ended) || atomic_load(&s->measures)) return true;
    atomic_store(&s->hurry, false);
    return false;
}

soda_status run_saver_start(run_saver *s, bool waits)
{
    const bool ran = s->running;
    TRY(join(s));
    if (ran && !s->measured && !s->looks_first) TRY(measure_rest(s));
    TRY(take_copy(s));
    s->pause_s = 0;
    return waits ? work_here(s) : launch(s);
}

soda_status run_saver_mend(run_saver *s)
{
    TRY(take_copy(s));
    s->written = s->looks_first = true;
    return launch(s);
}

/* A checkpoint that failed, before the last one takes its place; not where seconds count. */
static soda_status save_earlier(run_saver *s, double spectra_s)
{
    const bool failed = s->outcome == NO_CHECKPOINT && s->state.step != s->target.state->step;
    return failed && isinf(spectra_s) ? work_here(s) : SODA_OK;
}

soda_status run_saver_save(run_saver *s, double spectra_s)
{
    s->spectra_until_s = log_seconds() + spectra_s;
    TRY(run_saver_wait(s));
    TRY(save_earlier(s, spectra_s));
    TRY(take_copy(s));
    work(s, NULL);
    s->longest_s = fmax(s->longest_s, s->took_s);
    return s->outcome == NO_CHECKPOINT ? status_take(&s->failure) : conclude(s);
}

void run_saver_finish(run_saver *s)
{
    if (run_saver_wait(s) == SODA_OK && put_spectra(s) == SODA_OK) return;
    log_warning("spectra.h5 lacks its last entries: %s", status_message());
    status_clear();
}

double run_saver_longest_s(const run_saver *s)
{
    return s->running ? fmax(s->longest_s, log_seconds() - s->launched_s) : s->longest_s;
}

/* A failure that is being reported stays the current one of this thread. */
void run_saver_destroy(run_saver *s)
{
    if (!s) return;
    atomic_store(&s->hurry, true);
    if (s->running) pthread_join(s->thread, NULL);
    if (s->running && s->outcome == NO_CHECKPOINT)
        log_warning("the checkpoint of step %lld is not written: %s", (long long)s->state.step,
                    s->failure.message);
    run_state_free(&s->state);
    run_spectra_free(&s->spectra);
    free(s->memory);
    free(s);
}
