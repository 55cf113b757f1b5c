/* CUSIM_STAT: counters, printed when the program ends.
 *
 * Of each access to global memory: sectors of 32 bytes moved for a warp against those that its
 * bytes would need if they lay together; of shared memory: passes over the 32 banks of 4 bytes
 * against the least. */
#include "sim.h"

#include <stdio.h>
#include <string.h>
#include <time.h>

sim_counters sim_count;

enum { SECTOR = 32, BANKS = 32, MOST = SIM_LANES * 16 / 4 };

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

/* Words of one bank that are not the same word take one pass each. */
static int passes(const uint64_t *address, uint32_t mask, size_t bytes, int *words)
{
    uint64_t seen[MOST];
    int count = 0, in_bank[BANKS] = {0}, worst = 0;
    for (int l = 0; l < SIM_LANES; l++)
        for (size_t b = 0; mask >> l & 1 && b < bytes; b += 4) {
            const int before = count;
            const uint64_t word = (address[l] + b) / 4;
            count = add_once(seen, count, word);
            if (count > before && ++in_bank[word % BANKS] > worst) worst = in_bank[word % BANKS];
        }
    *words = count;
    return worst;
}

void sim_stat_access(sim_insn *i, const uint64_t *address, uint32_t mask, size_t bytes, bool shared)
{
    i->runs++;
    if (shared) {
        int words;
        i->moved += (uint64_t)passes(address, mask, bytes, &words);
        i->needed += (uint64_t)(words + BANKS - 1) / BANKS;
        return;
    }
    const size_t distinct = (size_t)__builtin_popcount(mask) * bytes;
    const int moved = sectors(address, mask, bytes);
    const int needed = (int)((distinct + SECTOR - 1) / SECTOR);
    i->moved += (uint64_t)moved;
    i->needed += (uint64_t)(needed < moved ? needed : moved);
}

typedef struct {
    uint64_t moved, needed;
} ratio;

static void print_kernel(const sim_kernel *k)
{
    ratio global = {0}, shared = {0};
    double worst = 0;
    for (int n = 0; n < k->count; n++) {
        const sim_insn *i = &k->code[n];
        ratio *r = i->space == SPACE_SHARED ? &shared : &global;
        r->moved += i->moved;
        r->needed += i->needed;
        if (i->space == SPACE_SHARED && i->needed && (double)i->moved / (double)i->needed > worst)
            worst = (double)i->moved / (double)i->needed;
    }
    fprintf(stderr,
            "cusim: kernel %s launches %llu instructions %llu sectors %llu needed %llu conflicts "
            "%.2f\n",
            k->name, (unsigned long long)k->launches, (unsigned long long)k->thread_instructions,
            (unsigned long long)global.moved, (unsigned long long)global.needed, worst);
}

static __attribute__((destructor)) void print_all(void)
{
    if (!sim_option()->stat) return;
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
