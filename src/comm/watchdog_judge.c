/* watchdog_judge.c: who is at fault, and how that is said. */
#include <stdio.h>

#include "comm/watchdog_parts.h"
#include "core/pulse.h"

static double silence(const watchdog_view *v, double now_s)
{
    return v->heard ? now_s - v->heard_s : 0;
}

static double standstill(const watchdog_view *v, double now_s)
{
    return v->heard && !v->waits ? now_s - v->changed_s : 0;
}

/* The rank with the largest value above limit_s; -1: none. */
static int longest(const watchdog_view *view, int count, double now_s, double limit_s,
                   double (*value)(const watchdog_view *, double))
{
    int found = -1;
    for (int i = 0; i < count; i++)
        if (value(&view[i], now_s) > limit_s &&
            (found < 0 || value(&view[i], now_s) > value(&view[found], now_s)))
            found = i;
    return found;
}

/* One that entered no more collectives than any other. */
static int behind(const watchdog_view *view, int count)
{
    int least = 0;
    for (int i = 0; i < count; i++)
        if (view[i].collectives < view[least].collectives) least = i;
    return least;
}

watchdog_verdict watchdog_judge(const watchdog_view *view, int count, double now_s,
                                watchdog_limits limits, int *rank)
{
    *rank = longest(view, count, now_s, limits.silent_s, silence);
    if (*rank >= 0) return WATCHDOG_SILENT;
    *rank = longest(view, count, now_s, limits.still_s, standstill);
    if (*rank >= 0) return WATCHDOG_STUCK;
    for (int i = 0; i < count; i++) /* others may well wait for one that was never heard of */
        if (!view[i].heard || !view[i].waits || now_s - view[i].changed_s <= limits.still_s)
            return WATCHDOG_WELL;
    *rank = behind(view, count);
    return WATCHDOG_BEHIND;
}

/* One that entered no fewer collectives than any other. */
static int ahead(const watchdog *dog)
{
    int most = 0;
    for (int i = 0; i < dog->team.count; i++)
        if (dog->team.view[i].collectives > dog->team.view[most].collectives) most = i;
    return most;
}

/* Of ranks that all wait for each other. */
static void describe_waits(const watchdog *dog, int rank, char *text, size_t size)
{
    const int first = ahead(dog);
    const unsigned long long own = dog->team.view[rank].collectives,
                             most = dog->team.view[first].collectives;
    if (own == most)
        snprintf(text, size, "and all others wait for each other in collective number %llu", own);
    else
        snprintf(text, size, "is behind: it entered %llu collectives, others up to %llu (%s)", own,
                 most, dog->team.last[first].collective);
}

/* Rank 0 saves; the others know from its messages or from the trainer. */
static bool is_saved(const watchdog *dog) { return dog->team.last[0].saved || pulse_read().saved; }

int watchdog_exit_code(const watchdog *dog)
{
    return status_exit_code(is_saved(dog) ? SODA_STOPPED : SODA_ERR_IO);
}

bool watchdog_is_held_up(void)
{
    const pulse p = pulse_read();
    return p.hurried && p.collective;
}

/* What the rank at fault did, or did not do. */
static void describe_fault(const watchdog *dog, watchdog_verdict verdict, int rank, char *text,
                           size_t size)
{
    const watchdog_view *v = &dog->team.view[rank];
    if (verdict == WATCHDOG_SILENT)
        snprintf(text, size, "has not been heard of for %.0f s", silence(v, dog->clock_s));
    else if (verdict == WATCHDOG_SAVER)
        snprintf(text, size, "has made no progress for %.0f s in %s of step %lld",
                 dog->clock_s - dog->saver.moved_s, dog->saver.last.part,
                 (long long)dog->saver.last.step);
    else if (verdict == WATCHDOG_STUCK)
        snprintf(text, size, "has made no progress for %.0f s", standstill(v, dog->clock_s));
    else if (!dog->team.comm)
        snprintf(text, size, "has waited for other ranks for %.0f s", dog->clock_s - v->changed_s);
    else
        describe_waits(dog, rank, text, size);
}

void watchdog_describe(const watchdog *dog, watchdog_verdict verdict, int rank, char *text,
                       size_t size)
{
    const watchdog_view *v = &dog->team.view[rank];
    const watchdog_report *last = &dog->team.last[rank];
    char who[48], what[128], where[2 * WATCHDOG_NAME_BYTES + 64] = "", step[32] = "", why[64];
    if (dog->team.comm)
        snprintf(who, sizeof who, "rank %d of %d", rank, dog->team.comm->size);
    else
        snprintf(who, sizeof who, "rank %d", dog->rank);
    describe_fault(dog, verdict, rank, what, sizeof what);
    if (v->heard && last->step >= 0)
        snprintf(step, sizeof step, "step %lld: ", (long long)last->step);
    if (v->heard)
        snprintf(where, sizeof where, "; last in %s%s%s%s", step, last->phase,
                 *last->collective ? ", in " : "", last->collective);
    if (verdict == WATCHDOG_SILENT && silence(v, dog->clock_s) <= dog->limit_s)
        snprintf(why, sizeof why, "and the run was told to end");
    else
        snprintf(why, sizeof why, "parallel.timeout: %.0f s", dog->limit_s);
    snprintf(text, size, "%s on %s %s%s (%s); all ranks end with code %d, as %s", who,
             v->heard ? last->host : "an unknown host", what, where, why, watchdog_exit_code(dog),
             is_saved(dog) ? "there is a checkpoint" : "no checkpoint of this run is known");
}
