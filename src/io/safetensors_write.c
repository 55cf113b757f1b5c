#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "io/newfile.h"
#include "io/safetensors_header.h"

/* The library's order: falling type, so that wide types stay aligned, then rising name. */
static int by_type_and_name(const void *a, const void *b)
{
    const safetensors_tensor *x = a, *y = b;
    if (x->dtype != y->dtype) return x->dtype > y->dtype ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* A sorted copy with bytes filled in; for free(). */
static soda_status lay_out(const char *path, const safetensors_tensor *tensors, int count,
                           safetensors_tensor **sorted)
{
    safetensors_tensor *t = malloc(((size_t)count + 1) * sizeof *t);
    if (!t) return FAIL(SODA_ERR_MEMORY, "%s: out of memory for %d tensors", path, count);
    if (count) memcpy(t, tensors, (size_t)count * sizeof *t);
    qsort(t, (size_t)count, sizeof *t, by_type_and_name);
    for (int i = 0; i < count; i++) {
        int64_t bytes;
        if (!safetensors_size(t[i].dtype, t[i].rank, t[i].dim, &bytes)) {
            free(t);
            return FAIL(SODA_ERR_INTERNAL, "%s: tensor %d has no size in bytes", path, i);
        }
        t[i].bytes = (size_t)bytes;
    }
    *sorted = t;
    return SODA_OK;
}

/* The entry of one tensor that begins at byte `begin` of the buffer; NULL without memory. */
static json_t *describe(const safetensors_tensor *t, size_t begin)
{
    const size_t end = begin + t->bytes;
    json_t *shape = json_array();
    for (int i = 0; i < t->rank; i++)
        if (json_array_append_new(shape, json_integer((json_int_t)t->dim[i])) != 0) {
            json_decref(shape);
            return NULL;
        }
    return json_pack("{s:s, s:o, s:[I, I]}", "dtype", safetensors_dtype_name(t->dtype), "shape",
                     shape, "data_offsets", (json_int_t)begin, (json_int_t)end);
}

/* The header's object, for json_decref; NULL when a name comes twice or is not UTF-8, or without
 * memory. */
static json_t *describe_all(const safetensors_tensor *tensors, int count,
                            const safetensors_pair *metadata, int pairs)
{
    bool failed = false;
    size_t begin = 0;
    json_t *root = json_object(), *all = pairs ? json_object() : NULL;
    for (int i = 0; i < pairs; i++)
        failed |= json_object_set_new(all, metadata[i].key, json_string(metadata[i].value)) != 0;
    if (pairs) failed |= json_object_set_new(root, "__metadata__", all) != 0;
    for (int i = 0; i < count; i++) {
        failed |= json_object_set_new(root, tensors[i].name, describe(&tensors[i], begin)) != 0;
        begin += tensors[i].bytes;
    }
    failed |= json_object_size(root) != (size_t)count + (pairs ? 1 : 0);
    if (!failed) return root;
    json_decref(root);
    return NULL;
}

static soda_status write_all(soda_newfile *file, const char *text,
                             const safetensors_tensor *tensors, int count)
{
    const size_t length = strlen(text), padded = (length + 7) / 8 * 8;
    uint8_t prefix[8];
    for (int i = 0; i < 8; i++) prefix[i] = (uint8_t)((uint64_t)padded >> (8 * i));
    TRY(newfile_write(file, prefix, sizeof prefix));
    TRY(newfile_write(file, text, length));
    TRY(newfile_write(file, "       ", padded - length));
    for (int i = 0; i < count; i++) TRY(newfile_write(file, tensors[i].data, tensors[i].bytes));
    return newfile_commit(file);
}

soda_status safetensors_write(const char *path, const safetensors_tensor *tensors, int count,
                              const safetensors_pair *metadata, int pairs)
{
    soda_status s = SODA_OK;
    safetensors_tensor *sorted = NULL;
    json_t *header = NULL;
    char *text = NULL;
    soda_newfile *file = NULL;
    TRY_TO(done, lay_out(path, tensors, count, &sorted));
    header = describe_all(sorted, count, metadata, pairs);
    if (!header) {
        s = FAIL(SODA_ERR_MEMORY,
                 "%s: cannot write the header: out of memory, or a name is repeated or not UTF-8",
                 path);
        goto done;
    }
    TRY_TO(done, soda_json_dump(header, path, &text));
    if (strlen(text) > SAFETENSORS_MAX_HEADER_BYTES - 7) {
        s = FAIL(SODA_ERR_UNSUPPORTED, "%s: expected a header of at most %d bytes, found %zu", path,
                 SAFETENSORS_MAX_HEADER_BYTES, strlen(text));
        goto done;
    }
    TRY_TO(done, newfile_create(path, &file));
    TRY_TO(done, write_all(file, text, sorted, count));
done:
    newfile_close(file);
    free(text);
    json_decref(header);
    free(sorted);
    return s;
}
