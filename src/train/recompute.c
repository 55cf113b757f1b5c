#include "train/recompute.h"

typedef struct {
    soda_step *step;
    recompute_build *build;
    const void *context;
} choice;

static soda_status rebuild(const choice *c, int recomputed)
{
    network_close(&c->step->net);
    return c->build(c->context, recomputed);
}

static size_t bytes_of(const soda_step *step)
{
    const int networks = step->shape.networks > 1 ? step->shape.networks : 1;
    const soda_residency *r = step->net.residency;
    return residency_share(r, r->missing(r, exec_weights(step->net.exec))) +
           (size_t)networks * exec_arena_bytes(step->net.exec);
}

/* The least recomputation that meets the limit, by halving: more of it never needs more memory
 * along the way down, and the last network built is the one that is kept. */
static soda_status fit(const choice *c)
{
    soda_step *step = c->step;
    const size_t limit = step->shape.limit_bytes;
    TRY(c->build(c->context, 0));
    if (!limit || bytes_of(step) <= limit || !step->shape.gradients) return SODA_OK;
    int low = 0, high = step->segments; /* low does not fit */
    TRY(rebuild(c, high));
    if (bytes_of(step) > limit)
        return FAIL(SODA_ERR_MEMORY,
                    "train.memory_limit: %.2f GiB for weights and activations, but a micro-batch "
                    "of %lld at %lldx%lld needs %.2f GiB with every block recomputed",
                    (double)limit / 0x1p30, (long long)step->shape.batch, (long long)step->shape.h,
                    (long long)step->shape.w, (double)bytes_of(step) / 0x1p30);
    while (high - low > 1) {
        const int middle = (low + high) / 2;
        TRY(rebuild(c, middle));
        if (bytes_of(step) <= limit)
            high = middle;
        else
            low = middle;
    }
    return step->recomputed == high ? SODA_OK : rebuild(c, high);
}

soda_status recompute_choose(soda_step *step, recompute_build *build, const void *context)
{
    const choice c = {step, build, context};
    switch (step->shape.recompute) {
    case RECOMPUTE_AUTO: return fit(&c);
    case RECOMPUTE_FULL: return build(context, INT32_MAX);
    default: return build(context, 0);
    }
}
