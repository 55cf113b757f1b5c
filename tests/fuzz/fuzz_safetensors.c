/* libFuzzer harness of the safetensors header. An input that starts with 'R' is a file as it is;
 * any other is a header, to which the right length and as many bytes of data as its first byte says
 * are added, so that mutations get past the length. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "io/safetensors_header.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What holds for every file that is accepted: tensors lie in the file and their sizes add up to the
 * buffer. */
static void check(const safetensors_header *header, const uint8_t *file, size_t size)
{
    size_t total = 0, length = 0;
    for (int i = 7; i >= 0; i--) length = length << 8 | file[i];
    const uint8_t *end = file + size;
    for (int i = 0; i < header->count; i++) {
        const safetensors_tensor *t = &header->tensor[i];
        const uint8_t *first = t->data;
        if (first < file + 8 + length || first > end || t->bytes > (size_t)(end - first)) abort();
        if (strlen(t->name) > length || !safetensors_dtype_name(t->dtype)) abort();
        total += t->bytes;
    }
    if (total != size - 8 - length) abort();
}

static void read_file(const uint8_t *file, size_t size)
{
    safetensors_header header;
    if (safetensors_header_read(file, size, "fuzz", &header) != SODA_OK) return;
    check(&header, file, size);
    safetensors_header_free(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    if (size == 0) return 0;
    const bool raw = data[0] == 'R';
    const size_t room = raw ? 0 : data[0], length = size - 1;
    /* Its own block, so that the sanitizer sees a byte read beyond its end. */
    const size_t bytes = raw ? length : 8 + length + room;
    uint8_t *file = calloc(1, bytes + (bytes == 0));
    if (!file) return 0;
    if (!raw)
        for (int i = 0; i < 8; i++) file[i] = (uint8_t)(length >> (8 * i));
    memcpy(file + (raw ? 0 : 8), data + 1, length);
    read_file(file, bytes);
    free(file);
    return 0;
}
