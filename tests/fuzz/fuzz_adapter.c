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
        if (adapter_find(a, l->name) != l) abort();
        for (int p = 0; p < method_tensors(a->method); p++)
            for (int64_t k = 0; k < shape_count(&l->shape[p]); k++) sum += (double)l->value[p][k];
        if (!a->method->sizes) continue;
        const soda_layer layer = adapter_layer_sizes(a, l);
        int64_t sizes[METHOD_SIZES], product = 1;
        for (int k = a->method->sizes(&layer, sizes); k-- > 0;) product *= sizes[k];
        if (layer.n != product ||
            method_fit(l->shape, &(soda_layer){.method = a->method}, (char[256]){0}, 256) >= 0)
            abort();
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
