#include "io/safetensors_header.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "core/file_kind.h"
#include "core/json.h"

#define CUT_SHORT " (is the download complete?)"

enum { LENGTH_BYTES = 8, MAX_HEADER_BYTES = SAFETENSORS_MAX_HEADER_BYTES };

static const struct {
    const char *name;
    int bits;
} dtypes[SAFETENSORS_DTYPES] = {
    [SAFETENSORS_BOOL] = {"BOOL", 8},
    [SAFETENSORS_F4] = {"F4", 4},
    [SAFETENSORS_F6_E2M3] = {"F6_E2M3", 6},
    [SAFETENSORS_F6_E3M2] = {"F6_E3M2", 6},
    [SAFETENSORS_U8] = {"U8", 8},
    [SAFETENSORS_I8] = {"I8", 8},
    [SAFETENSORS_F8_E5M2] = {"F8_E5M2", 8},
    [SAFETENSORS_F8_E4M3] = {"F8_E4M3", 8},
    [SAFETENSORS_F8_E8M0] = {"F8_E8M0", 8},
    [SAFETENSORS_F8_E4M3FNUZ] = {"F8_E4M3FNUZ", 8},
    [SAFETENSORS_F8_E5M2FNUZ] = {"F8_E5M2FNUZ", 8},
    [SAFETENSORS_I16] = {"I16", 16},
    [SAFETENSORS_U16] = {"U16", 16},
    [SAFETENSORS_F16] = {"F16", 16},
    [SAFETENSORS_BF16] = {"BF16", 16},
    [SAFETENSORS_I32] = {"I32", 32},
    [SAFETENSORS_U32] = {"U32", 32},
    [SAFETENSORS_F32] = {"F32", 32},
    [SAFETENSORS_C64] = {"C64", 64},
    [SAFETENSORS_F64] = {"F64", 64},
    [SAFETENSORS_I64] = {"I64", 64},
    [SAFETENSORS_U64] = {"U64", 64},
};

const char *safetensors_dtype_name(safetensors_dtype dtype) { return dtypes[dtype].name; }
bool safetensors_size(safetensors_dtype dtype, int rank, const int64_t *dim, int64_t *bytes)
{
    int64_t bits = dtypes[dtype].bits;
    for (int i = 0; i < rank; i++)
        if (__builtin_mul_overflow(bits, dim[i], &bits)) return false;
    *bytes = bits / 8;
    return bits % 8 == 0;
}

static soda_status read_dtype(const soda_json *entry, safetensors_dtype *dtype)
{
    const char *name;
    TRY(soda_json_require(entry, "dtype"));
    TRY(soda_json_string(entry, "dtype", NULL, &name));
    for (int i = 0; i < SAFETENSORS_DTYPES; i++) {
        if (strcmp(name, dtypes[i].name) != 0) continue;
        *dtype = (safetensors_dtype)i;
        return SODA_OK;
    }
    return soda_json_refuse(entry, "dtype", "a type of the safetensors format");
}

/* A list of integers >= 0, whatever its length up to `max`. */
static soda_status read_list(const soda_json *entry, const char *key, int64_t *values, int max,
                             int *count)
{
    if (!soda_json_is_list(entry, key)) return soda_json_refuse(entry, key, "a list");
    TRY(soda_json_ints(entry, key, values, max, count));
    for (int i = 0; i < *count; i++)
        if (values[i] < 0) return soda_json_refuse(entry, key, "no negative number");
    return SODA_OK;
}

/* The tensor that `entry` describes, in a buffer of `size` bytes. */
static soda_status read_tensor(const soda_json *entry, const uint8_t *buffer, int64_t size,
                               safetensors_tensor *tensor)
{
    int64_t offset[2], bytes;
    int offsets = 0;
    TRY(read_dtype(entry, &tensor->dtype));
    TRY(read_list(entry, "shape", tensor->dim, SAFETENSORS_MAX_RANK, &tensor->rank));
    TRY(read_list(entry, "data_offsets", offset, 2, &offsets));
    if (offsets != 2 || offset[0] > offset[1])
        return soda_json_refuse(entry, "data_offsets", "[begin, end] with begin <= end");
    if (offset[1] > size)
        return FAIL(SODA_ERR_INPUT,
                    "%s: %s.data_offsets: expected at most the %lld bytes that follow the header, "
                    "found [%lld, %lld]" CUT_SHORT,
                    entry->file, entry->within, (long long)size, (long long)offset[0],
                    (long long)offset[1]);
    if (!safetensors_size(tensor->dtype, tensor->rank, tensor->dim, &bytes))
        return soda_json_refuse(entry, "shape", "a size in whole bytes below 2^63 bits");
    if (bytes != offset[1] - offset[0])
        return FAIL(SODA_ERR_INPUT,
                    "%s: %s.data_offsets: expected %lld bytes from type and shape, found [%lld, "
                    "%lld]",
                    entry->file, entry->within, (long long)bytes, (long long)offset[0],
                    (long long)offset[1]);
    tensor->name = entry->within;
    tensor->file = entry->file;
    tensor->data = buffer + offset[0];
    tensor->bytes = (size_t)bytes;
    return SODA_OK;
}

