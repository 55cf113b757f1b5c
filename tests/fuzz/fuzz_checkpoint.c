/* libFuzzer harness of checkpoints: the input is a file. What was changed is refused by its seal
 * before HDF5 reads more than a version. Files that were sealed again after the change are not
 * tried: HDF5 1.10 itself never ends on some of them (a damaged heap of texts). */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "io/checkpoint.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* HDF5 1.10 loses memory of what it fails to decode. */
const char *__lsan_default_suppressions(void);
const char *__lsan_default_suppressions(void) { return "leak:libhdf5"; }

/* In the current folder: no random name to learn. */
static const char path[] = "fuzz-checkpoint.h5";

static void put(const uint8_t *file, size_t size)
{
    FILE *out = fopen(path, "wb");
    if (!out || fwrite(file, 1, size, out) != size || fclose(out) != 0) abort();
}

/* What holds for every checkpoint that is accepted: names in order, every value there. */
static void check(const soda_checkpoint *c)
{
    float sum = 0;
    if (c->step < 0 || !c->method || !c->config || !c->isa) abort();
    for (int i = 0; i < c->count; i++) {
        const checkpoint_tensor *t = &c->tensors[i];
        if (t->rank < 1 || t->rank > 2 || t->dim[0] < 1 || t->dim[1] < 1) abort();
        if (i > 0 && strcmp(t[-1].name, t->name) >= 0) abort();
        for (int64_t k = 0; k < t->dim[0] * t->dim[1]; k++)
            sum += t->value[k] + t->first[k] + t->second[k];
    }
    for (int i = 0; i < c->columns; i++)
        for (int64_t k = 0; k < c->rows; k++) sum += (float)c->history[i].value[k];
    if (sum == 1) unlink(path); /* so that every value is looked at */
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    soda_checkpoint checkpoint;
    put(data, size);
    if (checkpoint_read(path, &checkpoint) == SODA_OK) {
        check(&checkpoint);
        checkpoint_free(&checkpoint);
    }
    unlink(path);
    return 0;
}
