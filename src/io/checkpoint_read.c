#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint.h"
#include "io/checkpoint_layout.h"
#include "io/h5_array.h"

soda_status checkpoint_object(char path[CHECKPOINT_MOST_PATH], const char *group, const char *name,
                              const char *leaf)
{
    const int used = snprintf(path, CHECKPOINT_MOST_PATH, "%s/%s%s%s", group, name, leaf ? "/" : "",
                              leaf ? leaf : "");
    return used < CHECKPOINT_MOST_PATH
               ? SODA_OK
               : FAIL(SODA_ERR_INPUT, "%s/%.64s...: the name is too long", group, name);
}

static soda_status get_text(const h5_file *file, const char *name, const char **value)
{
    char *text;
    TRY(h5_attr_get_text(file, name, &text));
    *value = text;
    return SODA_OK;
}

static soda_status get_hash(const h5_file *file, const char *name, char hash[SHA256_HEX])
{
    char *text;
    TRY(h5_attr_get_text(file, name, &text));
    const size_t length = strlen(text), digits = strspn(text, "0123456789abcdef");
    soda_status s = SODA_OK;
    if (length != SHA256_HEX - 1 || digits != length)
        s = FAIL(SODA_ERR_INPUT,
                 "%s: /%s: expected %d lower-case hexadecimal digits, found \"%.80s\"", file->path,
                 name, SHA256_HEX - 1, text);
    else
        memcpy(hash, text, SHA256_HEX);
    free(text);
    return s;
}

/* What files of earlier versions do not tell. */
static soda_status get_later_text(const h5_file *file, const char *name, const char **text)
{
    if (h5_attr_has(file, name)) return get_text(file, name, text);
    char *nothing = strdup("");
    *text = nothing;
    return nothing ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", file->path);
}

static soda_status get_attributes(const h5_file *file, soda_checkpoint *c)
{
    TRY(h5_attr_get_i64(file, "step", &c->step));
    if (c->step < 0)
        return FAIL(SODA_ERR_INPUT, "%s: /step: expected 0 or more, found %lld", file->path,
                    (long long)c->step);
    TRY(h5_attr_get_u64(file, "seed", &c->seed));
    TRY(get_text(file, "method", &c->method));
    TRY(get_text(file, "config", &c->config));
    TRY(get_later_text(file, "isa", &c->isa));
    TRY(get_later_text(file, "schedule", &c->schedule));
    TRY(get_hash(file, "model_sha256", c->model_sha256));
    return get_hash(file, "data_sha256", c->data_sha256);
}

static soda_status read_f32(h5_file *file, const char *path, const h5_array_shape *shape,
                            float **values)
{
    void *read;
    TRY(h5_array_read(file, path, shape, &read));
    *values = read;
    return SODA_OK;
}

static soda_status get_moment(h5_file *file, const checkpoint_tensor *t, const char *leaf,
                              float **values)
{
    char path[CHECKPOINT_MOST_PATH];
    const h5_array_shape shape = {ARRAY_F32, t->rank, {t->dim[0], t->dim[1]}};
    TRY(checkpoint_object(path, "optimizer", t->name, leaf));
    return read_f32(file, path, &shape, values);
}

static soda_status get_tensor(h5_file *file, checkpoint_tensor *t)
{
    char path[CHECKPOINT_MOST_PATH];
    h5_array_shape shape;
    h5_attr_names moments;
    TRY(checkpoint_object(path, "adapter", t->name, NULL));
    TRY(h5_array_find(file, path, ARRAY_F32, &shape));
    if (h5_array_count(&shape) < 1)
        return FAIL(SODA_ERR_INPUT, "%s: /%s: expected values, found none", file->path, path);
    TRY(read_f32(file, path, &shape, &t->value));
    t->rank = shape.rank;
    t->dim[0] = shape.dim[0];
    t->dim[1] = shape.rank == 2 ? shape.dim[1] : 1;
    TRY(checkpoint_object(path, "optimizer", t->name, NULL));
    TRY(h5_attr_list(file, path, &moments));
    soda_status s = SODA_OK;
    TRY_TO(done, h5_attr_expect(file, path, &moments, "first"));
    TRY_TO(done, h5_attr_expect(file, path, &moments, "second"));
    TRY_TO(done, h5_attr_expect_count(file, path, &moments, 2));
    TRY_TO(done, get_moment(file, t, "first", &t->first));
    TRY_TO(done, get_moment(file, t, "second", &t->second));
done:
    h5_attr_free(&moments);
    return s;
}

