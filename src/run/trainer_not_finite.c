/* trainer_not_finite.c: a step whose gradient or loss is not finite is refused. */
#include <math.h>

#include "run/trainer_internal.h"

/* What was not finite in addition `i` of this step. */
static soda_status refuse(soda_trainer *t, int64_t i)
{
    const update_found *found = &t->found.host->added[i];
    /* which stands behind the gradients */
    const bool of_loss = !isfinite(found->last) || found->where >= t->params.length;
    return FAIL(SODA_ERR_NUMERIC,
                "step %lld: the %s%s is %g (first picture of the micro-batch: %s); this step is "
                "discarded",
                (long long)t->state.step, of_loss ? "loss" : "gradient of ",
                of_loss ? "" : params_at(&t->params, found->where)->name,
                (double)(of_loss ? found->last : found->value), t->pictures[i]);
}

soda_status trainer_refuse_step(soda_trainer *t)
{
    const int64_t refused = findings_refused(&t->found, t->added);
    TRY(comm_agree(t->comm, refused < 0 ? SODA_OK : refuse(t, refused)));
    return params_check(&t->params, &t->found.host->report);
}
