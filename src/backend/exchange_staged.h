/* exchange_staged.h: collectives on the memory of any device, by way of the host. */
#pragma once

#include "backend/device.h"
#include "comm/exchange.h"

/* By `comm`, which must outlive it. Nothing is copied, and nothing waits, where there is one rank.
 */
soda_status exchange_staged(soda_device *device, soda_comm *comm, soda_exchange **exchange);
