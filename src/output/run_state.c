#include "output/run_state.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/isa.h"
#include "io/checkpoint.h"
#include "output/resume_rules.h"

static const char *const column_names[HISTORY_COLUMNS] = {"step", "loss", "grad_norm"};

void run_state_free(run_state *state)
{
    for (int c = 0; c < HISTORY_COLUMNS; c++) {
        free(state->history[c]);
        state->history[c] = NULL;
    }
    state->rows = state->room = 0;
}

static soda_status make_room(run_state *state, int64_t rows)
{
    if (rows <= state->room) return SODA_OK;
    const int64_t room = rows < 512 ? 1024 : 2 * rows;
    for (int c = 0; c < HISTORY_COLUMNS; c++) {
        double *grown = realloc(state->history[c], (size_t)room * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
        state->history[c] = grown;
    }
    state->room = room;
    return SODA_OK;
}

soda_status run_state_note(run_state *state, double loss, double grad_norm)
{
    TRY(make_room(state, state->rows + 1));
    state->history[HISTORY_STEP][state->rows] = (double)state->step;
    state->history[HISTORY_LOSS][state->rows] = loss;
    state->history[HISTORY_GRAD_NORM][state->rows] = grad_norm;
    state->rows++;
    return SODA_OK;
}

soda_status run_state_copy(run_state *to, const run_state *from)
{
    TRY(make_room(to, from->rows));
    run_state copy = *from;
    for (int c = 0; c < HISTORY_COLUMNS; c++) {
        copy.history[c] = to->history[c];
        if (from->rows)
            memcpy(copy.history[c], from->history[c], (size_t)from->rows * sizeof(double));
    }
    copy.room = to->room;
    *to = copy;
    return SODA_OK;
}

soda_status run_state_save(const run_state *state, const soda_params *params, const char *folder,
                           int64_t keep)
{
    checkpoint_column columns[HISTORY_COLUMNS];
    checkpoint_tensor *tensors = calloc((size_t)params->count + 1, sizeof *tensors);
    if (!tensors) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int i = 0; i < params->count; i++) {
        const params_tensor *t = &params->tensors[i];
        tensors[i] = (checkpoint_tensor){.name = t->name,
                                         .rank = t->shape.rank,
                                         .dim = {t->shape.dim[0], t->shape.dim[1]},
                                         .value = params->host.value + t->offset,
                                         .first = params->host.first + t->offset,
                                         .second = params->host.second + t->offset};
    }
    for (int c = 0; c < HISTORY_COLUMNS; c++)
        columns[c] = (checkpoint_column){column_names[c], state->history[c]};
    soda_checkpoint checkpoint = {.step = state->step,
                                  .seed = state->seed,
                                  .method = state->method,
                                  .config = state->config,
                                  .isa = isa_name(isa_now()),
                                  .schedule = state->schedule,
                                  .tensors = tensors,
                                  .count = params->count,
                                  .history = columns,
                                  .columns = HISTORY_COLUMNS,
                                  .rows = state->rows,
                                  .permission = run_lock_permission(state->lock)};
    memcpy(checkpoint.model_sha256, state->model_sha256, SHA256_HEX);
    memcpy(checkpoint.data_sha256, state->data_sha256, SHA256_HEX);
    const soda_status s = checkpoint_write(folder, &checkpoint, keep);
    free(tensors);
    return s;
}

static soda_status copy_tensors(soda_params *params, const soda_checkpoint *c, const char *path)
{
    if (c->count != params->count)
        return FAIL(SODA_ERR_INPUT, "%s: /adapter: expected %d tensors, found %d", path,
                    params->count, c->count);
    for (int i = 0; i < c->count; i++) {
        const checkpoint_tensor *from = &c->tensors[i];
        const params_tensor *to = params_find(params, from->name);
        if (!to)
            return FAIL(SODA_ERR_INPUT, "%s: /adapter/%s: expected a tensor that this run trains",
                        path, from->name);
        if (from->rank != to->shape.rank || from->dim[0] != to->shape.dim[0] ||
            (from->rank == 2 && from->dim[1] != to->shape.dim[1]))
            return FAIL(SODA_ERR_INPUT, "%s: /adapter/%s: expected %lld rows, found %lld", path,
                        from->name, (long long)to->shape.dim[0], (long long)from->dim[0]);
        const size_t bytes = (size_t)to->count * sizeof(float);
        memcpy(params->host.value + to->offset, from->value, bytes);
        memcpy(params->host.first + to->offset, from->first, bytes);
        memcpy(params->host.second + to->offset, from->second, bytes);
    }
    return SODA_OK;
}

static const double *column(const soda_checkpoint *c, const char *name)
{
    for (int i = 0; i < c->columns; i++)
        if (strcmp(c->history[i].name, name) == 0) return c->history[i].value;
    return NULL;
}

static soda_status copy_history(run_state *state, const soda_checkpoint *c, const char *path)
{
    TRY(make_room(state, c->rows));
    for (int k = 0; k < HISTORY_COLUMNS; k++) {
        const double *from = column(c, column_names[k]);
        if (!from)
            return FAIL(SODA_ERR_INPUT, "%s: /history/%s: expected this column, found none", path,
                        column_names[k]);
        if (c->rows) memcpy(state->history[k], from, (size_t)c->rows * sizeof *from);
    }
    state->rows = c->rows;
    state->step = c->step;
    return SODA_OK;
}

static soda_status read_newest(run_state *state, soda_params *params, const char *folder,
                               char *path, size_t size)
{
    soda_checkpoint c = {0};
    soda_status s = SODA_OK;
    bool found = false;
    path[0] = '\0';
    TRY(checkpoint_read_newest(folder, &c, path, size, &found));
    if (!found) return SODA_OK;
    TRY_TO(done, resume_rules_check(state, &c, path));
    s = copy_tensors(params, &c, path);
    if (s != SODA_OK) {
        const soda_status why = resume_rules_explain(state, &c, path);
        if (why != SODA_OK) s = why;
        goto done;
    }
    TRY_TO(done, copy_history(state, &c, path));
    s = resume_rules_warn(state, &c, path);
done:
    checkpoint_free(&c);
    return s;
}

soda_status run_state_restore(run_state *state, soda_params *params, soda_comm *comm,
                              const char *folder, char *path, size_t size)
{
    soda_status s = SODA_OK;
    if (comm->rank == 0) s = read_newest(state, params, folder, path, size);
    TRY(comm_agree(comm, s));
    int64_t counts[2] = {state->step, state->rows};
    TRY(comm->broadcast(comm, counts, sizeof counts, 0));
    state->step = counts[0];
    TRY(comm_agree(comm, make_room(state, counts[1] + 1))); /* the next row is sure to come */
    state->rows = counts[1];
    for (int c = 0; c < HISTORY_COLUMNS; c++)
        TRY(comm->broadcast(comm, state->history[c], (size_t)state->rows * sizeof(double), 0));
    const size_t bytes = (size_t)params->length * sizeof(float);
    TRY(comm->broadcast(comm, params->host.value, bytes, 0));
    TRY(comm->broadcast(comm, params->host.first, bytes, 0));
    TRY(comm->broadcast(comm, params->host.second, bytes, 0));
    return comm_agree(comm, params_push(params)); /* to a device, which may fail */
}
