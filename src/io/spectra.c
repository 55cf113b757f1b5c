#include "io/spectra.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/h5_array.h"
#include "io/newfile.h"

enum { MOST_PATH = 4096 };

/* The columns of a layer that grow by a row a record, and their widths (0: a number a row). */
typedef struct {
    const char *leaf;
    h5_array_type type;
    int64_t width;
    const void *values;
} column;
enum { COLUMNS = 4 };

static void columns_of(const spectra_layer *l, column columns[COLUMNS])
{
    columns[0] = (column){"sigma", ARRAY_F32, l->k, l->sigma};
    columns[1] = (column){"effective_rank", ARRAY_F64, 0, &l->effective_rank};
    columns[2] = (column){"angles", ARRAY_F32, l->n, l->angles};
    columns[3] = (column){"orthogonality", ARRAY_F64, 3, l->orthogonality};
}

static soda_status layer_path(const h5_file *file, const char *name, const char *leaf,
                              char path[MOST_PATH])
{
    const int used = snprintf(path, MOST_PATH, "layers/%s%s%s", name, *leaf ? "/" : "", leaf);
    return used < MOST_PATH ? SODA_OK
                            : FAIL(SODA_ERR_INPUT, "%s: the name of layer %.64s... is too long",
                                   file->path, name);
}

static soda_status make_layer(const h5_file *file, const spectra_layer *l)
{
    char path[MOST_PATH];
    column columns[COLUMNS];
    columns_of(l, columns);
    TRY(layer_path(file, l->name, "", path));
    TRY(h5_attr_make_group(file, path));
    TRY(layer_path(file, l->name, "sigma0", path));
    TRY(h5_array_write(file, path, &(h5_array_shape){ARRAY_F32, 1, {l->k, 0}}, l->sigma0));
    for (int i = 0; i < COLUMNS; i++) {
        TRY(layer_path(file, l->name, columns[i].leaf, path));
        TRY(h5_array_make_rows(file, path, columns[i].type, columns[i].width));
    }
    return SODA_OK;
}

static soda_status make_file(const char *path, const spectra_layer *layers, int count,
                             h5_file **file)
{
    soda_status s = SODA_OK;
    TRY(h5_file_create(path, SPECTRA_FORMAT, SPECTRA_VERSION, file));
    TRY_TO(failed, h5_array_make_rows(*file, "steps", ARRAY_I64, 0));
    TRY_TO(failed, h5_attr_make_group(*file, "layers"));
    for (int i = 0; i < count; i++) TRY_TO(failed, make_layer(*file, &layers[i]));
    return SODA_OK;
failed:
    h5_file_close(*file);
    *file = NULL;
    return s;
}

/* Fails unless sigma0 of a layer of the file has its size. */
static soda_status check_layer(const h5_file *file, const spectra_layer *l)
{
    char path[MOST_PATH];
    h5_array_shape shape;
    TRY(layer_path(file, l->name, "sigma0", path));
    TRY(h5_array_find(file, path, ARRAY_F32, &shape));
    return h5_array_expect(file, path, &(h5_array_shape){ARRAY_F32, 1, {l->k, 0}}, &shape);
}

/* The row for `step`: the first one of this step or a later one; *same: of this step. */
static soda_status find_row(h5_file *file, int64_t step, int64_t *rows, int64_t *row, bool *same)
{
    h5_array_shape shape;
    void *values;
    TRY(h5_array_find(file, "steps", ARRAY_I64, &shape));
    *rows = shape.dim[0];
    TRY(h5_array_read(file, "steps", &(h5_array_shape){ARRAY_I64, 1, {*rows, 0}}, &values));
    const int64_t *steps = values;
    *row = 0;
    while (*row < *rows && steps[*row] < step) ++*row;
    *same = *row < *rows && steps[*row] == step;
    free(values);
    return SODA_OK;
}

static soda_status check_file(const h5_file *file, const spectra_layer *layers, int count)
{
    soda_status s = SODA_OK;
    h5_attr_names names;
    TRY(h5_attr_list(file, "layers", &names));
    for (int i = 0; i < count; i++) {
        TRY_TO(done, h5_attr_expect(file, "layers", &names, layers[i].name));
        TRY_TO(done, check_layer(file, &layers[i]));
    }
    TRY_TO(done, h5_attr_expect_count(file, "layers", &names, count));
done:
    h5_attr_free(&names);
    return s;
}

/* Puts the record into row `row` of `rows`; the data sets have the layers' sizes, or it fails. */
static soda_status put_record(const h5_file *file, int64_t step, const spectra_layer *layers,
                              int count, int64_t rows, int64_t row)
{
    char path[MOST_PATH];
    column columns[COLUMNS];
    const h5_array_shape steps = {ARRAY_I64, 1, {rows, 0}};
    TRY(h5_array_put_row(file, "steps", &steps, row, &step));
    for (int l = 0; l < count; l++) {
        columns_of(&layers[l], columns);
        for (int i = 0; i < COLUMNS; i++) {
            const column *c = &columns[i];
            const h5_array_shape found = {c->type, c->width ? 2 : 1, {rows, c->width}};
            TRY(layer_path(file, layers[l].name, c->leaf, path));
            TRY(h5_array_put_row(file, path, &found, row, c->values));
        }
    }
    return SODA_OK;
}

/* Writes the file beside the old one, reads it back, and replaces the old one. */
static soda_status replace(h5_file *file, const newfile_permission *permission)
{
    soda_newfile *new;
    TRY(h5_file_save(file, &new));
    soda_status s = h5_file_verify(newfile_temporary(new), SPECTRA_FORMAT);
    if (s == SODA_OK) s = newfile_may_replace(permission);
    if (s == SODA_OK) s = newfile_commit(new);
    newfile_close(new);
    return s;
}

soda_status spectra_record(const char *path, int64_t step, const spectra_layer *layers, int count,
                           const newfile_permission *permission)
{
    h5_file *file = NULL;
    soda_status s = SODA_OK;
    int64_t rows = 0, row = 0;
    bool again;
    if (access(path, F_OK) != 0) {
        TRY(make_file(path, layers, count, &file));
    } else {
        TRY(h5_file_open(path, SPECTRA_FORMAT, SPECTRA_VERSION, true, &file));
        TRY_TO(done, find_row(file, step, &rows, &row, &again));
        TRY_TO(done, check_file(file, layers, count));
    }
    TRY_TO(done, put_record(file, step, layers, count, rows, row));
    TRY_TO(done, replace(file, permission));
done:
    h5_file_close(file);
    return s;
}

soda_status spectra_has(const char *path, int64_t step, bool *has)
{
    h5_file *file;
    int64_t rows, row;
    *has = false;
    if (access(path, F_OK) != 0) return SODA_OK;
    TRY(h5_file_open(path, SPECTRA_FORMAT, SPECTRA_VERSION, false, &file));
    const soda_status s = find_row(file, step, &rows, &row, has);
    h5_file_close(file);
    return s;
}
