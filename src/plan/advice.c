#include "plan/advice.h"

#include <stdio.h>

/* Waiting above this part of a step is worth a warning. */
static const double VISIBLE = 0.05;

bool advice_fits(const advice_row *row)
{
    return row->status == SODA_OK && row->node_bytes <= row->room;
}

static double gib(size_t bytes) { return (double)bytes / 0x1p30; }

static const char *name_of(const advice_row *row) { return run_weights_names[row->layout.policy]; }

/* The row that needs the least memory on a node, of those that could be planned; NULL: none. */
static const advice_row *least(const advice_row *rows, int count)
{
    const advice_row *best = NULL;
    for (int i = 0; i < count; i++)
        if (rows[i].status == SODA_OK && (!best || rows[i].node_bytes < best->node_bytes))
            best = &rows[i];
    return best;
}

static void explain_none(const advice_row *rows, int count, char *reason, size_t size)
{
    const advice_row *best = least(rows, count);
    if (!best)
        snprintf(reason, size, "no policy meets train.memory_limit: %s", rows[0].why);
    else
        snprintf(reason, size,
                 "no policy fits: %s needs the least with %.1f GiB per node, of which "
                 "%.1f GiB may be used; plan fewer ranks per node, or train.recompute: full",
                 name_of(best), gib(best->node_bytes), gib(best->room));
}

static void explain_waiting(const advice_row *row, char *text, size_t size)
{
    const plan_forecast *t = &row->time;
    text[0] = '\0';
    if (!plan_layout_gathers(&row->layout)) return;
    if (t->wait_s > VISIBLE * t->step_s)
        snprintf(text, size,
                 "; its traffic cannot hide: ranks wait %.1f of %.1f s per step for weights (a "
                 "larger batch, fewer ranks per copy or a faster network would help)",
                 t->wait_s, t->step_s);
    else
        snprintf(text, size, "; its traffic hides behind the computation");
}

int advice_choose(const advice_row *rows, int count, char *reason, size_t size)
{
    char waiting[256];
    int chosen = 0;
    while (chosen < count && !advice_fits(&rows[chosen])) chosen++;
    if (chosen == count) {
        explain_none(rows, count, reason, size);
        return -1;
    }
    const advice_row *row = &rows[chosen];
    explain_waiting(row, waiting, sizeof waiting);
    const advice_row *before = chosen ? &rows[chosen - 1] : NULL;
    if (!before)
        snprintf(reason, size, "the simplest policy fits: %.1f of %.1f GiB per node",
                 gib(row->node_bytes), gib(row->room));
    else if (before->status != SODA_OK)
        snprintf(reason, size, "%s does not meet train.memory_limit; %s needs %.1f of %.1f GiB%s",
                 name_of(before), name_of(row), gib(row->node_bytes), gib(row->room), waiting);
    else
        snprintf(reason, size, "%s would need %.1f GiB per node, %s needs %.1f of %.1f GiB%s",
                 name_of(before), gib(before->node_bytes), name_of(row), gib(row->node_bytes),
                 gib(row->room), waiting);
    return chosen;
}
