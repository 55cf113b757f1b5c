/* decode.c's part for what concerns a whole warp or block. */
#include "decode.h"

#include "access.h"

#include <stdlib.h>

typedef void decoder(sim_parser *p, sim_insn *i, sim_instruction *n);

static void need(const sim_parser *p, const sim_instruction *n, bool holds)
{
    if (!holds) sim_unknown(p, n);
}

/* The mask of lanes is operand `at`; all others of the warp wait for it. */
static void members(sim_parser *p, sim_insn *i, const sim_instruction *n, int at)
{
    need(p, n, at < n->operands);
    i->kind = KIND_WARP;
    i->members = sim_operand_row(p, &n->operand[at], false);
}

static void nothing(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    (void)p;
    (void)n;
    i->run = sim_nothing;
}

/* bar.sync 0; bar.red.popc.u32 d, 0, p; bar.warp.sync mask */
static void barrier(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    if (sim_has(n, "warp")) {
        members(p, i, n, 0);
        i->run = sim_warp_barrier;
        return;
    }
    i->kind = KIND_BARRIER;
    const bool reduce = sim_has(n, "red");
    need(p, n, reduce || sim_has(n, "sync"));
    need(p, n, n->operands == (reduce ? 3 : 1));
    const sim_operand *number = &n->operand[reduce];
    need(p, n, number->kind == OPERAND_NUMBER && number->number == 0);
    if (!reduce) return;
    i->flags = sim_has(n, "and") ? ATOMIC_AND : sim_has(n, "or") ? ATOMIC_OR : ATOMIC_ADD;
    sim_row_wide(p, i, 0, &n->operand[0], false);
    sim_row_wide(p, i, 1, &n->operand[2], false);
    i->sign = n->operand[2].negated;
}

/* shfl.sync.bfly.b32 d|p, a, b, c, mask */
static void shuffle(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    static const char *const modes[] = {"idx", "up", "down", "bfly"};
    need(p, n, n->operands == 5 && sim_has(n, "sync") && sim_has(n, "b32"));
    for (int m = 0; m < 4; m++)
        if (sim_has(n, modes[m])) i->flags = (uint8_t)m;
    for (int k = 0; k < 4; k++) sim_row_wide(p, i, k, &n->operand[k], false);
    i->row[4] = n->operand[0].row2;
    members(p, i, n, 4);
    i->run = sim_shuffle;
}

/* vote.sync.ballot.b32 d, p, mask */
static void vote(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    static const char *const modes[] = {"all", "any", "uni", "ballot"};
    need(p, n, n->operands == 3 && sim_has(n, "sync"));
    for (int m = 0; m < 4; m++)
        if (sim_has(n, modes[m])) i->flags = (uint8_t)m;
    sim_row_wide(p, i, 0, &n->operand[0], false);
    sim_row_wide(p, i, 1, &n->operand[1], false);
    i->sign = n->operand[1].negated;
    members(p, i, n, 2);
    i->run = sim_vote;
}

/* redux.sync.add.s32 d, a, mask */
static void reduce(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    need(p, n, n->operands == 3 && n->words == 4 && sim_type_bytes(sim_type_of(p, n)) == 4);
    i->flags = (uint8_t)sim_atomic_named(n->word[2]);
    i->sign = *sim_type_of(p, n) == 's' ? NUMBER_SIGNED : NUMBER_UNSIGNED;
    need(p, n, i->flags <= ATOMIC_XOR && *sim_type_of(p, n) != 'f');
    sim_row_wide(p, i, 0, &n->operand[0], false);
    sim_row_wide(p, i, 1, &n->operand[1], false);
    members(p, i, n, 2);
    i->run = sim_reduce;
}

/* match.any.sync.b32 d, a, mask */
static void match(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    need(p, n, n->operands == 3 && sim_has(n, "any"));
    sim_row_wide(p, i, 0, &n->operand[0], false);
    sim_row_wide(p, i, 1, &n->operand[1], sim_type_bytes(sim_type_of(p, n)) == 8);
    members(p, i, n, 2);
    i->run = sim_match;
}

static void active(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    need(p, n, n->operands == 1);
    sim_row_wide(p, i, 0, &n->operand[0], false);
    i->run = sim_active;
}

