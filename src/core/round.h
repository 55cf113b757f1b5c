/* round.h: rounding and division of sizes that are not negative. */
#pragma once

#include <stddef.h>
#include <stdint.h>

static inline int64_t min64(int64_t a, int64_t b) { return a < b ? a : b; }
static inline int64_t ceil_div(int64_t a, int64_t b) { return (a + b - 1) / b; }

/* The next multiple. */
static inline int64_t round_up64(int64_t n, int64_t to) { return (n + to - 1) / to * to; }
static inline size_t round_up(size_t n, size_t to) { return (n + to - 1) / to * to; }

/* The next multiple of 64 bytes: a cache line, and what arenas and scratch are aligned to. */
static inline size_t whole_lines(size_t bytes) { return round_up(bytes, 64); }

/* Which of `parts` equal parts of [0, all) holds the middle of [from, to), which lies in it. */
static inline int part_of_middle(size_t from, size_t to, size_t all, int parts)
{
    const size_t part = all ? (from + to) / 2 * (size_t)parts / all : 0;
    return part < (size_t)parts ? (int)part : parts - 1;
}
