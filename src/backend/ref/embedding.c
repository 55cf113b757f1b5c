/* embedding and timestep_embedding, reference backend.
 *
 *     timestep_embedding: e_j = exp(-log(10000) j / (half - shift)), half = width / 2
 *                         y = (sin(t e), cos(t e)), or cosines first; the last column of an odd
 *                         width is 0.         Ho et al., arXiv:2006.11239, in the form of diffusers
 */
#include <math.h>

#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

static soda_status embedding(const soda_call *call)
{
    const soda_tensor *ids = &call->in[0], *table = &call->in[1], *y = &call->out[0];
    const int64_t count = shape_count(&ids->shape);
    const int64_t V = table->shape.dim[0], C = table->shape.dim[1];
    for (int64_t i = 0; i < count; i++) {
        const int64_t id = ((const int32_t *)ids->data)[i];
        if (id < 0 || id >= V)
            return FAIL(SODA_ERR_INPUT, "embedding: expected an id below %lld, found %lld",
                        (long long)V, (long long)id);
        for (int64_t c = 0; c < C; c++) set(y, i * C + c, get(table, id * C + c));
    }
    return SODA_OK;
}

/* dtable[ids[i]] += dy[i] */
static soda_status embedding_grad(const soda_call *call)
{
    const soda_tensor *dy = &call->in[0], *ids = &call->in[1], *dtable = &call->out[0];
    const int64_t rows = shape_count(&ids->shape), C = dtable->shape.dim[1];
    for (int64_t i = 0; i < shape_count(&dtable->shape); i++) set(dtable, i, 0);
    for (int64_t i = 0; i < rows * C; i++) {
        const int64_t at = ((const int32_t *)ids->data)[i / C] * C + i % C;
        set(dtable, at, get(dtable, at) + get(dy, i));
    }
    return SODA_OK;
}

static soda_status timestep_embedding(const soda_call *call)
{
    const soda_tensor *t = &call->in[0], *y = &call->out[0];
    const timestep_embedding_attr *a = &call->attr->timestep_embedding;
    const int64_t count = shape_count(&t->shape), half = a->width / 2;
    for (int64_t i = 0; i < count; i++) {
        for (int64_t j = 0; j < half; j++) {
            const double frequency =
                exp(-log(10000) * (double)j / ((double)half - (double)a->shift));
            const double angle = get(t, i) * frequency;
            set(y, i * a->width + j, a->cos_first ? cos(angle) : sin(angle));
            set(y, i * a->width + half + j, a->cos_first ? sin(angle) : cos(angle));
        }
        if (a->width % 2) set(y, i * a->width + 2 * half, 0);
    }
    return SODA_OK;
}

const soda_kernel ref_embedding = {.run = embedding};
const soda_kernel ref_embedding_grad = {.run = embedding_grad};
const soda_kernel ref_timestep_embedding = {.run = timestep_embedding};
