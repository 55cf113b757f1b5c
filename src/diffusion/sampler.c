#include "diffusion/sampler.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "diffusion/sampler_internal.h"

typedef struct {
    const char *name, *class_name;
    const sampler_class *kind;
} row;

static const row rows[] = {
#define SAMPLER(name, class_name) {#name, class_name, &sampler_##name},
#include "diffusion/samplers.def"
#undef SAMPLER
};

/* ", NAME" for every row, and so for the classes; whoever reads them skips the first comma. */
static const char names[] =
#define SAMPLER(name, class_name) ", " #name
#include "diffusion/samplers.def"
#undef SAMPLER
    ;
static const char class_names[] =
#define SAMPLER(name, class_name) ", " class_name
#include "diffusion/samplers.def"
#undef SAMPLER
    ;

const char *sampler_name(int index) { return rows[index].name; }
const char *sampler_names(void) { return names + 2; }

bool sampler_knows_class(const char *class_name)
{
    for (int i = 0; i < SAMPLERS; i++)
        if (!strcmp(rows[i].class_name, class_name)) return true;
    return false;
}

/* The row called `name`, or the one of the file if there is no name. */
static soda_status choose_row(const soda_json *config, const char *name, const row **chosen)
{
    const char *class_name;
    if (!name) {
        TRY(soda_json_require(config, "_class_name"));
        TRY(soda_json_string(config, "_class_name", "", &class_name));
    }
    for (int i = 0; i < SAMPLERS; i++) {
        if (strcmp(name ? rows[i].name : rows[i].class_name, name ? name : class_name) != 0)
            continue;
        *chosen = &rows[i];
        return SODA_OK;
    }
    if (name)
        return FAIL(SODA_ERR_USAGE, "scheduler: expected one of %s, found %s", sampler_names(),
                    name);
    return FAIL(SODA_ERR_UNSUPPORTED, "%s: _class_name: expected one of %s, found %s", config->file,
                class_names + 2, class_name);
}

soda_status sampler_pipeline_config(const soda_json *config, const char *name)
{
    const row *chosen;
    const char *own;
    int64_t offset;
    bool clip;
    TRY(choose_row(config, name, &chosen));
    TRY(soda_json_string(config, "_class_name", "", &own));
    TRY(soda_json_int(config, "steps_offset", 0, &offset));
    TRY(soda_json_bool(config, "clip_sample", false, &clip));
    const bool is_own = strcmp(chosen->class_name, own) == 0;
    if (is_own || soda_json_has(config, "steps_offset"))
        TRY(soda_json_put(config, "steps_offset", json_integer(1)));
    if (is_own || soda_json_has(config, "clip_sample"))
        TRY(soda_json_put(config, "clip_sample", json_false()));
    return SODA_OK;
}

/* What all classes read; then the class plans its calls. */
static soda_status plan(soda_sampler *sampler, const soda_json *config)
{
    static const char *const spacings[] = {"leading", "linspace", "trailing"};
    int spacing;
    int64_t offset;
    TRY(schedule_create(config, &sampler->schedule));
    const int train_steps = sampler->schedule.train_steps;
    if (sampler->steps < 1 || sampler->steps > train_steps)
        return FAIL(SODA_ERR_USAGE, "steps: expected 1 to %d, found %d", train_steps,
                    sampler->steps);
    TRY(schedule_choose(config, "timestep_spacing", spacings, 3, (int)sampler->kind->spacing,
                        &spacing));
    TRY(soda_json_int(config, "steps_offset", 0, &offset));
    if (offset < 0 || offset >= train_steps)
        return soda_json_refuse(config, "steps_offset", "0 or more, below num_train_timesteps");
    sampler->spacing = (sampler_spacing)spacing;
    sampler->offset = (int)offset;
    return sampler->kind->plan(sampler, config);
}

soda_status sampler_create(const soda_json *config, const char *name, int steps, int64_t n,
                           soda_sampler **sampler)
{
    const row *chosen;
    soda_status s = SODA_OK;
    soda_sampler *new = calloc(1, sizeof *new);
    if (!new) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", config->file);
    new->steps = steps;
    new->n = n;
    new->init_sigma = 1;
    TRY_TO(fail, choose_row(config, name, &chosen));
    new->kind = chosen->kind;
    if (new->kind->state_bytes > 0) {
        new->state = calloc(1, new->kind->state_bytes);
        if (!new->state) {
            s = FAIL(SODA_ERR_MEMORY, "out of memory for the state of a sampler");
            goto fail;
        }
    }
    TRY_TO(fail, plan(new, config));
    if (new->kind->history > 0) {
        new->history = calloc((size_t) new->kind->history *(size_t)n, sizeof *new->history);
        if (!new->history) {
            s = FAIL(SODA_ERR_MEMORY, "out of memory for %d samples", new->kind->history);
            goto fail;
        }
    }
    *sampler = new;
    return SODA_OK;
fail:
    sampler_destroy(new);
    return s;
}

void sampler_destroy(soda_sampler *sampler)
{
    if (!sampler) return;
    schedule_destroy(&sampler->schedule);
    free(sampler->timestep);
    free(sampler->sigma);
    free(sampler->history);
    free(sampler->state);
    free(sampler);
}

int sampler_calls(const soda_sampler *sampler) { return sampler->calls; }

float sampler_input_scale(const soda_sampler *sampler, int i)
{
    return sampler->kind->input_scale ? (float)sampler->kind->input_scale(sampler, i) : 1;
}

float sampler_timestep(const soda_sampler *sampler, int i) { return (float)sampler->timestep[i]; }

float sampler_init_sigma(const soda_sampler *sampler) { return sampler->init_sigma; }

soda_status sampler_step(soda_sampler *sampler, int i, const float *output, float *sample)
{
    if (i != 0 && (i != sampler->next || i >= sampler->calls))
        return FAIL(SODA_ERR_INTERNAL, "expected call %d of %d, found %d", sampler->next,
                    sampler->calls, i);
    sampler->kind->step(sampler, i, output, sample);
    sampler->next = i + 1;
    return SODA_OK;
}
