/* libFuzzer harness of adapter files. The input is a safetensors header; the right length is put
 * before it, and as many fp32 ones behind it as its first byte says, so that mutations get past the
 * length. What is accepted has the shapes that all users of adapters rely on. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "interop/adapter_file.h"
#include "io/safetensors_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void check(const soda_adapter *a)
{
    double sum = 0;
    if (a->count < 1 || adapter_stored(a) < adapter_freedom(a)) abort();
    for (int i = 0; i < a->count; i++) {
        const adapter_layer *l = &a->layers[i];
        if (l->n != l->factor[0] * l->factor[1] * l->factor[2] || l->k < 1 || l->k > l->n) abort();
        if (adapter_find(a, l->name) != l) abort();
        for (int p = 0; p < SODA_PARAMS; p++) {
            const int64_t count = p == SODA_DELTA ? l->k : l->factor[p] * l->factor[p];
            for (int64_t k = 0; k < count; k++) sum += (double)l->value[p][k];
        }
    }
    if (sum != sum) abort(); /* values are finite */
}

static void read_file(const uint8_t *file, size_t size)
{
    safetensors_header header;
    soda_adapter *adapter;
    if (safetensors_header_read(file, size, "fuzz", &header) != SODA_OK) return;
    const json_t *all = json_object_get(header.root, "__metadata__");
    if (adapter_from_tensors("fuzz", json_string_value(json_object_get(all, "method")),
                             json_string_value(json_object_get(all, "base_model_sha256")),
                             header.tensor, header.count, &adapter) == SODA_OK) {
        check(adapter);
        adapter_close(adapter);
    }
    safetensors_header_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    log_set_quiet(true);
    const size_t ones = data[0], length = size - 1, bytes = 8 + length + 4 * ones;
    const float one = 1;
    uint8_t *file = malloc(bytes);
    if (!file) return 0;
    for (int i = 0; i < 8; i++) file[i] = (uint8_t)(length >> (8 * i));
    memcpy(file + 8, data + 1, length);
    for (size_t i = 0; i < ones; i++) memcpy(file + 8 + length + 4 * i, &one, sizeof one);
    read_file(file, bytes);
    free(file);
    return 0;
}
