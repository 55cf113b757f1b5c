/* h5_array.h: arrays of numbers in a sealed file: chunked, with a Fletcher32 checksum each, of rank
 * 1 or 2. Paths and failures as in h5_attr.h. */
#pragma once

#include "io/h5_attr.h"

typedef enum { ARRAY_F32, ARRAY_F64, ARRAY_I64 } h5_array_type;

typedef struct {
    h5_array_type type;
    int rank; /* 1 or 2 */
    int64_t dim[2];
} h5_array_shape;

int64_t h5_array_count(const h5_array_shape *shape);

/* A new data set of exactly this shape. */
soda_status h5_array_write(const h5_file *file, const char *path, const h5_array_shape *shape,
                           const void *values);

/* The shape of a data set, which must be of `type`. */
soda_status h5_array_find(const h5_file *file, const char *path, h5_array_type type,
                          h5_array_shape *shape);

/* Fails unless a data set was found as wanted. */
soda_status h5_array_expect(const h5_file *file, const char *path, const h5_array_shape *want,
                            const h5_array_shape *found);

/* The values of a data set whose shape must be `shape`; *values is for free(). In all, no more is
 * read from a file than it has bytes: nothing is allocated for sizes it only claims. */
soda_status h5_array_read(h5_file *file, const char *path, const h5_array_shape *shape,
                          void **values);

/* A new data set without rows: [0] (width 0) or [0,width]. A chunk is a row, so that a file which
 * grows now and then wastes nothing; long rows are compressed. */
soda_status h5_array_make_rows(const h5_file *file, const char *path, h5_array_type type,
                               int64_t width);

/* Sets row `row` of such a data set, which must have the shape `found`, and makes it the last one.
 * SODA_ERR_INPUT: it has another. */
soda_status h5_array_put_row(const h5_file *file, const char *path, const h5_array_shape *found,
                             int64_t row, const void *values);
