/* CUSIM_LAUNCHED: which kernels ran. CUSIM_STAT: counters, printed when the program ends.
 *
 * Of the first 4096 times that an instruction accesses global memory: sectors of 32 bytes moved for
 * a warp against those that its bytes would need if they lay together; of shared memory: passes
 * over the 32 banks of 4 bytes against the least. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

sim_counters sim_count;

void sim_clock_add(const sim_counted *work)
{
    static const double launch_s = 2.5e-6, instructions_per_s = 9.7e12, flops_per_s = 19.5e12,
                        bytes_per_s = 25e9;
    sim_count.clock_s += work->launches * launch_s + work->instructions / instructions_per_s +
                         work->flops / flops_per_s + work->bytes / bytes_per_s;
}

/* Appended at once, as one write: several processes may note in one file. */
void sim_note_launched(const char *name)
{
    const char *path = getenv("CUSIM_LAUNCHED");
    FILE *file = path ? fopen(path, "a") : NULL;
    if (path && !file) sim_die("CUSIM_LAUNCHED: cannot write %s", path);
    if (!file) return;
    fprintf(file, "%s\n", name);
    if (fclose(file)) sim_die("CUSIM_LAUNCHED: cannot write %s", path);
}

enum { SECTOR = 32, BANKS = 32, MOST = SIM_LANES, SAMPLES = 4096 };

static int add_once(uint64_t *list, int count, uint64_t value)
{
    for (int n = 0; n < count; n++)
        if (list[n] == value) return count;
    list[count] = value;
    return count + 1;
}

static int sectors(const uint64_t *address, uint32_t mask, size_t bytes)
{
    uint64_t seen[2 * SIM_LANES];
    int count = 0;
    for (int l = 0; l < SIM_LANES; l++)
        for (uint64_t s = address[l] / SECTOR;
             mask >> l & 1 && s <= (address[l] + bytes - 1) / SECTOR; s++)
            count = add_once(seen, count, s);
    return count;
}

/* Lanes whose bytes come to 128 are served at a time. Words of one bank that are not the same word
 * take one pass each. */
static sim_traffic passes(const uint64_t *address, uint32_t mask, size_t bytes)
{
    const int together = bytes > 4 ? SIM_LANES * 4 / (int)bytes : SIM_LANES;
    sim_traffic t = {0};
    for (int first = 0; first < SIM_LANES; first += together) {
        uint64_t seen[MOST];
        int count = 0, in_bank[BANKS] = {0}, worst = 0;
        for (int l = first; l < first + together; l++)
            for (size_t b = 0; mask >> l & 1 && b < bytes; b += 4) {
                const int before = count;
                const uint64_t word = (address[l] + b) / 4;
                count = add_once(seen, count, word);
                if (count > before && ++in_bank[word % BANKS] > worst)
                    worst = in_bank[word % BANKS];
            }
        t.moved += (uint64_t)worst;
        t.needed += count > 0;
    }
    return t;
}

static sim_traffic global_sectors(const uint64_t *address, uint32_t mask, size_t bytes)
{
    const size_t distinct = (size_t)__builtin_popcount(mask) * bytes;
    const uint64_t moved = (uint64_t)sectors(address, mask, bytes);
    const uint64_t needed = (distinct + SECTOR - 1) / SECTOR;
    return (sim_traffic){moved, needed < moved ? needed : moved};
}

static void add(sim_traffic *sum, sim_traffic t)
{
    sum->moved += t.moved;
    sum->needed += t.needed;
}

void sim_stat_access(sim_insn *i, const uint64_t *address, uint32_t mask, size_t bytes, bool shared)
{
    if (i->runs++ >= SAMPLES) return;
    add(&i->traffic, shared ? passes(address, mask, bytes) : global_sectors(address, mask, bytes));
}

void sim_stat_copy(sim_insn *i, const uint64_t *from, uint32_t reads, const uint64_t *to,
                   uint32_t mask)
{
    if (i->runs++ >= SAMPLES) return;
    if (reads) add(&i->source, global_sectors(from, reads, i->size));
    add(&i->traffic, passes(to, mask, i->size));
}

sim_traffic sim_stat_sectors(const sim_kernel *k)
{
    sim_traffic t = {0};
    for (int n = 0; n < k->count; n++) {
        add(&t, k->code[n].source);
        if (k->code[n].space != SPACE_SHARED) add(&t, k->code[n].traffic);
    }
    return t;
}

double sim_stat_conflicts(const sim_kernel *k)
{
    double worst = 0;
    for (int n = 0; n < k->count; n++) {
        const sim_insn *i = &k->code[n];
        if (i->space != SPACE_SHARED || !i->traffic.needed) continue;
        const double ways = (double)i->traffic.moved / (double)i->traffic.needed;
        if (ways > worst) worst = ways;
    }
    return worst;
}

static void print_kernel(const sim_kernel *k)
{
    const sim_traffic t = sim_stat_sectors(k);
    fprintf(stderr,
            "cusim: kernel %s launches %llu instructions %llu sectors %llu needed %llu conflicts "
            "%.2f\n",
            k->name, (unsigned long long)k->launches, (unsigned long long)k->thread_instructions,
            (unsigned long long)t.moved, (unsigned long long)t.needed, sim_stat_conflicts(k));
}

static __attribute__((destructor)) void print_all(void)
{
    const char *how = getenv("CUSIM_STAT");
    if (!how || !sim_option()->stat || strcmp(how, "quiet") == 0) return;
    uint64_t instructions = 0;
    for (int n = 0; n < sim_kernel_count(); n++) {
        const sim_kernel *k = sim_kernel_at(n);
        print_kernel(k);
        instructions += k->thread_instructions;
    }
    fprintf(stderr,
            "cusim: launches %llu copies %llu bytes %llu waits %llu thread-instructions %.1f M, "
            "%.1f M/s\n",
            (unsigned long long)sim_count.launches, (unsigned long long)sim_count.copies,
            (unsigned long long)sim_count.copied_bytes, (unsigned long long)sim_count.waits,
            (double)instructions * 1e-6,
            sim_count.seconds > 0 ? (double)instructions * 1e-6 / sim_count.seconds : 0.0);
}
