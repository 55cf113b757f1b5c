/* export_case.h: a folder with adapters of the tiny model, for tests that run the program on them.
 */
#pragma once

#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

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

static inline int setup(void **state)
{
    const int result = files_setup(state);
    setenv("SODA_CACHE", *state, 1);
    return result;
}