/* Rows from `at` on: the elements of a vector of `count` 32-bit registers. */
static void vector(sim_parser *p, sim_insn *i, const sim_instruction *n, int operand, int at,
                   int count)
{
    char *parts[4];
    need(p, n,
         n->operand[operand].kind == OPERAND_VECTOR &&
             sim_operand_split(n->operand[operand].text, parts, 4) == count);
    for (int e = 0; e < count; e++) {
        const sim_operand o = sim_operand_read(p, parts[e]);
        sim_row_wide(p, i, at + e, &o, false);
    }
}

/* ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {a, b, c, d}, [x] */
static void load_matrix(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    need(p, n, n->operands == 2 && sim_has(n, "m8n8") && sim_has(n, "b16"));
    i->kind = KIND_WARP;
    i->count = sim_has(n, "x4") ? 4 : sim_has(n, "x2") ? 2 : 1;
    i->flags = sim_has(n, "trans");
    i->space = (uint8_t)sim_space_of(n);
    vector(p, i, n, 0, 0, i->count);
    sim_address(p, i, n, 1);
    i->run = sim_ldmatrix;
}

/* mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {d}, {a}, {b}, {c} */
static void matrix_product(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const bool k16 = sim_has(n, "m16n8k16"), half = sim_has(n, "f16");
    need(p, n, n->operands == 4 && n->words == 10 && (k16 || sim_has(n, "m16n8k8")));
    need(p, n, strcmp(n->word[4], "row") == 0 && strcmp(n->word[5], "col") == 0);
    need(p, n, strcmp(n->word[6], "f32") == 0 && strcmp(n->word[9], "f32") == 0);
    need(p, n, strcmp(n->word[7], n->word[8]) == 0 && (half || sim_has(n, "bf16")));
    i->kind = KIND_WARP;
    i->count = k16 ? 16 : 8;
    i->flags = half;
    const int parts = i->count / 4;
    vector(p, i, n, 0, 0, 4);
    vector(p, i, n, 1, 4, parts);
    vector(p, i, n, 2, 4 + parts, parts / 2);
    vector(p, i, n, 3, 4 + parts + parts / 2, 4);
    i->run = sim_mma;
}

/* cp.async.cg.shared.global [d], [s], 16, n; commit_group; wait_group n; wait_all */
static void async(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    need(p, n, sim_has(n, "async"));
    if (sim_has(n, "commit_group")) {
        i->run = sim_async_commit;
    } else if (sim_has(n, "wait_group") || sim_has(n, "wait_all")) {
        i->flags = sim_has(n, "wait_all");
        if (!i->flags) need(p, n, n->operands == 1 && n->operand[0].kind == OPERAND_NUMBER);
        i->count = i->flags ? 0 : (uint8_t)n->operand[0].number;
        i->run = sim_async_wait;
    } else {
        need(p, n, n->operands >= 3 && n->operands <= 4 && n->operand[2].kind == OPERAND_NUMBER);
        need(p, n, sim_has(n, "ca") || sim_has(n, "cg"));
        const sim_operand *from = &n->operand[1];
        need(p, n, from->kind == OPERAND_ADDRESS && from->base >= 0 && from->base_wide);
        i->size = (uint8_t)n->operand[2].number;
        need(p, n, i->size == 16 || (!sim_has(n, "cg") && (i->size == 4 || i->size == 8)));
        i->row[0] = (uint32_t)from->base;
        i->target = (int32_t)from->number; /* offset of the source */
        i->rows = 1;
        if (n->operands == 4) sim_row_wide(p, i, 1, &n->operand[3], false);
        i->space = SPACE_SHARED;
        sim_address(p, i, n, 0);
        i->run = sim_async_copy;
    }
}

bool sim_decode_warp(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    static const struct {
        const char *word;
        decoder *decode;
    } families[] = {{"bar", barrier},       {"barrier", barrier},      {"shfl", shuffle},
                    {"vote", vote},         {"redux", reduce},         {"match", match},
                    {"activemask", active}, {"ldmatrix", load_matrix}, {"mma", matrix_product},
                    {"cp", async},          {"membar", nothing},       {"fence", nothing},
                    {"prefetch", nothing},  {"prefetchu", nothing},    {"nanosleep", nothing}};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        if (strcmp(n->word[0], families[f].word) == 0) {
            families[f].decode(p, i, n);
            return true;
        }
    return false;
}
