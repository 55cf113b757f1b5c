/* h5_array.h: arrays of numbers in a sealed file: chunked, with a Fletcher32 checksum each, of rank
 * 1 or 2. Paths and failures as in fields.h. */
#pragma once

#include "io/h5_attr.h"

typedef enum { DATASET_F32, DATASET_F64, DATASET_I64 } dataset_type;

typedef struct {
    dataset_type type;
    int rank; /* 1 or 2 */
    int64_t dim[2];
} dataset_shape;

int64_t dataset_count(const dataset_shape *shape);

/* A new data set of exactly this shape. */
soda_status dataset_write(const soda_sealed *file, const char *path, const dataset_shape *shape,
                          const void *values);

/* The shape of a data set, which must be of `type`. */
soda_status dataset_find(const soda_sealed *file, const char *path, dataset_type type,
                         dataset_shape *shape);

/* Fails unless a data set was found as wanted. */
soda_status dataset_expect(const soda_sealed *file, const char *path, const dataset_shape *want,
                           const dataset_shape *found);

/* The values of a data set whose shape must be `shape`; *values is for free(). In all, no more is
 * read from a file than it has bytes: nothing is allocated for sizes it only claims. */
soda_status dataset_read(soda_sealed *file, const char *path, const dataset_shape *shape,
                         void **values);

/* A new data set without rows: [0] (width 0) or [0,width]. A chunk is a row, so that a file which
 * grows now and then wastes nothing; long rows are compressed. */
soda_status dataset_make_rows(const soda_sealed *file, const char *path, dataset_type type,
                              int64_t width);

/* Sets row `row` of such a data set and makes it the last one. */
soda_status dataset_put_row(const soda_sealed *file, const char *path, dataset_type type,
                            int64_t row, const void *values);
