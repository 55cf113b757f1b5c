#include "train/networks.h"

#include <stdlib.h>

soda_status latent_sizes_add(latent_sizes *sizes, int64_t h, int64_t w)
{
    for (int i = 0; i < sizes->count; i++)
        if (sizes->list[i].h == h && sizes->list[i].w == w) return SODA_OK;
    latent_size *grown = realloc(sizes->list, (size_t)(sizes->count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    sizes->list = grown;
    grown[sizes->count++] = (latent_size){h, w};
    return SODA_OK;
}

void latent_sizes_free(latent_sizes *sizes)
{
    free(sizes->list);
    *sizes = (latent_sizes){0};
}

soda_step *step_list_find(const step_list *steps, int64_t h, int64_t w)
{
    soda_step *step = steps->list;
    while (step->shape.h != h || step->shape.w != w) step++;
    return step;
}

int step_list_index(const step_list *steps, int64_t h, int64_t w)
{
    return (int)(step_list_find(steps, h, w) - steps->list);
}

static size_t arena_bytes(const step_list *steps)
{
    size_t bytes = 0;
    for (int i = 0; i < steps->count; i++) bytes += exec_arena_bytes(steps->list[i].net.exec);
    return bytes;
}

size_t networks_arena_bytes(const soda_networks *n)
{
    return arena_bytes(&n->trained) + arena_bytes(&n->frozen) + arena_bytes(&n->held);
}

size_t networks_limit(const run_config *config, size_t machine_bytes, size_t held_bytes)
{
    const double limit_gib = config->train.memory_limit_gib;
    const double total = limit_gib > 0 ? limit_gib * 0x1p30 : 0.9 * (double)machine_bytes;
    const double held = (double)held_bytes;
    return total > held ? (size_t)(total - held) : 1;
}

/* How many networks there will be, at most. */
static int count_all(const networks_request *r)
{
    return r->data.count * (r->config->train.loss == LOSS_DCO ? 2 : 1) + r->prior.count +
           r->held.count;
}

/* Appends a planned network to `steps`. Local. */
static soda_status plan_next(const networks_request *r, const soda_networks *n, step_shape shape,
                             step_list *steps)
{
    soda_step *grown = realloc(steps->list, (size_t)(steps->count + 1) * sizeof *grown);
    if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory");
    steps->list = grown;
    const size_t taken = networks_arena_bytes(n);
    shape.limit_bytes = r->limit_bytes > taken ? r->limit_bytes - taken : 1;
    shape.networks = count_all(r) - n->trained.count - n->frozen.count - n->held.count;
    TRY(step_plan(r->model, r->params, &shape, &grown[steps->count]));
    steps->count++;
    return SODA_OK;
}

static bool has(const step_list *steps, latent_size size)
{
    for (int i = 0; i < steps->count; i++)
        if (steps->list[i].shape.h == size.h && steps->list[i].shape.w == size.w) return true;
    return false;
}

/* Adds a network for every size that `steps` lacks. */
static soda_status add_sizes(const networks_request *r, const soda_networks *n,
                             const latent_sizes *sizes, step_shape shape, step_list *steps)
{
    for (int i = 0; i < sizes->count; i++) {
        if (has(steps, sizes->list[i])) continue;
        shape.h = sizes->list[i].h;
        shape.w = sizes->list[i].w;
        TRY(comm_agree(r->comm, plan_next(r, n, shape, steps)));
        TRY(comm_agree(r->comm, r->commit(&steps->list[steps->count - 1], r->model->backend)));
    }
    return SODA_OK;
}

soda_status networks_open(const networks_request *r, soda_networks *n)
{
    const run_config *c = r->config;
    const step_shape shape = step_shape_trained(c, c->train.batch, r->tokens, r->image);
    *n = (soda_networks){0};
    TRY(add_sizes(r, n, &r->data, shape, &n->trained));
    TRY(add_sizes(r, n, &r->prior, shape, &n->trained));
    if (c->train.loss == LOSS_DCO)
        TRY(add_sizes(r, n, &r->data, step_shape_frozen(c->train.batch, r->tokens, r->image),
                      &n->frozen));
    const step_shape held = {.batch = 1, .tokens = r->tokens, .adapted = true};
    return add_sizes(r, n, &r->held, held, &n->held);
}

static void close_list(step_list *steps)
{
    for (int i = 0; i < steps->count; i++) step_close(&steps->list[i]);
    free(steps->list);
}

void networks_close(soda_networks *n)
{
    close_list(&n->trained);
    close_list(&n->frozen);
    close_list(&n->held);
    *n = (soda_networks){0};
}

soda_status networks_plan_pictures(const training_model *model, const run_config *config,
                                   int64_t side, int64_t tokens, bool adapted, soda_network *net)
{
    const unet_size size = {config->sample.guidance > 1 ? 2 : 1, side, side, tokens, NULL};
    TRY(network_share(model->dtype, model->residency, net));
    training_model_build_sampler(model, net->graph, adapted ? layers_append : NULL, size);
    return network_plan(net, model->backend, NULL);
}
