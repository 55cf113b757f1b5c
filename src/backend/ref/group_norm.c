/* group_norm, reference backend: slow and obvious, the oracle of the others.
 *
 *     x^ = (x - mean) / sqrt(var + eps)                     Wu & He, arXiv:1803.08494
 *     z = gamma x^ + beta;  y = z, or silu(z) if attr.silu
 *
 * x, y [N,..,C]; mean and var run over the middle and the channels of one group; var divides by the
 * count. stats [N,groups,2] = (mean, 1/sqrt(var + eps)). With e = dL/dx^ = gamma dL/dz:
 *
 *     dx = (e - mean(e) - x^ mean(e x^)) / sqrt(var + eps) */
#include <math.h>

#include "backend/ref/activation_math.h"
#include "backend/ref/kernels.h"
#include "backend/ref/value.h"

/* One group of one image: element i is channel first + i % width of pixel i / width. */
typedef struct {
    int64_t base, C, first, width, count;
} group;

static int64_t channel(const group *g, int64_t i) { return g->first + i % g->width; }
static int64_t at(const group *g, int64_t i)
{
    return g->base + i / g->width * g->C + channel(g, i);
}

static group group_of(const soda_tensor *x, int64_t groups, int64_t n, int64_t index)
{
    const int64_t C = shape_columns(&x->shape), image = shape_count(&x->shape) / x->shape.dim[0];
    return (group){.base = n * image,
                   .C = C,
                   .first = index * (C / groups),
                   .width = C / groups,
                   .count = image / groups};
}

static void one_group(const soda_call *call, const group *g, int64_t stat)
{
    const group_norm_attr *a = &call->attr->group_norm;
    const soda_tensor *x = &call->in[0], *gamma = &call->in[1], *beta = &call->in[2];
    double mean = 0, var = 0;
    for (int64_t i = 0; i < g->count; i++) mean += get(x, at(g, i)) / (double)g->count;
    for (int64_t i = 0; i < g->count; i++)
        var += pow(get(x, at(g, i)) - mean, 2) / (double)g->count;
    const double rstd = 1 / sqrt(var + (double)a->eps);
    for (int64_t i = 0; i < g->count; i++) {
        const double xhat = (get(x, at(g, i)) - mean) * rstd;
        const double z = get(gamma, channel(g, i)) * xhat + get(beta, channel(g, i));
        set(&call->out[0], at(g, i), a->silu ? activate(ACT_SILU, z) : z);
    }
    set(&call->out[1], 2 * stat, mean);
    set(&call->out[1], 2 * stat + 1, rstd);
}

static soda_status group_norm(const soda_call *call)
{
    const int64_t groups = call->attr->group_norm.groups;
    for (int64_t n = 0; n < call->in[0].shape.dim[0]; n++) {
        for (int64_t index = 0; index < groups; index++) {
            const group g = group_of(&call->in[0], groups, n, index);
            one_group(call, &g, n * groups + index);
        }
    }
    return SODA_OK;
}

/* e and x^ of element i. */
static void pull_back(const soda_call *call, const group *g, int64_t i, int64_t stat, double *e,
                      double *xhat)
{
    const soda_tensor *dy = &call->in[0], *x = &call->in[1], *stats = &call->in[4];
    const double gamma = get(&call->in[2], channel(g, i)), beta = get(&call->in[3], channel(g, i));
    *xhat = (get(x, at(g, i)) - get(stats, 2 * stat)) * get(stats, 2 * stat + 1);
    *e = gamma * get(dy, at(g, i));
    if (call->attr->group_norm.silu) *e *= activate_slope(ACT_SILU, gamma * *xhat + beta);
}

static void one_group_grad(const soda_call *call, const group *g, int64_t stat)
{
    const double rstd = get(&call->in[4], 2 * stat + 1);
    double e, xhat, mean_e = 0, mean_ex = 0;
    for (int64_t i = 0; i < g->count; i++) {
        pull_back(call, g, i, stat, &e, &xhat);
        mean_e += e / (double)g->count;
        mean_ex += e * xhat / (double)g->count;
    }
    for (int64_t i = 0; i < g->count; i++) {
        pull_back(call, g, i, stat, &e, &xhat);
        set(&call->out[0], at(g, i), (e - mean_e - xhat * mean_ex) * rstd);
    }
}

static soda_status group_norm_grad(const soda_call *call)
{
    const int64_t groups = call->attr->group_norm.groups;
    for (int64_t n = 0; n < call->in[1].shape.dim[0]; n++) {
        for (int64_t index = 0; index < groups; index++) {
            const group g = group_of(&call->in[1], groups, n, index);
            one_group_grad(call, &g, n * groups + index);
        }
    }
    return SODA_OK;
}

const soda_kernel ref_group_norm = {.run = group_norm};
const soda_kernel ref_group_norm_grad = {.run = group_norm_grad};
