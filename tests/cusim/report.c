/* Options from the environment, messages, memory that cannot fail. */
#include "access.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

bool sim_option_check, sim_option_stat;
static uint64_t random_state = 88172645463325252u;

static bool is(const char *name, const char *value)
{
    const char *found = getenv(name);
    return found && strcmp(found, value) == 0;
}

const sim_options *sim_option(void)
{
    static sim_options options;
    static bool done;
    if (done) return &options;
    done = true;
    options.check = !is("CUSIM_CHECK", "0");
    options.stat = getenv("CUSIM_STAT") != NULL;
    const char *sample = getenv("CUSIM_SAMPLE");
    options.sample = sample ? strtoull(sample, NULL, 10) : 0;
    sim_option_check = options.check;
    sim_option_stat = options.stat;
    options.order = is("CUSIM_SCHED", "reverse")  ? ORDER_REVERSE
                    : is("CUSIM_SCHED", "random") ? ORDER_RANDOM
                                                  : ORDER_FORWARD;
    options.streams = is("CUSIM_STREAMS", "eager")    ? STREAMS_EAGER
                      : is("CUSIM_STREAMS", "random") ? STREAMS_RANDOM
                                                      : STREAMS_LAZY;
    const char *seed = getenv("CUSIM_SEED");
    if (seed) random_state ^= strtoull(seed, NULL, 0) * 0x9e3779b97f4a7c15u;
    if (!random_state) random_state = 1;
    return &options;
}

uint64_t sim_random(void) /* xorshift64, Marsaglia 2003 */
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

static void where(void)
{
    const sim_running *n = &sim_now;
    if (!n->kernel) return;
    fprintf(stderr, " in kernel %s, block (%u,%u,%u)", n->kernel->name, n->at.x, n->at.y, n->at.z);
    if (n->warp && n->lane >= 0) {
        const unsigned t = n->warp->index * SIM_LANES + (unsigned)n->lane;
        fprintf(stderr, " thread (%u,%u,%u)", t % n->block.x, t / n->block.x % n->block.y,
                t / (n->block.x * n->block.y));
    }
    const sim_insn *i = n->insn;
    if (!i) return;
    const int file = i->file;
    if (i->line && file > 0 && file < n->kernel->file_count && n->kernel->files[file])
        fprintf(stderr, ", %s:%d", n->kernel->files[file], i->line);
    fprintf(stderr, ", PTX line %d '%s'", i->ptx_line, i->text);
}

_Noreturn void sim_die(const char *format, ...)
{
    va_list arguments;
    va_start(arguments, format);
    fputs("cusim: error: ", stderr);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    where();
    fputc('\n', stderr);
    fflush(stderr);
    _exit(86);
}

void *sim_alloc(size_t bytes)
{
    void *memory = calloc(1, bytes ? bytes : 1);
    if (!memory) sim_die("no host memory for %zu bytes", bytes);
    return memory;
}

void *sim_grow(void *memory, size_t bytes)
{
    void *grown = realloc(memory, bytes ? bytes : 1);
    if (!grown) sim_die("no host memory for %zu bytes", bytes);
    return grown;
}

void *sim_push(void *array, size_t count, size_t size)
{
    if (count & (count - 1)) return array; /* not a power of two: there is room */
    return sim_grow(array, (count ? 2 * count : 1) * size);
}
