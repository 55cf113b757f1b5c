/* exchange.h: collectives between the GPUs of all ranks (comm/exchange.h): by NCCL where the build
 * found it (exchange_nccl.c), else through the host (exchange_host.c). */
#pragma once

#include "backend/device.h"
#include "comm/exchange.h"

/* Collective: all ranks of `comm`, which must outlive the exchange, succeed or none. */
soda_status gpu_connect(soda_device *device, soda_comm *comm, soda_exchange **exchange);
