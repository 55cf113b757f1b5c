/* Runs a kernel: blocks one after the other, the warps of a block in turn until each waits.
 *
 * Lanes of a warp that stand at the same instruction run together, the group with the lowest
 * program counter first, until it diverges, waits or reaches the next group. */
#include "sim.h"

#include "shadow.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

sim_running sim_now = {.lane = -1};

static uint32_t guard_mask(const sim_warp *w, const sim_insn *i)
{
    if (i->guard < 0) return SIM_FULL;
    const uint32_t *p = (const uint32_t *)(w->reg + i->guard);
    uint32_t mask = 0;
    for (int l = 0; l < SIM_LANES; l++) mask |= (uint32_t)(p[l] != 0) << l;
    return i->guard_not ? ~mask : mask;
}

static void set_pc(sim_warp *w, uint32_t mask, int32_t pc)
{
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) w->pc[l] = pc;
}

static void set_state(sim_warp *w, uint32_t mask, sim_lane_state state)
{
    for (int l = 0; l < SIM_LANES; l++)
        if (mask >> l & 1) w->state[l] = (uint8_t)state;
}

/* The runnable lanes with the lowest program counter; `next`: the lowest of the others. */
static uint32_t group(const sim_warp *w, int32_t *pc, int32_t *next)
{
    uint32_t mask = 0;
    *pc = *next = INT_MAX;
    for (int l = 0; l < SIM_LANES; l++) {
        if (w->state[l] != LANE_RUN) continue;
        if (w->pc[l] < *pc) {
            *next = *pc;
            *pc = w->pc[l];
            mask = 0;
        }
        if (w->pc[l] == *pc)
            mask |= 1u << l;
        else if (w->pc[l] < *next)
            *next = w->pc[l];
    }
    return mask;
}

static uint32_t waiting_at(const sim_warp *w, int32_t pc)
{
    uint32_t mask = 0;
    for (int l = 0; l < SIM_LANES; l++)
        if (w->state[l] == LANE_WARP && w->pc[l] == pc) mask |= 1u << l;
    return mask;
}

/* A warp operation at `pc` runs when all lanes that it names are there; else these lanes wait. */
static bool gather(sim_warp *w, const sim_insn *i, int32_t pc, uint32_t *mask)
{
    uint32_t members = SIM_FULL;
    if (i->members != UINT32_MAX)
        members = ((const uint32_t *)(w->reg + i->members))[__builtin_ctz(*mask)];
    if (*mask == members) return true;
    sim_now.lane = __builtin_ctz(*mask);
    if (members & ~w->lanes)
        sim_die("warp operation: the mask %08x names lanes that do not exist (%08x do)", members,
                w->lanes);
    if (*mask & ~members)
        sim_die("warp operation: lanes %08x take part but are not in the mask %08x",
                *mask & ~members, members);
    const uint32_t all = *mask | waiting_at(w, pc);
    if ((all & members) != members) {
        set_pc(w, *mask, pc);
        set_state(w, *mask, LANE_WARP);
        return false;
    }
    set_pc(w, members, pc);
    set_state(w, members, LANE_RUN);
    *mask = members;
    return true;
}

static void divide(sim_warp *w, const sim_insn *i, int32_t pc, uint32_t here, uint32_t taken)
{
    set_pc(w, here & ~taken, pc + 1);
    set_pc(w, taken, i->target);
}

static void jump_table(sim_warp *w, const sim_insn *i, int32_t pc, uint32_t here, uint32_t taken)
{
    const uint32_t *index = (const uint32_t *)(w->reg + i->row[0]);
    set_pc(w, here & ~taken, pc + 1);
    for (int l = 0; l < SIM_LANES; l++) {
        if (!(taken >> l & 1)) continue;
        if (index[l] >= (uint32_t)i->targets)
            sim_die("switch: index %u of %d labels", index[l], i->targets);
        w->pc[l] = sim_now.kernel->targets[i->target + (int32_t)index[l]];
    }
}

