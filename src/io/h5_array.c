#include "io/h5_array.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

/* Data sets above CHUNK_VALUES are cut: HDF5 holds a whole chunk in memory to check it. */
enum { CHUNK_VALUES = 1 << 18, COMPRESSED_WIDTH = 16, DEFLATE_LEVEL = 4 };

static const size_t value_bytes[] = {[ARRAY_F32] = 4, [ARRAY_F64] = 8, [ARRAY_I64] = 8};
static const char *const type_name[] = {
    [ARRAY_F32] = "float32", [ARRAY_F64] = "float64", [ARRAY_I64] = "int64"};

static hid_t stored_type(h5_array_type type)
{
    return type == ARRAY_F32 ? H5T_IEEE_F32LE : type == ARRAY_F64 ? H5T_IEEE_F64LE : H5T_STD_I64LE;
}

static hid_t memory_type(h5_array_type type)
{
    return type == ARRAY_F32   ? H5T_NATIVE_FLOAT
           : type == ARRAY_F64 ? H5T_NATIVE_DOUBLE
                               : H5T_NATIVE_INT64;
}

int64_t h5_array_count(const h5_array_shape *shape)
{
    return shape->rank == 1 ? shape->dim[0] : shape->dim[0] * shape->dim[1];
}

/* "[4,5]" */
static const char *shape_words(const h5_array_shape *shape, char text[64])
{
    if (shape->rank == 1)
        snprintf(text, 64, "[%" PRId64 "]", shape->dim[0]);
    else
        snprintf(text, 64, "[%" PRId64 ",%" PRId64 "]", shape->dim[0], shape->dim[1]);
    return text;
}

/* Makes a data set that may grow to `most`, in chunks; H5I_INVALID_HID if HDF5 refuses. */
static hid_t create(const h5_file *file, const char *path, h5_array_type type, int rank,
                    const hsize_t *dim, const hsize_t *most, const hsize_t *chunk, bool compressed)
{
    const hid_t space = H5Screate_simple(rank, dim, most), list = H5Pcreate(H5P_DATASET_CREATE);
    hid_t id = H5I_INVALID_HID;
    if (space >= 0 && H5Pset_chunk(list, rank, chunk) >= 0 &&
        H5Pset_obj_track_times(list, false) >= 0 && /* equal contents give equal bytes */
        (!compressed || (H5Pset_shuffle(list) >= 0 && H5Pset_deflate(list, DEFLATE_LEVEL) >= 0)) &&
        H5Pset_fletcher32(list) >= 0)
        id = H5Dcreate2(file->file, path, stored_type(type), space, H5P_DEFAULT, list, H5P_DEFAULT);
    if (space >= 0) H5Sclose(space);
    H5Pclose(list);
    return id;
}

soda_status h5_array_write(const h5_file *file, const char *path, const h5_array_shape *shape,
                           const void *values)
{
    hsize_t dim[2], most[2], chunk[2], left = CHUNK_VALUES;
    for (int i = shape->rank - 1; i >= 0; i--) {
        dim[i] = (hsize_t)shape->dim[i];
        most[i] = dim[i] ? dim[i] : H5S_UNLIMITED; /* no chunk fits into a fixed size of 0 */
        chunk[i] = dim[i] < left ? dim[i] : left;
        if (chunk[i] == 0) chunk[i] = 1;
        left /= chunk[i];
    }
    const hid_t id = create(file, path, shape->type, shape->rank, dim, most, chunk, false);
    soda_status s = SODA_OK;
    if (id < 0 || H5Dwrite(id, memory_type(shape->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, values) < 0)
        s = h5_file_refusal(file, false, path);
    if (id >= 0) H5Dclose(id);
    return s;
}

/* Chunks that HDF5 checks on reading, and that lie in this file. */
static bool is_checked(hid_t id)
{
    const hid_t list = H5Dget_create_plist(id);
    bool checked = list >= 0 && H5Pget_layout(list) == H5D_CHUNKED;
    bool found = false;
    const int filters = checked ? H5Pget_nfilters(list) : 0;
    for (int i = 0; i < filters; i++) {
        unsigned flags, config;
        size_t values = 0;
        const H5Z_filter_t filter =
            H5Pget_filter2(list, (unsigned)i, &flags, &values, NULL, 0, NULL, &config);
        found = found || filter == H5Z_FILTER_FLETCHER32;
        checked = checked && (filter == H5Z_FILTER_FLETCHER32 || filter == H5Z_FILTER_SHUFFLE ||
                              filter == H5Z_FILTER_DEFLATE);
    }
    if (list >= 0) H5Pclose(list);
    return checked && found;
}

static soda_status check_shape(const h5_file *file, const char *path, hid_t id, h5_array_type type,
                               h5_array_shape *shape)
{
    soda_status s = SODA_OK;
    const hid_t found = H5Dget_type(id), space = H5Dget_space(id);
    const int rank = space >= 0 ? H5Sget_simple_extent_ndims(space) : -1;
    hsize_t dim[2] = {0, 0};
    if (found < 0 || H5Tequal(found, stored_type(type)) <= 0)
        s = FAIL(SODA_ERR_INPUT, "%s: /%s: expected type %s, found another", file->path, path,
                 type_name[type]);
    else if (rank != 1 && rank != 2)
        s = FAIL(SODA_ERR_INPUT, "%s: /%s: expected rank 1 or 2, found %d", file->path, path, rank);
    else if (H5Sget_simple_extent_dims(space, dim, NULL) < 0)
        s = h5_file_refusal(file, true, path);
    else if (dim[0] > INT32_MAX || dim[1] > INT32_MAX)
        s = FAIL(SODA_ERR_INPUT, "%s: /%s: expected dimensions of at most %d, found [%llu,%llu]",
                 file->path, path, INT32_MAX, (unsigned long long)dim[0],
                 (unsigned long long)dim[1]);
    else if (!is_checked(id))
        s = FAIL(SODA_ERR_INPUT, "%s: /%s: expected chunks with a Fletcher32 checksum", file->path,
                 path);
    *shape = (h5_array_shape){type, rank, {(int64_t)dim[0], (int64_t)dim[1]}};
    if (found >= 0) H5Tclose(found);
    if (space >= 0) H5Sclose(space);
    return s;
}

soda_status h5_array_find(const h5_file *file, const char *path, h5_array_type type,
                          h5_array_shape *shape)
{
    const hid_t id = H5Dopen2(file->file, path, H5P_DEFAULT);
    if (id < 0) return h5_file_refusal(file, true, path);
    const soda_status s = check_shape(file, path, id, type, shape);
    H5Dclose(id);
    return s;
}

soda_status h5_array_expect(const h5_file *file, const char *path, const h5_array_shape *want,
                            const h5_array_shape *found)
{
    char text[2][64];
    if (found->rank == want->rank && found->dim[0] == want->dim[0] &&
        (found->rank == 1 || found->dim[1] == want->dim[1]))
        return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: /%s: expected %s, found %s", file->path, path,
                shape_words(want, text[0]), shape_words(found, text[1]));
}

