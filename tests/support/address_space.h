/* address_space.h: a function in less and less address space (ulimit -v): it succeeds, or is
 * refused for want of memory. */
#pragma once

#include <stdint.h>

#include "core/status.h"

/* Calls `run` in processes that may map 0, step, 2 step, ... KiB more, less than `most`. Some must
 * succeed, some fail with SODA_ERR_MEMORY and a message that says so, and none may do anything
 * else, or take ten seconds. */
void address_space_test(int64_t most_kib, int64_t step_kib, soda_status (*run)(void));