/* Lanes `here` at an instruction that is not plain, `on` after its guard. Returns whether the same
 * lanes go on at *pc. */
static bool control(sim_warp *w, const sim_insn *i, int32_t *pc, uint32_t here, uint32_t on)
{
    switch ((sim_kind)i->kind) {
    case KIND_BRANCH:
        if (on == here || !on) {
            *pc = on ? i->target : *pc + 1;
            return true;
        }
        divide(w, i, *pc, here, on);
        return false;
    case KIND_SWITCH: jump_table(w, i, *pc, here, on); return false;
    case KIND_RETURN:
        set_pc(w, here, *pc + 1);
        set_state(w, on, LANE_GONE);
        return false;
    case KIND_BARRIER: /* pc stays at the barrier until it opens */
        set_pc(w, here & ~on, *pc + 1);
        set_pc(w, on, *pc);
        set_state(w, on, LANE_BARRIER);
        return false;
    default: break;
    }
    if (!on) {
        ++*pc;
        return true;
    }
    uint32_t mask = on;
    set_pc(w, here, *pc + 1);
    if (!gather(w, i, *pc, &mask)) return false;
    i->run(w, i, mask);
    set_pc(w, mask, *pc + 1);
    if (mask != here) return false;
    ++*pc;
    return true;
}

/* Runs one group until it diverges, waits or meets the next. */
static void run_group(sim_warp *w, int32_t pc, int32_t next, uint32_t here)
{
    sim_kernel *k = sim_now.kernel;
    uint64_t count = 0;
    while (pc < next) {
        const sim_insn *i = &k->code[pc];
        const uint32_t on = here & guard_mask(w, i);
        count += (uint64_t)__builtin_popcount(on);
        sim_now.insn = i;
        if (i->kind == KIND_PLAIN) {
            if (on) i->run(w, i, on);
            pc++;
        } else if (!control(w, i, &pc, here, on)) {
            k->thread_instructions += count;
            return;
        }
    }
    set_pc(w, here, pc);
    k->thread_instructions += count;
}

static bool run_warp(sim_warp *w)
{
    bool moved = false;
    int32_t pc, next;
    for (uint32_t here; (here = group(w, &pc, &next)); moved = true) {
        sim_now.warp = w;
        run_group(w, pc, next, here);
    }
    sim_now.lane = -1;
    return moved;
}

/* ---- blocks ---- */
typedef struct {
    unsigned barrier, warp, gone;
    int32_t pc;     /* of the barriers */
    bool different; /* barriers */
} tally;

static tally count_states(const sim_warp *warps, unsigned count)
{
    tally t = {.pc = -1};
    for (unsigned w = 0; w < count; w++)
        for (int l = 0; l < SIM_LANES; l++) {
            if (!(warps[w].lanes >> l & 1)) continue;
            t.gone += warps[w].state[l] == LANE_GONE;
            t.warp += warps[w].state[l] == LANE_WARP;
            if (warps[w].state[l] != LANE_BARRIER) continue;
            t.barrier++;
            if (t.pc < 0) t.pc = warps[w].pc[l];
            t.different |= t.pc != warps[w].pc[l];
        }
    return t;
}

/* All threads are at one barrier: opens it. Dies if they never will be. */
static void open_barrier(sim_warp *warps, unsigned count)
{
    const tally t = count_states(warps, count);
    sim_now.insn = t.pc >= 0 ? &sim_now.kernel->code[t.pc] : sim_now.insn;
    if (t.barrier != sim_now.threads)
        sim_die("divergent: %u of %u threads wait at a barrier, %u at a warp operation, %u have "
                "returned",
                t.barrier, sim_now.threads, t.warp, t.gone);
    if (t.different) sim_die("divergent barrier: threads of one block wait at different barriers");
    sim_barrier_reduce(warps, count, sim_now.insn);
    for (unsigned w = 0; w < count; w++) {
        for (int l = 0; l < SIM_LANES; l++)
            if (warps[w].state[l] == LANE_BARRIER) {
                warps[w].state[l] = LANE_RUN;
                warps[w].pc[l]++;
            }
    }
    sim_shadow_barrier();
}

