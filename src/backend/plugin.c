#include "backend/plugin.h"

#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "backend/build_id.h"
#include "backend/cpu/parallel.h"
#include "core/log.h"
#include "core/module.h"

/* Where a rank works. */
typedef struct {
    plugin_device device;
    char host[64];
} place;

/* Loads libsoda_cuda.so, or what SODA_CUDA_PLUGIN names. */
static soda_status load(const backend_plugin **plugin)
{
    const char *name = getenv("SODA_CUDA_PLUGIN");
    char path[2300];
    const void *found;
    const bool chosen = name && *name;
    if (!chosen) name = "libsoda_cuda.so";
    if (!module_find(name, path, sizeof path))
        return chosen
                   ? FAIL(SODA_ERR_UNSUPPORTED,
                          "SODA_CUDA_PLUGIN: expected the file of a backend, found none at %s",
                          name)
                   : FAIL(SODA_ERR_UNSUPPORTED,
                          "expected %s beside the program or in ../lib/soda, found none: this soda "
                          "was built without CUDA (-DSODA_CUDA=ON builds it; see docs/gpu.md)",
                          name);
    TRY(module_load(name, PLUGIN_SYMBOL, &found));
    *plugin = found;
    if ((*plugin)->abi != PLUGIN_ABI || strcmp((*plugin)->build, PLUGIN_BUILD) != 0)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s is of another build than this program: expected build %s (interface %d), "
                    "found %s (interface %d); install both from one build",
                    path, PLUGIN_BUILD, PLUGIN_ABI,
                    (*plugin)->abi == PLUGIN_ABI ? (*plugin)->build : "an unknown one",
                    (*plugin)->abi);
    return SODA_OK;
}

static soda_status open_own(const soda_comm *comm, plugin_device *device,
                            const soda_backend **backend)
{
    const backend_plugin *plugin = NULL;
    TRY(load(&plugin));
    return plugin->open(comm->node->rank, device, backend);
}

/* No GPU has two ranks: `all` are the places of the ranks of this node. */
static soda_status check_apart(const soda_comm *node, const place *all)
{
    const plugin_device *own = &all[node->rank].device;
    for (int i = 0; i < node->rank; i++)
        if (strcmp(own->address, all[i].device.address) == 0)
            return FAIL(SODA_ERR_UNSUPPORTED,
                        "another rank uses GPU %s already: this node has %d ranks, and this one "
                        "sees %d GPU%s; start at most one rank per GPU",
                        own->address, node->size, own->shown, own->shown == 1 ? "" : "s");
    return SODA_OK;
}

/* A line for each rank, by rank 0. */
static void print_map(const place *all, int count)
{
    bool mixed = false;
    for (int i = 0; i < count; i++) {
        log_info("rank %d: %s, GPU %d: %s at %s", i, all[i].host, all[i].device.number,
                 all[i].device.model, all[i].device.address);
        mixed = mixed || strcmp(all[i].device.model, all[0].device.model) != 0;
    }
    if (mixed)
        log_warning("the ranks have GPUs of different models: the bits of a run depend on which "
                    "rank computes what");
}

/* `all` [comm->size] is overwritten. Collective. */
static soda_status exchange_places(soda_comm *comm, const plugin_device *device, place *all)
{
    place own = {.device = *device};
    gethostname(own.host, sizeof own.host - 1);
    TRY(comm->node->gather(comm->node, &(comm_parts){&own, sizeof own, all}, 1));
    TRY(comm_agree(comm, check_apart(comm->node, all)));
    TRY(comm->gather(comm, &(comm_parts){&own, sizeof own, all}, 1));
    print_map(all, comm->size);
    return SODA_OK;
}

/* Tells all ranks where this one works. Collective. */
static soda_status compare_places(soda_comm *comm, const plugin_device *device)
{
    place *all = calloc((size_t)comm->size, sizeof *all);
    soda_status s = comm_agree(comm, all ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory"));
    if (s == SODA_OK && all) s = exchange_places(comm, device, all);
    free(all);
    return s;
}

soda_status backend_open_cuda(int threads, soda_comm *comm, const soda_backend **backend)
{
    plugin_device device = {.number = 0};
    *backend = NULL;
    parallel_set_threads(threads); /* of what is left to the host */
    soda_status s = comm_agree(comm, open_own(comm, &device, backend));
    if (s == SODA_OK) s = compare_places(comm, &device);
    if (s == SODA_OK) return s;
    if (*backend) (*backend)->close(*backend);
    *backend = NULL;
    return status_prefix(status_pass(s, __FILE__, __LINE__), "--backend cuda");
}
