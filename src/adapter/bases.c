#include "adapter/bases.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "adapter/factorize.h"
#include "adapter/merge.h"
#include "core/log.h"
#include "io/array_cache.h"

typedef struct {
    char key[SHA256_HEX];
    soda_safetensors *set; /* mapped, or */
    float *memory[3];      /* computed; both empty at first */
} slot;

struct soda_bases {
    slot *slots; /* by layer */
    int count;
};

/* One call of bases_load, seen by all its threads. The first failure is kept: messages are per
 * thread and would be lost with it. */
typedef struct {
    soda_layers *layers;
    soda_bases *bases;
    const char *folder; /* NULL: there is no cache */
    bool warned;
    soda_status status;
    char message[512];
} job;

static void keep_failure(job *j, soda_status s)
{
#pragma omp critical(bases)
    if (j->status == SODA_OK) {
        j->status = s;
        snprintf(j->message, sizeof j->message, "%s", status_message());
    }
}

static bool failed(const job *j)
{
    bool yes;
#pragma omp critical(bases)
    yes = j->status != SODA_OK;
    return yes;
}

static const char *method_name(const soda_layer *layer)
{
    return layer->method == SODA_METHOD_SVD ? "svd" : "lq";
}

/* The layer's bases as the cache names them. */
static void arrays_of(const soda_layer *layer, const slot *s, safetensors_tensor arrays[3])
{
    for (int i = 0; i < layer->bases; i++) {
        const char *leaf;
        const soda_shape shape = soda_basis_shape(layer, i, &leaf);
        arrays[i] = (safetensors_tensor){
            .name = leaf, .dtype = SAFETENSORS_F32, .rank = shape.rank, .data = s->memory[i]};
        for (int d = 0; d < shape.rank; d++) arrays[i].dim[d] = shape.dim[d];
    }
}

static soda_status load(const job *j, const soda_layer *layer, slot *s)
{
    safetensors_tensor arrays[3];
    if (!j->folder || s->set || s->memory[0]) return SODA_OK;
    arrays_of(layer, s, arrays);
    return array_cache_load(j->folder, "factors", s->key, arrays, layer->bases, &s->set);
}

static soda_status compute(const soda_layer *layer, slot *s)
{
    float *w0 = malloc((size_t)(layer->m * layer->n) * sizeof *w0);
    bool whole = w0 != NULL;
    for (int i = 0; i < layer->bases; i++) {
        const soda_shape shape = soda_basis_shape(layer, i, NULL);
        s->memory[i] = malloc((size_t)shape_count(&shape) * sizeof(float));
        whole = whole && s->memory[i];
    }
    soda_status status =
        whole ? merge_read_weight(&layer->w0, w0) : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (status == SODA_OK)
        status =
            layer->method == SODA_METHOD_SVD
                ? factorize_svd(w0, layer->m, layer->n, s->memory[0], s->memory[1], s->memory[2])
                : factorize_lq(w0, layer->m, layer->n, s->memory[0], s->memory[1]);
    free(w0);
    if (status == SODA_OK) return SODA_OK;
    char reason[400];
    snprintf(reason, sizeof reason, "%s", status_message());
    return FAIL(status, "%s: %s", layer->w0.name, reason);
}

/* Stores what was computed and goes on with the file; a cache that cannot be written costs only
 * memory. */
static void store(job *j, const soda_layer *layer, slot *s)
{
    safetensors_tensor arrays[3];
    arrays_of(layer, s, arrays);
    if (array_cache_store(j->folder, "factors", s->key, arrays, layer->bases) != SODA_OK) {
#pragma omp critical(bases)
        if (!j->warned) {
            log_warning("factorisations are not kept for the next run: %s", status_message());
            j->warned = true;
        }
        status_clear();
        return;
    }
    if (array_cache_load(j->folder, "factors", s->key, arrays, layer->bases, &s->set) != SODA_OK ||
        !s->set)
        return; /* what was computed is still here */
    for (int i = 0; i < 3; i++) {
        free(s->memory[i]);
        s->memory[i] = NULL;
    }
}

