/* checkpoint_case.h: a small checkpoint with awkward contents, and files made to be refused. */
#pragma once

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "io/checkpoint.h"
#include "io/h5_array.h"
#include "support/check.h"
#include "support/files.h"

enum { CASE_TENSORS = 3, CASE_COLUMNS = 2, CASE_ROWS = 5 };

typedef struct {
    soda_checkpoint checkpoint;
    checkpoint_tensor tensor[CASE_TENSORS];
    checkpoint_column column[CASE_COLUMNS];
    float value[CASE_TENSORS][3][12];
    double row[CASE_COLUMNS][CASE_ROWS];
} checkpoint_case;

/* Sorted by name, as they are read back. Every value depends on `step`. */
static inline void case_create(checkpoint_case *c, int64_t step)
{
    static const char *const names[] = {"a b.\xc3\xa9.soda.R2", "unet.x.to_out.0.soda.R1",
                                        "unet.x.to_out.0.soda.delta"};
    static const int rank[] = {2, 2, 1};
    static const int64_t dim[][2] = {{1, 1}, {3, 4}, {7, 1}};
    memset(c, 0, sizeof *c);
    for (int i = 0; i < CASE_TENSORS; i++) {
        for (int a = 0; a < 3; a++)
            check_fill_normal(c->value[i][a], 12, (uint32_t)(100 * step + 10 * i + a), 1);
        c->tensor[i] = (checkpoint_tensor){names[i],       rank[i],        {dim[i][0], dim[i][1]},
                                           c->value[i][0], c->value[i][1], c->value[i][2]};
    }
    c->value[1][0][3] = NAN;
    c->value[1][1][4] = -0.0f;
    c->value[1][2][5] = -INFINITY;
    c->value[2][0][6] = 0x1p-149f;
    c->column[0] = (checkpoint_column){"loss", c->row[0]};
    c->column[1] = (checkpoint_column){"step", c->row[1]};
    for (int i = 0; i < CASE_ROWS; i++) {
        c->row[0][i] = 1.0 / (double)(step + i + 3);
        c->row[1][i] = i;
    }
    c->checkpoint = (soda_checkpoint){.step = step,
                                      .seed = UINT64_MAX - 1,
                                      .method = "soda_svd",
                                      .isa = "avx2",
                                      .config = "model: \xc3\xa9\ntrain: {steps: 3}\n",
                                      .tensors = c->tensor,
                                      .count = CASE_TENSORS,
                                      .history = c->column,
                                      .columns = CASE_COLUMNS,
                                      .rows = CASE_ROWS};
    for (int i = 0; i < SHA256_HEX - 1; i++) {
        c->checkpoint.model_sha256[i] = "0123456789abcdef"[i % 16];
        c->checkpoint.data_sha256[i] = "fedcba9876543210"[i % 16];
    }
}

static inline int64_t case_count(const checkpoint_tensor *t)
{
    return t->rank == 2 ? t->dim[0] * t->dim[1] : t->dim[0];
}

/* Fails unless both hold the same, to the bit. */
static inline void case_check_equal(const soda_checkpoint *a, const soda_checkpoint *b)
{
    assert_int_equal(a->step, b->step);
    assert_true(a->seed == b->seed);
    assert_string_equal(a->method, b->method);
    assert_string_equal(a->config, b->config);
    assert_string_equal(a->isa, b->isa);
    assert_string_equal(a->model_sha256, b->model_sha256);
    assert_string_equal(a->data_sha256, b->data_sha256);
    assert_int_equal(a->count, b->count);
    for (int i = 0; i < a->count; i++) {
        const checkpoint_tensor *x = &a->tensors[i], *y = &b->tensors[i];
        assert_string_equal(x->name, y->name);
        assert_int_equal(x->rank, y->rank);
        assert_int_equal(x->dim[0], y->dim[0]);
        assert_int_equal(x->dim[1], y->dim[1]);
        const size_t bytes = (size_t)case_count(x) * sizeof(float);
        assert_memory_equal(x->value, y->value, bytes);
        assert_memory_equal(x->first, y->first, bytes);
        assert_memory_equal(x->second, y->second, bytes);
    }
    assert_int_equal(a->columns, b->columns);
    assert_int_equal(a->rows, b->rows);
    for (int i = 0; i < a->columns; i++) {
        assert_string_equal(a->history[i].name, b->history[i].name);
        if (a->rows)
            assert_memory_equal(a->history[i].value, b->history[i].value,
                                (size_t)a->rows * sizeof(double));
    }
}

/* Writes the case of `step`; its path is that of files_path. */
static inline const char *case_write(const char *folder, int64_t step, int64_t keep)
{
    static checkpoint_case c;
    char name[40];
    case_create(&c, step);
    CHECK_OK(checkpoint_write(folder, &c.checkpoint, keep));
    snprintf(name, sizeof name, "step-%08lld.h5", (long long)step);
    return files_path(folder, name);
}

/* Fails unless `path` holds the case of `step`. */
static inline void case_check_file(const char *path, int64_t step)
{
    static checkpoint_case c;
    soda_checkpoint read;
    case_create(&c, step);
    CHECK_OK(checkpoint_read(path, &read));
    case_check_equal(&read, &c.checkpoint);
    checkpoint_free(&read);
}

static inline bool case_exists(const char *folder, const char *name)
{
    return access(files_path(folder, name), F_OK) == 0;
}
