/* weights.h: what the kernels of one network want of frozen weights: noted while they are prepared,
 * before there is memory for any of it. */
#pragma once

#include "backend/form_table.h"
#include "core/sha256.h"
#include "graph/weight.h"

/* Writes all bytes of a form of `weight` to `form`: memory of the host, aligned to 64 bytes. */
typedef soda_status weights_fill(const soda_weight *weight, const void *recipe, void *form);

/* Whether ranks that hold weights between them cut this one. Vectors are kept whole by every rank:
 * they are more than half of a model's tensors, and one in a thousand of its bytes. */
static inline bool weights_is_cut(const soda_weight *weight)
{
    return weight->source.shape.rank > 1;
}

/* How a kernel wants a weight. */
typedef struct {
    uint64_t form; /* a number of its backend, unique per layout */
    size_t bytes;
    weights_fill *fill;
    const void *recipe; /* for fill; recipe_bytes are copied */
    size_t recipe_bytes;
} weights_form;

/* One weight in one form, however many nodes want it. */
typedef struct {
    soda_weight weight; /* its name and source outlive the list */
    weights_form form;  /* with a recipe of its own */
} weights_entry;

/* Input `input` of the node that runs as number `step` of the schedule reads entry `entry`. */
typedef struct {
    int step, input, entry;
    double flops; /* of all nodes up to this one */
    size_t at;    /* where the form is in `ring`: set by ring_place */
} weights_use;

/* Steps first_step .. last_step, whose uses are one range: what is made present, used and let go
 * together where memory does not hold all weights. */
typedef struct {
    int first_step, last_step, first_use, uses;
    size_t at, bytes; /* its room in `ring`: set by ring_place */
} weights_visit;

typedef struct soda_weights {
    form_table table;
    weights_entry *entries;
    weights_use *uses; /* in the order of the steps */
    weights_visit *visits;
    int entry_count, entry_room, use_count, use_room, visit_count;
    double flops; /* of all nodes up to the one whose uses are noted next */
    char *ring;   /* of a store that has forms only while they are used; else NULL */
} soda_weights;

soda_status weights_create(soda_weights **weights);
void weights_destroy(soda_weights *weights);

/* Notes a use; steps must not fall from one call to the next. */
soda_status weights_note(soda_weights *weights, const soda_weight *weight, const weights_form *form,
                         int step, int input);

enum { WEIGHTS_VISIT_BYTES = 32 << 20 }; /* of a visit, unless somebody cuts again */

/* Cuts the uses into visits of at most `most` bytes, or of one step. Call it after the last note;
 * again to cut them otherwise. */
soda_status weights_cut(soda_weights *weights, size_t most);

/* Of names, forms and bytes in the order of the entries. */
soda_status weights_digest_layout(const soda_weights *weights, uint8_t hash[SHA256_BYTES]);

/* Of what is used in which step and visit, and where in the ring: ranks that would gather something
 * else would wait for ever, or compute nonsense. */
soda_status weights_digest_schedule(const soda_weights *weights, uint8_t hash[SHA256_BYTES]);
