#include "core/pulse.h"

#include <stdatomic.h>
#include <stddef.h>

static _Atomic uint64_t beats, collectives;
static atomic_bool saved, hurried;
static _Atomic int64_t step = -1;
static const char *_Atomic phase = "start-up";
static const char *_Atomic collective;

void pulse_beat(void) { atomic_fetch_add_explicit(&beats, 1, memory_order_relaxed); }

void pulse_phase(const char *name, int64_t number)
{
    atomic_store_explicit(&phase, name, memory_order_relaxed);
    atomic_store_explicit(&step, number, memory_order_relaxed);
    pulse_beat();
}

void pulse_wait(const char *name)
{
    atomic_store_explicit(&collective, name, memory_order_relaxed);
    pulse_beat();
}

void pulse_collective(const char *name)
{
    if (name) atomic_fetch_add_explicit(&collectives, 1, memory_order_relaxed);
    pulse_wait(name);
}

void pulse_saved(void) { atomic_store_explicit(&saved, true, memory_order_relaxed); }

void pulse_hurry(void) { atomic_store_explicit(&hurried, true, memory_order_relaxed); }

pulse pulse_read(void)
{
    return (pulse){atomic_load_explicit(&beats, memory_order_relaxed),
                   atomic_load_explicit(&collectives, memory_order_relaxed),
                   atomic_load_explicit(&phase, memory_order_relaxed),
                   atomic_load_explicit(&collective, memory_order_relaxed),
                   atomic_load_explicit(&step, memory_order_relaxed),
                   atomic_load_explicit(&saved, memory_order_relaxed),
                   atomic_load_explicit(&hurried, memory_order_relaxed)};
}
