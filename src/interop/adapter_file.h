/* adapter_file.h: trained adapters outside of a run: as files, checkpoints, or values in memory.
 *
 * An adapter file is a safetensors file. A layer P ("unet. ... .to_q") has the trainable tensors of
 * its method, fp32, called P.LEAF: of the rotation and the spectrum
 *
 *     P.soda.R1, P.soda.R2, P.soda.R3   square; their sides multiply to P's in_features
 *     P.soda.delta                      [min(out_features, in_features)]
 *
 * and __metadata__ holds
 *
 *     format                  soda-adapter
 *     method                  a name in adapter/methods.def
 *     factors                 JSON: {"640":[8,8,10]} of methods that have factors (method.h:
 *                             sizes_key); for people, sizes follow from the tensors
 *     base_model_sha256       what it was trained on: adapter_base_hash
 *     base_model_components   which parts of the model that hash covers
 *     soda_version
 *
 * Only format and method are needed to read one. */
#pragma once

#include "adapter/layers.h"
#include "core/sha256.h"
#include "io/checkpoint.h"
#include "io/safetensors.h"
#include "model/hash.h"

#define ADAPTER_FORMAT "soda-adapter"

typedef struct {
    char *name; /* "unet. ... .to_q" */
    /* Of the method's tensors, in their order. */
    soda_shape shape[METHOD_TENSORS];
    const float *value[METHOD_TENSORS];
    double orthogonality; /* largest ||R'R - I||_F of its rotations */
} adapter_layer;

typedef struct {
    char *file; /* for messages */
    const soda_method *method;
    char base_sha256[SHA256_HEX]; /* "": not known */
    adapter_layer *layers;        /* sorted by name */
    int count;
    float *values; /* what the layers point into */
    /* Where these layers have their bases already (a run's own); NULL: they are loaded. Borrowed.
     */
    soda_layers *bases;
} soda_adapter;

/* Reads an adapter file, a checkpoint, or the newest good checkpoint of a run's folder, else its
 * adapter.safetensors: what `path` is decides its content. Factors that are off from orthogonal by
 * more than 1e-3 are a warning.
 *
 * SODA_ERR_INPUT names file and tensor, what was expected and found. */
soda_status adapter_read(const char *path, soda_adapter **adapter);

/* The same from tensors in memory, which are copied. `method` and `base_sha256` are texts of a
 * file, NULL where it has none. */
soda_status adapter_from_tensors(const char *file, const char *method, const char *base_sha256,
                                 const safetensors_tensor *tensors, int count,
                                 soda_adapter **adapter);

soda_status adapter_from_checkpoint(const char *file, const soda_checkpoint *checkpoint,
                                    soda_adapter **adapter);

void adapter_close(soda_adapter *adapter); /* accepts NULL */

/* What the tensors of a layer say about it: n and sizes, no weights. */
soda_layer adapter_layer_sizes(const soda_adapter *adapter, const adapter_layer *layer);

/* Writes an adapter file; on failure `path` is as it was. */
soda_status adapter_write(const char *path, const soda_adapter *adapter);

/* The layer of module `name`, NULL if it has none. Text encoders are found with and without the
 * "text_model." that transformers wrote before version 5. */
const adapter_layer *adapter_find(const soda_adapter *adapter, const char *name);

/* The components of a model that adapters may name: U-Net and text encoders. Returns how many. */
enum { ADAPTER_COMPONENTS = 3 };
int adapter_components(const soda_folder *folder, folder_component list[ADAPTER_COMPONENTS]);

/* Whether any layer belongs to the component. */
bool adapter_touches(const soda_adapter *adapter, folder_component component);

/* Trainable numbers: as stored, and degrees of freedom (layers.h). */
int64_t adapter_stored(const soda_adapter *adapter);
int64_t adapter_freedom(const soda_adapter *adapter);

/* Reads `path` if it is a checkpoint or a run's folder (whose newest good one is taken); `file`
 * gets the name of what was read. *found is false, and nothing is read, if `path` is another kind
 * of file, or a folder that has an adapter file but no checkpoint: `file` is that file. For
 * checkpoint_free. */
soda_status adapter_open_checkpoint(const char *path, soda_checkpoint *checkpoint, char *file,
                                    size_t size, bool *found);

/* The identity of what an adapter was trained on: model_hash of the U-Net; with `text_encoders` the
 * SHA-256 of the hashes of U-Net and text encoders, written one behind the other. */
soda_status adapter_base_hash(const soda_folder *folder, bool text_encoders,
                              model_hash_version version, char hex[SHA256_HEX]);

/* Whether it adapts a text encoder: then the hash of its base covers them. */
bool adapter_touches_text(const soda_adapter *adapter);

/* SODA_ERR_INPUT unless the folder holds the model that the adapter was trained on; an adapter that
 * does not know its base fits all. Reads all weights that the hash covers. */
soda_status adapter_check_base(const soda_adapter *adapter, const soda_folder *folder);
