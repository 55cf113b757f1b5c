/* isa.h: which instructions the kernels may use: the one place that asks the CPU.
 *
 * Levels form a chain; each holds all below it. A level is an upper limit, chosen once at start by
 * --isa or SODA_ISA. The bits of a run depend on it. */
#pragma once

#include <stdbool.h>

#include "core/status.h"

typedef enum {
    ISA_BASE,       /* what every CPU of this architecture has */
    ISA_AVX2,       /* with FMA and F16C */
    ISA_AVX512,     /* F, BW, DQ, VL */
    ISA_AVX512BF16, /* products of bf16 pairs on vectors */
    ISA_AMX,        /* products of bf16 tiles; the system must hand out the tile registers */
    ISA_LEVELS
} isa_level;

/* "base", "avx2", "avx512", "avx512bf16", "amx". */
const char *isa_name(isa_level level);

/* The highest level of this CPU. */
isa_level isa_best(void);

/* Chooses the level called `option`, or if that is NULL the one that SODA_ISA names, or if that is
 * not set or empty the highest. SODA_ERR_USAGE names the levels of this CPU if `option` is none of
 * them. Call it before the first kernel is prepared. */
soda_status isa_choose(const char *option);

/* The chosen level. Before any choice: that of SODA_ISA if this CPU has it, else the highest. */
isa_level isa_now(void);

/* Whether kernels may use `level`. */
static inline bool isa_allows(isa_level level) { return isa_now() >= level; }

/* Chooses `level`, or the highest if this CPU has less, whatever has been prepared so far: for
 * tests that compare levels. */
void isa_limit(isa_level level);