static uint32_t special_value(const sim_special *s, const sim_warp *w, unsigned lane)
{
    const sim_running *n = &sim_now;
    const unsigned t = w->index * SIM_LANES + lane;
    const unsigned of_block[3] = {t % n->block.x, t / n->block.x % n->block.y,
                                  t / (n->block.x * n->block.y)};
    const unsigned *dims[4] = {of_block, &n->block.x, &n->at.x, &n->grid.x};
    if (s->which < SPECIAL_LANE) return dims[s->which / 3][s->which % 3];
    const uint32_t bit = 1u << lane;
    switch (s->which) {
    case SPECIAL_LANE: return lane;
    case SPECIAL_WARP: return w->index;
    case SPECIAL_LANE_EQ: return bit;
    case SPECIAL_LANE_LT: return bit - 1;
    case SPECIAL_LANE_LE: return bit - 1 + bit;
    case SPECIAL_LANE_GT: return ~(bit - 1 + bit);
    case SPECIAL_LANE_GE: return ~(bit - 1);
    default: return n->dynamic_offset + (uint32_t)s->offset;
    }
}

static void fill_special(const sim_special *s, sim_warp *w)
{
    for (unsigned l = 0; l < SIM_LANES; l++) {
        if (s->which == SPECIAL_LOCAL) {
            const uint8_t *at =
                sim_now.local + (size_t)(w->index * SIM_LANES + l) * sim_now.kernel->local_bytes;
            ((uint64_t *)(w->reg + s->row))[l] = (uint64_t)(uintptr_t)at + s->offset;
        } else {
            ((uint32_t *)(w->reg + s->row))[l] = special_value(s, w, l);
        }
    }
}

static void begin_warp(sim_warp *w)
{
    const sim_kernel *k = sim_now.kernel;
    const unsigned rest = sim_now.threads - w->index * SIM_LANES;
    w->lanes = rest >= SIM_LANES ? SIM_FULL : (1u << rest) - 1;
    w->warp_epoch = 0;
    memset(w->pc, 0, sizeof w->pc);
    for (int l = 0; l < SIM_LANES; l++) w->state[l] = w->lanes >> l & 1 ? LANE_RUN : LANE_GONE;
    sim_async_reset(w);
    for (int s = 0; s < k->special_count; s++) fill_special(&k->specials[s], w);
}

static void run_block(sim_warp *warps, unsigned count)
{
    for (unsigned w = 0; w < count; w++) begin_warp(&warps[w]);
    sim_shadow_block();
    const bool backwards = sim_option()->order == ORDER_REVERSE;
    for (;;) {
        const bool randomly = sim_option()->order == ORDER_RANDOM;
        /* NOLINTNEXTLINE(clang-analyzer-core.DivideZero): a block has a warp at least */
        const unsigned first = randomly ? (unsigned)(sim_random() % count) : 0;
        for (unsigned n = 0; n < count; n++)
            run_warp(&warps[(first + (backwards ? count - 1 - n : n)) % count]);
        const tally t = count_states(warps, count);
        if (t.gone == sim_now.threads) return;
        open_barrier(warps, count);
    }
}

/* Registers hold rubbish until they are written, constants what they are. */
static void fill_registers(sim_warp *w)
{
    const sim_kernel *k = sim_now.kernel;
    memset(w->reg, 0xa5, k->row_bytes);
    for (int c = 0; c < k->constant_count; c++)
        for (int l = 0; l < SIM_LANES; l++) {
            if (k->constants[c].wide)
                ((uint64_t *)(w->reg + k->constants[c].row))[l] = k->constants[c].value;
            else
                ((uint32_t *)(w->reg + k->constants[c].row))[l] = (uint32_t)k->constants[c].value;
        }
}

