#include "plan/device_room.h"

#include <stdio.h>
#include <string.h>

#include "plan/footprint.h"

/* No limit for the outline's own search: half of all that can be addressed. */
static const size_t ENDLESS = SIZE_MAX / 2;

enum { MOST_SHARERS = 64 };

typedef struct {
    const soda_backend *backend;
    size_t room, used, all; /* bytes of the device */
    char text[400];         /* settings that fit */
} inquiry;

/* What a rank holds on its device. */
static size_t on_device(const plan_footprint *f)
{
    return f->weights + f->ring + f->prologue + f->activations + f->adapters + f->reduction +
           f->pictures;
}

/* Of a run with these settings, the weights shared by `sharers` ranks; the least, where it may
 * recompute as much as it needs. */
static soda_status measure(const inquiry *q, const run_config *config, int sharers,
                           plan_footprint *f)
{
    run_config c = *config;
    const double ring = c.parallel.ring_mib;
    soda_outline outline;
    const plan_layout layout = {
        .ranks = sharers,
        .per_node = sharers,
        .policy = sharers > 1 ? WEIGHTS_SHARD : WEIGHTS_REPLICATE,
        .shard = {sharers, ring > 0 ? (size_t)(ring * 0x1p20) : (size_t)SHARDED_RING_MIB << 20},
        .on_devices = true};
    if (c.train.recompute == RECOMPUTE_AUTO) c.train.recompute = RECOMPUTE_FULL;
    c.train.memory_limit_gib = 0;
    const outline_request request = {.config = &c,
                                     .backend = q->backend,
                                     .sharers = sharers,
                                     .rebuilds = sharers > 1,
                                     .machine_bytes = ENDLESS};
    TRY(outline_open(&request, &outline));
    *f = footprint_of(&outline, &layout);
    outline_close(&outline);
    return SODA_OK;
}

/* Notes a change of settings, said by `words`, if with it the run fits. */
static soda_status try_setting(inquiry *q, const run_config *c, int sharers, const char *words,
                               bool *fits)
{
    plan_footprint f;
    TRY(measure(q, c, sharers, &f));
    *fits = on_device(&f) <= q->room;
    if (!*fits) return SODA_OK;
    const size_t at = strlen(q->text);
    snprintf(q->text + at, sizeof q->text - at, "%s%s (%.3g GiB)", at ? ", or " : "", words,
             (double)on_device(&f) / 0x1p30);
    return SODA_OK;
}

/* The largest smaller batch. */
static soda_status try_batches(inquiry *q, run_config c, int sharers)
{
    bool fits = false;
    while (c.train.batch > 1 && !fits) {
        char words[64];
        c.train.batch = c.train.batch % 2 == 0 ? c.train.batch / 2 : 1;
        snprintf(words, sizeof words, "train.batch: %lld", (long long)c.train.batch);
        TRY(try_setting(q, &c, sharers, words, &fits));
    }
    return SODA_OK;
}

/* The fewest GPUs that hold the weights between them. */
static soda_status try_sharers(inquiry *q, const run_config *c, int sharers, const char *more)
{
    bool fits = false;
    for (int n = 2; n <= MOST_SHARERS && !fits; n *= 2) {
        char words[160];
        if (n <= sharers) continue;
        snprintf(words, sizeof words, "parallel.weights: shard with parallel.shard: %d%s", n, more);
        TRY(try_setting(q, c, n, words, &fits));
    }
    return SODA_OK;
}

static soda_status find_settings(inquiry *q, const run_config *config, int sharers)
{
    run_config c = *config;
    bool fits;
    if (c.train.recompute == RECOMPUTE_NONE) {
        c.train.recompute = RECOMPUTE_AUTO;
        TRY(try_setting(q, &c, sharers, "train.recompute: auto", &fits));
        c.train.recompute = RECOMPUTE_NONE;
    }
    TRY(try_batches(q, c, sharers));
    TRY(try_sharers(q, &c, sharers, ""));
    if (q->text[0]) return SODA_OK;
    c.train.recompute = RECOMPUTE_AUTO;
    c.train.batch = 1;
    return try_sharers(q, &c, sharers, " and train.batch: 1 and train.recompute: auto");
}

static soda_status refuse(const inquiry *q, const run_config *c, const plan_footprint *f)
{
    const double gib = 0x1p30;
    const bool recomputes = c->train.recompute != RECOMPUTE_NONE;
    return FAIL(SODA_ERR_MEMORY,
                "%s: this run needs %.3g GiB: weights %.3g, activations %.3g (train.batch %lld, %s "
                "recomputed), adapters with gradients, sums and optimizer state %.3g, pictures "
                "%.3g; %.3g of %.3g GiB are free for it; %s%s",
                q->backend->device->name, (double)on_device(f) / gib,
                (double)(f->weights + f->ring) / gib, (double)(f->activations + f->prologue) / gib,
                (long long)c->train.batch, recomputes ? "every block" : "nothing",
                (double)(f->adapters + f->reduction) / gib, (double)f->pictures / gib,
                (double)q->room / gib, (double)q->all / gib,
                q->text[0] ? "would fit: " : "no smaller setting was found that fits", q->text);
}

soda_status device_room_check(const run_config *config, const soda_backend *backend, int ranks)
{
    inquiry q = {.backend = backend};
    plan_footprint f;
    const bool shares = config->parallel.weights == WEIGHTS_SHARD && ranks > 1;
    const int sharers = shares ? (int)config->parallel.shard : 1;
    backend->device->memory(backend->device, ranks, &q.all, &q.used);
    q.room = networks_limit(config, q.all, q.used);
    soda_status s = measure(&q, config, sharers, &f);
    if (s == SODA_OK && on_device(&f) > q.room) {
        s = find_settings(&q, config, sharers);
        if (s == SODA_OK) return refuse(&q, config, &f);
    }
    if (s != SODA_OK) status_clear(); /* the run will say it */
    return SODA_OK;
}
