/* merged.h: a component's weights with adapters folded in.
 *
 *     W = W0 + sum over adapters i of weight_i (W_i - W0)
 *
 * for each linear layer that any of them names; W_i is the layer's weight under adapter i alone
 * (adapter/merge.h). Sums are fp64, rounded once. */
#pragma once

#include "interop/adapter_file.h"

typedef struct {
    const soda_adapter *adapter; /* borrowed */
    double weight;               /* 1: as trained; 0: not at all; may be negative */
} adapter_use;

typedef struct {
    const adapter_use *list;
    int count;
} adapter_uses;

/* What the merged weights are handed out as. */
typedef enum {
    MERGED_F32,
    MERGED_BF16,
    MERGED_AS_FILE,    /* the type of W0 */
    MERGED_DIFFERENCE, /* W - W0, fp32 */
} merged_form;

typedef struct merged_weights merged_weights;

/* Merges the component's layers. `source` holds its weights (named with the component's prefix) and
 * must outlive the result. Bases come from the cache of factorisations, or are computed. Shows
 * progress. SODA_ERR_INPUT for a layer whose sizes do not fit; that every layer exists is
 * adapter_fit_check's to say. SODA_ERR_NUMERIC names a weight that is not finite, or beyond fp16
 * where the file is fp16. */
soda_status merged_create(const soda_folder *folder, folder_component component,
                          soda_weight_source *source, const adapter_uses *uses, merged_form form,
                          merged_weights **merged);
void merged_destroy(merged_weights *merged); /* accepts NULL */

/* `source` with the merged weights in the place of its own; lives as long as `adapted`. */
soda_weight_source *merged_source(merged_weights *merged);

/* The merged weights [out,in], sorted by name ("unet. ... .to_q.weight"). */
int merged_count(const merged_weights *merged);
const soda_weight *merged_at(const merged_weights *merged, int index);
const soda_weight *merged_find(const merged_weights *merged,
                               const char *name); /* NULL: as it was */
