/* exchange.h: collectives between the GPUs of all ranks (comm/exchange.h), and gathers of some of
 * them (backend/lane.h): by NCCL 2.14 or newer where the build found it (exchange_nccl.c,
 * lane_nccl.c), else sums go through the host (exchange_host.c), and there are no gathers. */
#pragma once

#include "backend/lane.h"
#include "comm/exchange.h"
#include "cuda/gpu.h"

/* Collective: all ranks of `comm`, which must outlive the exchange, succeed or none. Its close ends
 * what the GPU still waits for, gathers too. */
soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange);

/* Gathers between the GPUs of `group`, in a stream of their own. Collective over `comm`. */
soda_status gpu_open_lane(soda_device *device, soda_comm *comm, soda_comm *group, soda_lane **lane);

/* Since the last call: whether sums were enqueued; then *event is behind them. Communicators may
 * not be in use at the same time: NCCL, User Guide, "Using multiple NCCL communicators
 * concurrently". */
bool gpu_summed(cudaEvent_t *event);