/* Takes what a data set needs off what may still be read. */
static soda_status take_bytes(h5_file *file, const char *path, const h5_array_shape *shape,
                              size_t *bytes)
{
    char text[64];
    *bytes = (size_t)h5_array_count(shape) * value_bytes[shape->type];
    if (*bytes > file->unread)
        return FAIL(
            SODA_ERR_INPUT, "%s: /%s: %s of %s: the arrays together exceed the file's %zu bytes",
            file->path, path, shape_words(shape, text), type_name[shape->type], file->bytes);
    file->unread -= *bytes;
    return SODA_OK;
}

soda_status h5_array_read(h5_file *file, const char *path, const h5_array_shape *shape,
                          void **values)
{
    soda_status s = SODA_OK;
    h5_array_shape found;
    size_t bytes;
    *values = NULL;
    const hid_t id = H5Dopen2(file->file, path, H5P_DEFAULT);
    if (id < 0) return h5_file_refusal(file, true, path);
    TRY_TO(done, check_shape(file, path, id, shape->type, &found));
    TRY_TO(done, h5_array_expect(file, path, shape, &found));
    TRY_TO(done, take_bytes(file, path, shape, &bytes));
    *values = malloc(bytes ? bytes : 1);
    if (!*values)
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", file->path);
    else if (H5Dread(id, memory_type(shape->type), H5S_ALL, H5S_ALL, H5P_DEFAULT, *values) < 0)
        s = h5_file_refusal(file, true, path);
done:
    H5Dclose(id);
    if (s != SODA_OK) {
        free(*values);
        *values = NULL;
    }
    return s;
}

soda_status h5_array_make_rows(const h5_file *file, const char *path, h5_array_type type,
                               int64_t width)
{
    const hsize_t dim[2] = {0, (hsize_t)width}, chunk[2] = {1, (hsize_t)width};
    const hsize_t most[2] = {H5S_UNLIMITED, (hsize_t)width};
    const hid_t id =
        create(file, path, type, width ? 2 : 1, dim, most, chunk, width >= COMPRESSED_WIDTH);
    if (id < 0) return h5_file_refusal(file, false, path);
    H5Dclose(id);
    return SODA_OK;
}

soda_status h5_array_put_row(const h5_file *file, const char *path, const h5_array_shape *found,
                             int64_t row, const void *values)
{
    h5_array_shape shape;
    soda_status s = SODA_OK;
    hid_t all = H5I_INVALID_HID, one = H5I_INVALID_HID;
    const hid_t id = H5Dopen2(file->file, path, H5P_DEFAULT);
    if (id < 0) return h5_file_refusal(file, false, path);
    s = check_shape(file, path, id, found->type, &shape);
    if (s == SODA_OK) s = h5_array_expect(file, path, found, &shape);
    const hsize_t dim[2] = {(hsize_t)row + 1, (hsize_t)shape.dim[1]};
    const hsize_t start[2] = {(hsize_t)row, 0}, count[2] = {1, (hsize_t)shape.dim[1]};
    if (s == SODA_OK && (H5Dset_extent(id, dim) < 0 || (all = H5Dget_space(id)) < 0 ||
                         H5Sselect_hyperslab(all, H5S_SELECT_SET, start, NULL, count, NULL) < 0 ||
                         (one = H5Screate_simple(shape.rank, count, NULL)) < 0 ||
                         H5Dwrite(id, memory_type(found->type), one, all, H5P_DEFAULT, values) < 0))
        s = h5_file_refusal(file, false, path);
    if (one >= 0) H5Sclose(one);
    if (all >= 0) H5Sclose(all);
    H5Dclose(id);
    return s;
}