static uint64_t *block_order(uint64_t blocks)
{
    uint64_t *order = sim_alloc(blocks * sizeof *order);
    const sim_order how = sim_option()->order;
    for (uint64_t b = 0; b < blocks; b++) order[b] = how == ORDER_REVERSE ? blocks - 1 - b : b;
    for (uint64_t b = blocks; how == ORDER_RANDOM && b-- > 1;) {
        const uint64_t other = sim_random() % (b + 1), kept = order[b];
        order[b] = order[other];
        order[other] = kept;
    }
    return order;
}

/* CUSIM_SAMPLE: which of `blocks` blocks runs as number b of `run`. */
static uint64_t sampled(uint64_t b, uint64_t run, uint64_t blocks)
{
    return run > 1 ? b * (blocks - 1) / (run - 1) : b;
}

static void begin_launch(sim_kernel *k, sim_dim grid, sim_dim block, size_t shared,
                         const uint8_t *params)
{
    static uint8_t *window;
    if (!window) window = aligned_alloc(4096, SIM_SHARED);
    if (!window) sim_die("no host memory for shared memory");
    const uint32_t dynamic = (k->shared_bytes + SIM_GAP - 1) / SIM_GAP * SIM_GAP;
    sim_now = (sim_running){.kernel = k,
                            .grid = grid,
                            .block = block,
                            .params = params,
                            .lane = -1,
                            .threads = block.x * block.y * block.z,
                            .shared = window,
                            .dynamic_offset = dynamic,
                            .dynamic_bytes = (uint32_t)shared,
                            .shared_end = shared ? dynamic + (uint32_t)shared : k->shared_bytes};
    if (sim_now.shared_end > SIM_SHARED) sim_die("%u bytes of shared memory", sim_now.shared_end);
    if (k->max_threads && sim_now.threads > (unsigned)k->max_threads)
        sim_die("block of %u threads, the kernel's launch bound is %d", sim_now.threads,
                k->max_threads);
    if (sim_now.threads > k->block_threads) k->block_threads = sim_now.threads;
    if (shared + k->shared_used > k->block_shared) k->block_shared = shared + k->shared_used;
    sim_now.local = sim_alloc((size_t)(sim_now.threads + SIM_LANES) * k->local_bytes);
}

static double processor_time(void)
{
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

void sim_launch(sim_kernel *k, sim_dim grid, sim_dim block, size_t shared, const uint8_t *params)
{
    begin_launch(k, grid, block, shared, params);
    const unsigned count = (sim_now.threads + SIM_LANES - 1) / SIM_LANES;
    const size_t stride = (k->row_bytes + 63) / 64 * 64;
    sim_warp *warps = sim_alloc(count * sizeof *warps);
    uint8_t *registers = aligned_alloc(64, stride * count + 64);
    if (!registers) sim_die("no host memory for registers");
    for (unsigned w = 0; w < count; w++) {
        warps[w].index = w;
        warps[w].reg = registers + w * stride;
        fill_registers(&warps[w]);
    }
    sim_shadow_launch();
    const double start = processor_time();
    const uint64_t before = k->thread_instructions;
    const uint64_t blocks = (uint64_t)grid.x * grid.y * grid.z;
    const uint64_t most = sim_option()->sample, run = most && most < blocks ? most : blocks;
    uint64_t *order = block_order(run);
    for (uint64_t b = 0; b < run; b++) {
        const uint64_t index = sampled(order[b], run, blocks);
        sim_now.block_index = index;
        sim_now.at = (sim_dim){(unsigned)(index % grid.x), (unsigned)(index / grid.x % grid.y),
                               (unsigned)(index / grid.x / grid.y)};
        run_block(warps, count);
    }
    if (!k->launches++) sim_note_launched(k->name);
    sim_count.launches++;
    sim_count.seconds += processor_time() - start;
    sim_clock_add(
        &(sim_counted){.launches = 1, .instructions = (double)(k->thread_instructions - before)});
    for (unsigned w = 0; w < count; w++) sim_async_release(&warps[w]);
    free(order);
    free(warps);
    free(registers);
    free(sim_now.local);
    sim_now = (sim_running){.lane = -1};
}
