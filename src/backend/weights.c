#include "backend/weights.h"

#include <stdlib.h>
#include <string.h>

soda_status weights_create(soda_weights **weights)
{
    *weights = calloc(1, sizeof **weights);
    return *weights ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

void weights_destroy(soda_weights *weights)
{
    if (!weights) return;
    for (int i = 0; i < weights->entry_count; i++) free((void *)weights->entries[i].form.recipe);
    form_table_free(&weights->table);
    free(weights->entries);
    free(weights->uses);
    free(weights->visits);
    free(weights);
}

/* An array with room for one more element, moved if need be; NULL: no memory, `list` is as it was.
 */
static void *with_room(void *list, int count, int *room, size_t bytes)
{
    if (count < *room) return list;
    const int more = *room ? 2 * *room : 256;
    void *grown = realloc(list, (size_t)more * bytes);
    if (grown) *room = more;
    return grown;
}

static soda_status add_entry(soda_weights *w, const soda_weight *weight, const weights_form *form)
{
    weights_entry *list = with_room(w->entries, w->entry_count, &w->entry_room, sizeof *w->entries);
    if (list) w->entries = list;
    void *recipe = malloc(form->recipe_bytes + 1);
    if (!list || !recipe) {
        free(recipe);
        return FAIL(SODA_ERR_MEMORY, "out of memory: %s", weight->name);
    }
    if (form->recipe_bytes) memcpy(recipe, form->recipe, form->recipe_bytes);
    w->entries[w->entry_count] = (weights_entry){*weight, *form};
    w->entries[w->entry_count].form.recipe = recipe;
    w->entry_count++;
    return form_table_add(&w->table, weight->name, form->form, w->entry_count - 1);
}

soda_status weights_note(soda_weights *w, const soda_weight *weight, const weights_form *form,
                         int step, int input)
{
    int entry = form_table_find(&w->table, weight->name, form->form);
    if (entry >= 0 && w->entries[entry].form.bytes != form->bytes)
        return FAIL(SODA_ERR_INTERNAL, "%s: form %llu has %zu bytes, %zu were asked for",
                    weight->name, (unsigned long long)form->form, w->entries[entry].form.bytes,
                    form->bytes);
    if (entry < 0) {
        TRY(add_entry(w, weight, form));
        entry = w->entry_count - 1;
    }
    weights_use *list = with_room(w->uses, w->use_count, &w->use_room, sizeof *w->uses);
    if (!list) return FAIL(SODA_ERR_MEMORY, "out of memory: %s", weight->name);
    w->uses = list;
    w->uses[w->use_count++] = (weights_use){step, input, entry, w->flops, 0};
    return SODA_OK;
}

soda_status weights_cut(soda_weights *w, size_t most)
{
    int *last_visit = malloc(((size_t)w->entry_count + 1) * sizeof *last_visit);
    free(w->visits);
    w->visits = malloc(((size_t)w->use_count + 1) * sizeof *w->visits);
    w->visit_count = 0;
    if (!last_visit || !w->visits) {
        free(last_visit);
        return FAIL(SODA_ERR_MEMORY, "out of memory: %d uses of weights", w->use_count);
    }
    for (int i = 0; i < w->entry_count; i++) last_visit[i] = -1;
    size_t held = 0;
    for (int u = 0, end; u < w->use_count; u = end) {
        const int step = w->uses[u].step;
        size_t new_bytes = 0, all_bytes = 0; /* of the step: beyond the visit's, and alone */
        for (end = u; end < w->use_count && w->uses[end].step == step; end++) {
            const int entry = w->uses[end].entry;
            all_bytes += w->entries[entry].form.bytes;
            if (last_visit[entry] != w->visit_count - 1) new_bytes += w->entries[entry].form.bytes;
        }
        if (w->visit_count == 0 || held + new_bytes > most) {
            w->visits[w->visit_count++] = (weights_visit){step, step, u, 0, 0, 0};
            held = 0;
            new_bytes = all_bytes;
        }
        held += new_bytes;
        weights_visit *visit = &w->visits[w->visit_count - 1];
        visit->last_step = step;
        visit->uses += end - u;
        for (int i = u; i < end; i++) last_visit[w->uses[i].entry] = w->visit_count - 1;
    }
    free(last_visit);
    return SODA_OK;
}
