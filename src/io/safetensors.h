/* safetensors.h: tensors in files, as huggingface/safetensors defines them.
 *
 *     8 bytes   N, little-endian, at most 100,000,000
 *     N bytes   JSON {"NAME": {"dtype": "F32", "shape": [2,3], "data_offsets": [0,24]}, ...,
 *               "__metadata__": {"KEY": "TEXT"}}, spaces at the end allowed
 *     the rest  row-major little-endian values; offsets count from here; every byte belongs to one
 *               tensor
 *
 * A set is one file, or the shards that an index file lists. Files are mapped read-only and
 * checked whole before a tensor of them is seen; a file must not be shortened while a set is open.
 * Not thread safe, except that any thread may read tensor data. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sha256.h"
#include "core/status.h"
#include "core/tensor.h"

enum { SAFETENSORS_MAX_RANK = 8 };

/* In the order of the library, which writes tensors by falling type, then by name. */
typedef enum {
    SAFETENSORS_BOOL,
    SAFETENSORS_F4,
    SAFETENSORS_F6_E2M3,
    SAFETENSORS_F6_E3M2,
    SAFETENSORS_U8,
    SAFETENSORS_I8,
    SAFETENSORS_F8_E5M2,
    SAFETENSORS_F8_E4M3,
    SAFETENSORS_F8_E8M0,
    SAFETENSORS_F8_E4M3FNUZ,
    SAFETENSORS_F8_E5M2FNUZ,
    SAFETENSORS_I16,
    SAFETENSORS_U16,
    SAFETENSORS_F16,
    SAFETENSORS_BF16,
    SAFETENSORS_I32,
    SAFETENSORS_U32,
    SAFETENSORS_F32,
    SAFETENSORS_C64,
    SAFETENSORS_F64,
    SAFETENSORS_I64,
    SAFETENSORS_U64,
    SAFETENSORS_DTYPES
} safetensors_dtype;

typedef struct {
    const char *name;
    const char *file; /* reader only: the file that holds it */
    safetensors_dtype dtype;
    int rank;
    int64_t dim[SAFETENSORS_MAX_RANK];
    const void *data; /* maybe not aligned */
    size_t bytes;     /* the writer computes it */
    bool used;        /* reader only: some source handed it out, or it was marked */
} safetensors_tensor;

typedef struct {
    const char *key, *value;
} safetensors_pair;

typedef struct soda_safetensors soda_safetensors;

/* "F32" and the like. */
const char *safetensors_dtype_name(safetensors_dtype dtype);

/* "[2,3]", cut to `size`; returns text. */
const char *safetensors_shape_text(const safetensors_tensor *tensor, char *text, size_t size);

/* Opens one .safetensors file, or all shards of an index (a path that ends in ".json").
 * SODA_ERR_INPUT names file, tensor, what was expected and what was found. */
soda_status safetensors_open(const char *path, soda_safetensors **set);

/* Opens the weights called `stem` in a component's folder, full ones before those of the variant
 * fp16. Of a single file and an index that are both there, the one that the component's library
 * reads: "diffusion_pytorch_model" is of diffusers, which takes the index, any other stem of
 * transformers, which takes the single file. A link that leads nowhere is refused, not passed over.
 */
soda_status safetensors_open_folder(const char *folder, const char *stem, soda_safetensors **set);

/* Whether the set, opened so, is of the variant fp16. */
bool safetensors_is_fp16(const soda_safetensors *set);

/* Warns if it is and the full weights are beside it, in a file of PyTorch that soda does not read.
 */
void safetensors_warn_of_fp16(const soda_safetensors *set);

/* Unmaps and frees; accepts NULL. Everything taken from the set ends. */
void safetensors_close(soda_safetensors *set);

/* What was opened, for messages. */
const char *safetensors_path(const soda_safetensors *set);

/* Which files were mapped: a hash of device, inode, size and time of the last change of each.
 * Processes of one machine that find the same read the same bytes. */
soda_status safetensors_identity(const soda_safetensors *set, uint8_t digest[SHA256_BYTES]);

/* All tensors, sorted by name. */
int safetensors_count(const soda_safetensors *set);
const safetensors_tensor *safetensors_at(const soda_safetensors *set, int index);

/* The tensor called `name`, NULL if there is none. */
const safetensors_tensor *safetensors_find(const soda_safetensors *set, const char *name);

/* The value of a metadata key, NULL if there is none; and all pairs, in the order of the files. */
const char *safetensors_metadata(const soda_safetensors *set, const char *key);
int safetensors_metadata_count(const soda_safetensors *set);
safetensors_pair safetensors_metadata_at(const soda_safetensors *set, int index);

/* Says that tensor `name`, if there is one, is not left over. */
void safetensors_mark_used(soda_safetensors *set, const char *name);

/* How many tensors nobody used; `names` gets the first of them, "a, b, ...", cut to `size`. */
int safetensors_unused(const soda_safetensors *set, char *names, size_t size);

/* The tensor's values as fp32, rounded to nearest: F64, F32, F16, BF16, I64 and I32. `values` has
 * room for all of them. */
soda_status safetensors_read_f32(const safetensors_tensor *tensor, float *values);

/* The same; SODA_ERR_INPUT names the first value that is not finite. */
soda_status safetensors_read_finite(const safetensors_tensor *tensor, float *values);

/* Writes a file with the given tensors, in any order, and metadata, as the library lays them out:
 * header padded with spaces to a multiple of 8, tensors by falling type and rising name. On failure
 * `path` is as it was. */
soda_status safetensors_write(const char *path, const safetensors_tensor *tensors, int count,
                              const safetensors_pair *metadata, int pairs);