static soda_status check_metadata(const soda_json *root)
{
    soda_json metadata;
    const char *key;
    json_t *value;
    TRY(soda_json_child(root, "__metadata__", &metadata));
    json_object_foreach((json_t *)metadata.object, key, value)
    {
        const char *text;
        if (!json_is_string(value)) return soda_json_refuse(&metadata, key, "a string");
        TRY(soda_json_string(&metadata, key, NULL, &text)); /* without a zero in it */
    }
    return SODA_OK;
}

static int by_place(const void *a, const void *b)
{
    const safetensors_tensor *x = a, *y = b;
    if (x->data != y->data) return (const uint8_t *)x->data < (const uint8_t *)y->data ? -1 : 1;
    return (x->bytes > y->bytes) - (x->bytes < y->bytes);
}

static soda_status refuse_hole(const char *file, const char *before, size_t end, size_t begin)
{
    return FAIL(SODA_ERR_INPUT, "%s: bytes %zu to %zu of the buffer, after %s, belong to no tensor",
                file, end, begin, before);
}

/* Tensors sorted by place must cover the buffer: each begins where the one before it ends. */
static soda_status check_cover(const safetensors_header *header, const uint8_t *buffer, size_t size,
                               const char *file)
{
    size_t end = 0;
    const char *before = "the header";
    for (int i = 0; i < header->count; i++) {
        const safetensors_tensor *t = &header->tensor[i];
        const size_t begin = (size_t)((const uint8_t *)t->data - buffer);
        if (begin < end)
            return FAIL(SODA_ERR_INPUT,
                        "%s: tensors %s and %s overlap: the second begins at byte %zu of the "
                        "buffer, expected %zu",
                        file, before, t->name, begin, end);
        if (begin > end) return refuse_hole(file, before, end, begin);
        end = begin + t->bytes;
        before = t->name;
    }
    return end < size ? refuse_hole(file, before, end, size) : SODA_OK;
}

/* Whether the 8 bytes of the length are text: a run.yaml given as an adapter, for instance. */
static bool is_text(const uint8_t *bytes)
{
    for (int i = 0; i < LENGTH_BYTES; i++)
        if ((bytes[i] < ' ' && !strchr("\t\r\n", bytes[i])) || bytes[i] == 0x7f || !bytes[i])
            return false;
    return true;
}

/* Checks the length that a file begins with against the file's own. */
static soda_status read_length(const uint8_t *bytes, size_t size, const char *file, size_t *length)
{
    static const char expected[] = "a safetensors file";
    const char *kind = file_kind(bytes, size);
    uint64_t n = 0;
    if (kind && strcmp(kind, expected) != 0) return file_kind_refuse(bytes, size, file, expected);
    if (size < LENGTH_BYTES)
        return FAIL(SODA_ERR_INPUT,
                    "%s: not a safetensors file: expected at least 8 bytes, found %zu", file, size);
    for (int i = LENGTH_BYTES - 1; i >= 0; i--) n = n << 8 | bytes[i];
    if (is_text(bytes)) return file_kind_refuse(bytes, size, file, expected);
    if (n > MAX_HEADER_BYTES)
        return FAIL(SODA_ERR_INPUT, "%s: header length: expected at most %d, found %llu", file,
                    MAX_HEADER_BYTES, (unsigned long long)n);
    if (n > size - LENGTH_BYTES)
        return FAIL(SODA_ERR_INPUT,
                    "%s: header length: expected at most the %zu bytes that follow it, found "
                    "%llu" CUT_SHORT,
                    file, size - LENGTH_BYTES, (unsigned long long)n);
    if (n == 0 || bytes[LENGTH_BYTES] != '{')
        return FAIL(SODA_ERR_INPUT, "%s: expected a header that begins with '{' at byte 8", file);
    *length = (size_t)n;
    return SODA_OK;
}

soda_status safetensors_header_read(const uint8_t *bytes, size_t size, const char *file,
                                    safetensors_header *header)
{
    soda_status s = SODA_OK;
    soda_json root = {0}, entry;
    size_t length = 0;
    const char *name;
    json_t *value;
    *header = (safetensors_header){0};
    TRY(read_length(bytes, size, file, &length));
    TRY(soda_json_parse((const char *)bytes + LENGTH_BYTES, length, file, &root));
    header->root = (json_t *)root.object;
    const uint8_t *buffer = bytes + LENGTH_BYTES + length;
    const size_t room = size - LENGTH_BYTES - length;

    TRY_TO(failed, check_metadata(&root));
    header->tensor = calloc(json_object_size(header->root) + 1, sizeof *header->tensor);
    if (!header->tensor) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory for a list of %zu tensors", file,
                 json_object_size(header->root));
        goto failed;
    }
    json_object_foreach(header->root, name, value)
    {
        if (strcmp(name, "__metadata__") == 0) continue;
        TRY_TO(failed, soda_json_require(&root, name));
        TRY_TO(failed, soda_json_child(&root, name, &entry));
        TRY_TO(failed, read_tensor(&entry, buffer, (int64_t)room, &header->tensor[header->count]));
        header->count++;
    }
    qsort(header->tensor, (size_t)header->count, sizeof *header->tensor, by_place);
    TRY_TO(failed, check_cover(header, buffer, room, file));
    return SODA_OK;
failed:
    safetensors_header_free(header);
    return s;
}

void safetensors_header_free(safetensors_header *header)
{
    json_decref(header->root);
    free(header->tensor);
    *header = (safetensors_header){0};
}
