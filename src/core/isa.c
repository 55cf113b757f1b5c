#include "core/isa.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#if defined(__x86_64__)
#include <cpuid.h>
#include <sys/syscall.h>
#include <unistd.h>
#endif

static const char *const names[ISA_LEVELS] = {"base", "avx2", "avx512", "avx512bf16", "amx"};

static pthread_once_t once = PTHREAD_ONCE_INIT;
static isa_level best, chosen;

const char *isa_name(isa_level level) { return names[level]; }

#if defined(__x86_64__)
static bool has_amx(void)
{
    enum { AMX_BF16 = 1 << 22, AMX_TILE = 1 << 24 };      /* CPUID 7.0 EDX */
    enum { REQUEST_PERMISSION = 0x1023, TILE_DATA = 18 }; /* asm/prctl.h, newer than some */
    unsigned a, b, c, d;
    if (!__get_cpuid_count(7, 0, &a, &b, &c, &d)) return false;
    if (!(d & AMX_BF16) || !(d & AMX_TILE)) return false;
    /* Linux hands out tile registers only to processes that ask, and may refuse. */
    return syscall(SYS_arch_prctl, REQUEST_PERMISSION, TILE_DATA) == 0;
}

static isa_level ask_cpu(void)
{
    if (!__builtin_cpu_supports("avx2") || !__builtin_cpu_supports("fma")) return ISA_BASE;
    if (!__builtin_cpu_supports("avx512f") || !__builtin_cpu_supports("avx512bw") ||
        !__builtin_cpu_supports("avx512dq") || !__builtin_cpu_supports("avx512vl"))
        return ISA_AVX2;
    if (!__builtin_cpu_supports("avx512bf16")) return ISA_AVX512;
    return has_amx() ? ISA_AMX : ISA_AVX512BF16;
}
#else
static isa_level ask_cpu(void) { return ISA_BASE; }
#endif

/* SODA_ISA's value, NULL if it says nothing. */
static const char *environment(void)
{
    const char *text = getenv("SODA_ISA");
    return text && *text ? text : NULL;
}

/* The level of this CPU called `name`, or ISA_LEVELS. */
static isa_level find(const char *name)
{
    int level = 0;
    while (level <= (int)best && strcmp(name, names[level]) != 0) level++;
    return level <= (int)best ? (isa_level)level : ISA_LEVELS;
}

static void start(void)
{
    best = ask_cpu();
    const char *wanted = environment();
    const isa_level level = wanted ? find(wanted) : best;
    chosen = level < ISA_LEVELS ? level : best;
}

isa_level isa_best(void)
{
    pthread_once(&once, start);
    return best;
}

isa_level isa_now(void)
{
    pthread_once(&once, start);
    return chosen;
}

soda_status isa_choose(const char *option)
{
    char have[64] = "";
    size_t used = 0;
    pthread_once(&once, start);
    const char *wanted = option ? option : environment();
    const isa_level level = wanted ? find(wanted) : best;
    if (level < ISA_LEVELS) {
        chosen = level;
        return SODA_OK;
    }
    for (int i = 0; i <= (int)best; i++)
        used += (size_t)snprintf(have + used, sizeof have - used, "%s%s", i ? ", " : "", names[i]);
    return FAIL(SODA_ERR_USAGE, "%s: expected an instruction set of this CPU (%s), found '%s'",
                option ? "--isa" : "SODA_ISA", have, wanted);
}

void isa_limit(isa_level level)
{
    pthread_once(&once, start);
    chosen = level < best ? level : best;
}
