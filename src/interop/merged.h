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
    ADAPTED_F32,
    ADAPTED_BF16,
    ADAPTED_AS_FILE,    /* the type of W0 */
    ADAPTED_DIFFERENCE, /* W - W0, fp32 */
} adapted_form;

typedef struct soda_adapted soda_adapted;

/* Merges the component's layers. `source` holds its weights (named with the component's prefix) and
 * must outlive the result. Bases come from the cache of factorisations, or are computed. Shows
 * progress. SODA_ERR_INPUT for a layer whose sizes do not fit; that every layer exists is
 * adapter_fit_check's to say. SODA_ERR_NUMERIC names a weight that is not finite, or beyond fp16
 * where the file is fp16. */
soda_status adapted_create(const soda_folder *folder, folder_component component,
                           soda_weight_source *source, const adapter_uses *uses, adapted_form form,
                           soda_adapted **adapted);
void adapted_destroy(soda_adapted *adapted); /* NULL is fine */

/* `source` with the merged weights in the place of its own; lives as long as `adapted`. */
soda_weight_source *adapted_source(soda_adapted *adapted);

/* The merged weights [out,in], sorted by name ("unet. ... .to_q.weight"). */
int adapted_count(const soda_adapted *adapted);
const soda_weight *adapted_at(const soda_adapted *adapted, int index);
const soda_weight *adapted_find(const soda_adapted *adapted,
                                const char *name); /* NULL: as it was */