/* Whether an earlier layer has the same weights: two threads must not write one file. */
static bool repeats(const job *j, int index)
{
    for (int i = 0; i < index; i++)
        if (strcmp(j->bases->slots[i].key, j->bases->slots[index].key) == 0) return true;
    return false;
}

static soda_status prepare(job *j, int index, bool keep)
{
    const soda_layer *layer = layers_at(j->layers, index);
    slot *s = &j->bases->slots[index];
    if (keep && repeats(j, index)) return SODA_OK; /* read later, with the others */
    TRY(load(j, layer, s));
    if (s->set || s->memory[0]) return SODA_OK;
    TRY(compute(layer, s));
    if (keep) store(j, layer, s);
    return SODA_OK;
}

/* Layers first, first + step, ...: with `keep`, those the cache lacks are stored in it. */
static void prepare_all(job *j, int first, int step, bool keep)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): comm_agree lets no failure pass */
    const int count = j->bases->count;
    log_progress progress;
    int64_t done = 0;
    log_progress_start(&progress, "factorise", (count - first + step - 1) / step);
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = first; i < count; i += step) {
        const soda_status s = failed(j) ? SODA_OK : prepare(j, i, keep);
        if (s != SODA_OK) keep_failure(j, s);
#pragma omp critical(bases)
        if (keep || !j->folder) log_progress_update(&progress, ++done, "");
    }
}

static void find_keys(job *j)
{
#pragma omp parallel for schedule(dynamic, 1)
    for (int i = 0; i < j->bases->count; i++) {
        const soda_layer *layer = layers_at(j->layers, i);
        const soda_status s = array_cache_weight_key(&layer->w0.source, method_name(layer),
                                                     FACTORIZE_VERSION, j->bases->slots[i].key);
        if (s != SODA_OK) keep_failure(j, s);
    }
}

static void point_layers(job *j)
{
    for (int i = 0; i < j->bases->count; i++) {
        soda_layer *layer = layers_at(j->layers, i);
        const slot *s = &j->bases->slots[i];
        for (int b = 0; b < layer->bases; b++) {
            const char *leaf;
            soda_basis_shape(layer, b, &leaf);
            layer->basis[b].mapped = s->set != NULL;
            layer->basis[b].source.data =
                s->set ? (void *)safetensors_find(s->set, leaf)->data : s->memory[b];
        }
    }
}

soda_status bases_load(soda_layers *layers, soda_comm *comm, const char *folder, soda_bases **bases)
{
    char own_folder[4096];
    soda_bases *b = *bases = calloc(1, sizeof *b);
    job j = {.layers = layers, .bases = b, .folder = folder};
    if (b) b->slots = calloc((size_t)layers_count(layers) + 1, sizeof *b->slots);
    if (!b || !b->slots) {
        j.status = FAIL(SODA_ERR_MEMORY, "out of memory");
    } else {
        b->count = layers_count(layers);
        if (!folder && array_cache_folder("factors", own_folder, sizeof own_folder) == SODA_OK) {
            j.folder = own_folder;
        } else if (!folder) {
            log_warning("factorisations are not kept for the next run: %s", status_message());
            status_clear();
        }
        find_keys(&j);
        if (j.folder && j.status == SODA_OK) prepare_all(&j, comm->rank, comm->size, true);
    }
    if (j.status != SODA_OK && j.message[0]) FAIL(j.status, "%s", j.message);
    soda_status s = comm_agree(comm, j.status); /* and every file is there now */
    if (s == SODA_OK) {
        prepare_all(&j, 0, 1, false);
        if (j.status != SODA_OK) FAIL(j.status, "%s", j.message);
        s = comm_agree(comm, j.status);
    }
    if (s == SODA_OK) {
        point_layers(&j);
        return SODA_OK;
    }
    bases_destroy(b);
    *bases = NULL;
    return s;
}

void bases_destroy(soda_bases *bases)
{
    if (!bases) return;
    for (int i = 0; i < bases->count; i++) {
        safetensors_close(bases->slots[i].set);
        for (int b = 0; b < 3; b++) free(bases->slots[i].memory[b]);
    }
    free(bases->slots);
    free(bases);
}
