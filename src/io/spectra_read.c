/* A summary of spectra.h5. */
#include <stdio.h>
#include <stdlib.h>

#include "io/h5_array.h"
#include "io/spectra.h"

enum { MOST_PATH = 4096 };

/* One column of a layer, [rows] or [rows,width], all of it; *values is for free(). */
static soda_status read_column(h5_file *file, const char *layer, const char *leaf,
                               h5_array_shape want, h5_array_shape *shape, void **values)
{
    char path[MOST_PATH];
    if (snprintf(path, sizeof path, "layers/%s/%s", layer, leaf) >= MOST_PATH)
        return FAIL(SODA_ERR_INPUT, "%s: the name of layer %.64s... is too long", file->path,
                    layer);
    TRY(h5_array_find(file, path, want.type, shape));
    if (want.rank == 2) want.dim[1] = shape->dim[1];
    TRY(h5_array_expect(file, path, &want, shape));
    return h5_array_read(file, path, shape, values);
}

static soda_status add_layer(h5_file *file, const char *name, spectra_about *about)
{
    const int64_t rows = about->records;
    h5_array_shape shape;
    void *rank = NULL, *angles = NULL;
    soda_status s = SODA_OK;
    TRY_TO(done, read_column(file, name, "effective_rank",
                             (h5_array_shape){ARRAY_F64, 1, {rows, 0}}, &shape, &rank));
    about->first_rank += ((const double *)rank)[0];
    about->last_rank += ((const double *)rank)[rows - 1];
    TRY_TO(done, read_column(file, name, "angles", (h5_array_shape){ARRAY_F32, 2, {rows, 0}},
                             &shape, &angles));
    for (int64_t i = 0; i < shape.dim[1]; i++) {
        const double angle = (double)((const float *)angles)[(rows - 1) * shape.dim[1] + i];
        if (angle > about->largest_angle) about->largest_angle = angle;
    }
done:
    free(rank);
    free(angles);
    return s;
}

static soda_status read_all(h5_file *file, spectra_about *about)
{
    h5_array_shape shape;
    h5_attr_names names;
    void *steps;
    TRY(h5_array_find(file, "steps", ARRAY_I64, &shape));
    about->records = shape.dim[0];
    TRY(h5_array_read(file, "steps", &(h5_array_shape){ARRAY_I64, 1, {about->records, 0}}, &steps));
    if (about->records) {
        about->first_step = ((const int64_t *)steps)[0];
        about->last_step = ((const int64_t *)steps)[about->records - 1];
    }
    free(steps);
    TRY(h5_attr_list(file, "layers", &names));
    soda_status s = SODA_OK;
    about->layers = names.count;
    for (int i = 0; i < names.count && about->records && s == SODA_OK; i++)
        s = add_layer(file, names.name[i], about);
    h5_attr_free(&names);
    if (about->layers) {
        about->first_rank /= about->layers;
        about->last_rank /= about->layers;
    }
    return s;
}

soda_status spectra_describe(const char *path, spectra_about *about)
{
    h5_file *file;
    *about = (spectra_about){0};
    TRY(h5_file_open(path, SPECTRA_FORMAT, SPECTRA_VERSION, false, &file));
    const soda_status s = read_all(file, about);
    h5_file_close(file);
    return s;
}
