/* prices.h: the prices (graph/price.h) of backends whose kernels run on the host. */
#pragma once

#include "graph/price.h"

const price_table *prices_host(void);