/* Takes the name out of the list. */
static const char *take(h5_attr_names *names, int i)
{
    char *name = names->name[i];
    names->name[i] = NULL;
    return name;
}

static soda_status get_tensors(h5_file *file, soda_checkpoint *c)
{
    soda_status s = SODA_OK;
    h5_attr_names names = {0}, states = {0};
    TRY_TO(done, h5_attr_list(file, "adapter", &names));
    TRY_TO(done, h5_attr_list(file, "optimizer", &states));
    TRY_TO(done, h5_attr_expect_count(file, "optimizer", &states, names.count));
    c->tensors = calloc((size_t)names.count + 1, sizeof *c->tensors);
    if (!c->tensors) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", file->path);
        goto done;
    }
    while (c->count < names.count) {
        checkpoint_tensor *t = &c->tensors[c->count];
        TRY_TO(done, h5_attr_expect(file, "optimizer", &states, names.name[c->count]));
        t->name = take(&names, c->count++);
        TRY_TO(done, get_tensor(file, t));
    }
done:
    h5_attr_free(&names);
    h5_attr_free(&states);
    return s;
}

static soda_status get_column(h5_file *file, const char *first, checkpoint_column *column,
                              int64_t *rows)
{
    char path[CHECKPOINT_MOST_PATH];
    h5_array_shape shape;
    void *values;
    TRY(checkpoint_object(path, "history", column->name, NULL));
    TRY(h5_array_find(file, path, ARRAY_F64, &shape));
    if (shape.rank != 1)
        return FAIL(SODA_ERR_INPUT, "%s: /%s: expected rank 1, found %d", file->path, path,
                    shape.rank);
    if (*rows < 0) *rows = shape.dim[0];
    if (shape.dim[0] != *rows)
        return FAIL(SODA_ERR_INPUT, "%s: /%s: expected %lld rows as in %s, found %lld", file->path,
                    path, (long long)*rows, first, (long long)shape.dim[0]);
    TRY(h5_array_read(file, path, &shape, &values));
    column->value = values;
    return SODA_OK;
}

static soda_status get_history(h5_file *file, soda_checkpoint *c)
{
    soda_status s = SODA_OK;
    h5_attr_names names = {0};
    int64_t rows = -1;
    TRY_TO(done, h5_attr_list(file, "history", &names));
    c->history = calloc((size_t)names.count + 1, sizeof *c->history);
    if (!c->history) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", file->path);
        goto done;
    }
    while (c->columns < names.count) {
        checkpoint_column *column = &c->history[c->columns];
        column->name = take(&names, c->columns++);
        TRY_TO(done, get_column(file, c->history[0].name, column, &rows));
    }
    c->rows = rows < 0 ? 0 : rows;
done:
    h5_attr_free(&names);
    return s;
}

soda_status checkpoint_read(const char *path, soda_checkpoint *checkpoint)
{
    h5_file *file;
    soda_status s = SODA_OK;
    *checkpoint = (soda_checkpoint){0};
    TRY(h5_file_open(path, CHECKPOINT_FORMAT, CHECKPOINT_VERSION, false, &file));
    TRY_TO(done, get_attributes(file, checkpoint));
    TRY_TO(done, get_tensors(file, checkpoint));
    TRY_TO(done, get_history(file, checkpoint));
done:
    h5_file_close(file);
    if (s != SODA_OK) checkpoint_free(checkpoint);
    return s;
}

void checkpoint_free(soda_checkpoint *checkpoint)
{
    for (int i = 0; i < checkpoint->count; i++) {
        checkpoint_tensor *t = &checkpoint->tensors[i];
        free((void *)t->name);
        free(t->value);
        free(t->first);
        free(t->second);
    }
    for (int i = 0; i < checkpoint->columns; i++) {
        free((void *)checkpoint->history[i].name);
        free(checkpoint->history[i].value);
    }
    free(checkpoint->tensors);
    free(checkpoint->history);
    free((void *)checkpoint->method);
    free((void *)checkpoint->isa);
    free((void *)checkpoint->schedule);
    free((void *)checkpoint->config);
    *checkpoint = (soda_checkpoint){0};
}
