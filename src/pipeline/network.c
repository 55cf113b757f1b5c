#include "pipeline/network.h"

#include <string.h>

soda_status network_create(soda_dtype dtype, soda_network *network)
{
    memset(network, 0, sizeof *network);
    return graph_create(dtype, &network->graph);
}

soda_status network_share(soda_dtype dtype, soda_residency *residency, soda_network *network)
{
    *network = (soda_network){.residency = residency, .borrowed = true};
    TRY(graph_create(dtype, &network->graph));
    if (residency->rebuilds) graph_rebuild_weights(network->graph);
    return SODA_OK;
}

static bool touches(const adapter_uses *adapters, folder_component component)
{
    for (int i = 0; adapters && i < adapters->count; i++)
        if (adapter_touches(adapters->list[i].adapter, component)) return true;
    return false;
}

soda_status network_open(const soda_folder *folder, folder_component component, soda_dtype dtype,
                         const adapter_uses *adapters, soda_network *network)
{
    soda_status s = SODA_OK;
    TRY(network_create(dtype, network));
    TRY_TO(failed, folder_weights_open(folder, component, &network->files));
    if (touches(adapters, component))
        TRY_TO(failed,
               merged_create(folder, component, network->files.source, adapters,
                             dtype == SODA_BF16 ? MERGED_BF16 : MERGED_F32, &network->merged));
    return SODA_OK;
failed:
    network_close(network);
    return s;
}

soda_status network_plan(soda_network *network, const soda_backend *backend,
                         const exec_bindings *bound)
{
    TRY(graph_status(network->graph));
    return exec_plan(network->graph, backend, bound, &network->exec);
}

soda_status network_commit(soda_network *network, const soda_backend *backend)
{
    if (!network->residency) TRY(resident_create(backend->device, &network->residency));
    return exec_commit(network->exec, network->residency);
}

soda_status network_ready(soda_network *network, const soda_backend *backend,
                          const exec_bindings *bound)
{
    TRY(network_plan(network, backend, bound));
    return network_commit(network, backend);
}

void network_close(soda_network *network)
{
    exec_destroy(network->exec);
    if (!network->borrowed) residency_close(network->residency);
    graph_destroy(network->graph);
    merged_destroy(network->merged);
    folder_weights_close(&network->files);
    memset(network, 0, sizeof *network);
}

soda_builder network_builder(const soda_network *network)
{
    return (soda_builder){.graph = network->graph,
                          .source = network->merged ? merged_source(network->merged)
                                                    : network->files.source};
}

void network_to_nhwc(const float *nchw, int64_t n, int64_t c, int64_t hw, float *nhwc)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t p = 0; p < hw; p++)
            for (int64_t k = 0; k < c; k++) nhwc[(i * hw + p) * c + k] = nchw[(i * c + k) * hw + p];
}

void network_to_nchw(const float *nhwc, int64_t n, int64_t c, int64_t hw, float *nchw)
{
    for (int64_t i = 0; i < n; i++)
        for (int64_t k = 0; k < c; k++)
            for (int64_t p = 0; p < hw; p++)
                nchw[(i * c + k) * hw + p] = nhwc[(i * hw + p) * c + k];
}
