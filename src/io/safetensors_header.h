/* safetensors_header.h: one file's header, checked; safetensors.c is its only user in the program.
 */
#pragma once

#include <jansson.h>

#include "io/safetensors.h"

enum { SAFETENSORS_MAX_HEADER_BYTES = 100000000 };

typedef struct {
    json_t *root; /* owns the names and the metadata */
    safetensors_tensor *tensor;
    int count;
} safetensors_header;

/* Reads the header of a file of `size` bytes at `bytes` that messages call `file`. Checks all that
 * the format promises, so that every tensor's data lies within the file and belongs to it alone.
 * Free with safetensors_header_free; on failure nothing is left. */
soda_status safetensors_header_read(const uint8_t *bytes, size_t size, const char *file,
                                    safetensors_header *header);
void safetensors_header_free(safetensors_header *header);

/* Bytes of a tensor of this type and shape; false if it does not fit an int64_t, or ends within a
 * byte. */
bool safetensors_size(safetensors_dtype dtype, int rank, const int64_t *dim, int64_t *bytes);
