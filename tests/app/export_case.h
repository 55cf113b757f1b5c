/* export_case.h: a folder with adapters of the tiny model, for tests that run the program on them.
 */
#pragma once

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors.h"
#include "support/adapters.h"
#include "support/files.h"
#include "support/program.h"

#define MODEL(family) SODA_TEST_DIR "/golden/tiny-" family
#define SAMPLE "--prompt 'a fox' --steps 3 --guidance 3 --out pictures --save-latents"

static inline void write_adapter(const char *path, const char *model, const soda_method *method,
                                 bool text, uint32_t seed)
{
    soda_folder *folder;
    test_adapter t;
    CHECK_OK(folder_open(model, &folder));
    test_adapter_open(&t, folder, method, text);
    test_adapter_randomize(&t, seed, 0.2, 0.05);
    test_adapter_write(&t, path);
    test_adapter_close(&t);
    folder_close(folder);
}

/* ||a - b|| / ||b|| of the latents in two files. */
static inline double distance(const char *folder, const char *a, const char *b)
{
    soda_safetensors *x, *y;
    CHECK_OK(safetensors_open(files_path(folder, a), &x));
    CHECK_OK(safetensors_open(files_path(folder, b), &y));
    const safetensors_tensor *p = safetensors_find(x, "latents"),
                             *q = safetensors_find(y, "latents");
    assert_true(p && q && p->bytes == q->bytes);
    float *values = malloc(2 * p->bytes), *others = values + p->bytes / sizeof(float);
    assert_non_null(values);
    CHECK_OK(safetensors_read_f32(p, values));
    CHECK_OK(safetensors_read_f32(q, others));
    const double result = check_relative_l2(values, others, (int64_t)(p->bytes / sizeof(float)));
    free(values);
    safetensors_close(x);
    safetensors_close(y);
    return result;
}

static inline int setup(void **state)
{
    const int result = files_setup(state);
    setenv("SODA_CACHE", *state, 1);
    return result;
}
