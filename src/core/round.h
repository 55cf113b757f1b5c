/* round.h: rounding and division of sizes that are not negative. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The next multiple of 64 bytes: a cache line, and what arenas and scratch are aligned to. */
static inline size_t whole_lines(size_t bytes) { return (bytes + 63) / 64 * 64; }
