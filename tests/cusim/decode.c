/* An instruction's text to a handler and rows: a search by name in the tables of the lanes_*.c, or
 * one function for each family with operands of its own. What is not known is refused by name. */
#include "parse.h"

#include "access.h"
#include "convert.h"
#include "decode.h"

#include <stdio.h>
#include <stdlib.h>

bool sim_has(const sim_instruction *n, const char *word)
{
    for (int k = 1; k < n->words; k++)
        if (strcmp(n->word[k], word) == 0) return true;
    return false;
}

_Noreturn void sim_unknown(const sim_parser *p, const sim_instruction *n)
{
    sim_parse_die(p, "instruction not simulated", n->text);
}

const char *sim_type_of(const sim_parser *p, const sim_instruction *n)
{
    const char *type = n->word[n->words - 1];
    if (sim_type_bytes(type) < 0) sim_unknown(p, n);
    return type;
}

static bool only(const sim_operand *o, sim_operand_kind kind) { return o->kind == kind; }

uint32_t sim_row_wide(sim_parser *p, sim_insn *i, int at, const sim_operand *o, bool wide)
{
    i->row[at] = sim_operand_row(p, o, wide);
    if (wide) i->wide |= 1u << at;
    if (at >= i->rows) i->rows = (uint8_t)(at + 1);
    return i->row[at];
}

/* A row as wide as the register is; constants as wide as `bytes` needs. */
static void row_any(sim_parser *p, sim_insn *i, int at, const sim_operand *o, int bytes)
{
    sim_row_wide(p, i, at, o, only(o, OPERAND_ROW) ? o->bytes == 8 : bytes == 8);
}

/* ---- the tables ---- */
static const sim_op *find(const char *name)
{
    static const sim_op *const tables[] = {sim_ops_int,  sim_ops_bits,    sim_ops_float,
                                           sim_ops_half, sim_ops_compare, sim_ops_rounded};
    for (size_t t = 0; t < sizeof tables / sizeof *tables; t++)
        for (const sim_op *o = tables[t]; o->name; o++)
            if (strcmp(o->name, name) == 0) return o;
    return NULL;
}

/* The opcode without words that change nothing: nearest rounding is the default. */
static const sim_op *find_words(const sim_instruction *n)
{
    static const char *const silent[] = {"rn", "approx", "full"};
    char name[128] = "";
    for (int k = 0; k < n->words; k++) {
        bool skip = false;
        for (size_t s = 0; s < sizeof silent / sizeof *silent; s++)
            skip |= k > 0 && strcmp(n->word[k], silent[s]) == 0;
        if (skip) continue;
        if (*name) strncat(name, ".", sizeof name - strlen(name) - 1);
        strncat(name, n->word[k], sizeof name - strlen(name) - 1);
    }
    return find(name);
}

static void decode_table(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const sim_op *o = find_words(n);
    if (!o || (int)strlen(o->signature) != n->operands) sim_unknown(p, n);
    i->run = o->run;
    for (int k = 0; k < n->operands; k++) {
        sim_operand *a = &n->operand[k];
        if (a->negated) sim_unknown(p, n);
        if (o->signature[k] == 'p' && only(a, OPERAND_NUMBER)) a->number = a->number != 0;
        sim_row_wide(p, i, k, a, o->signature[k] == 'q');
    }
}

/* setp.lt.and.f32 p|q, a, b, c */
static void decode_setp(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    static const char *const combine[] = {"", "and", "or", "xor"};
    char name[64];
    if (n->words < 3) sim_unknown(p, n);
    for (int k = 2; k < n->words - 1; k++)
        for (int c = 1; c < 4; c++)
            if (strcmp(n->word[k], combine[c]) == 0) i->flags |= (uint8_t)c;
    snprintf(name, sizeof name, "setp.%s.%s", n->word[1], sim_type_of(p, n));
    const sim_op *o = find(name);
    const int extra = n->words - 3 - ((i->flags & 3) != 0);
    if (!o || n->operands != 3 + ((i->flags & 3) != 0) || extra > (int)sim_has(n, "ftz"))
        sim_unknown(p, n);
    i->run = o->run;
    for (int k = 0; k < 3; k++) sim_row_wide(p, i, k, &n->operand[k], o->signature[k] == 'q');
    if (i->flags & 3) {
        sim_row_wide(p, i, 3, &n->operand[3], false);
        if (n->operand[3].negated) i->flags |= 4;
    }
    if (n->operand[0].row2 != UINT32_MAX) {
        i->row[4] = n->operand[0].row2;
        i->flags |= 8;
    }
}

static void decode_convert(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    if (n->operands < 2 || n->operands > 3) sim_unknown(p, n);
    const bool pack = n->operands == 3;
    const int from = sim_type_bytes(n->word[n->words - 1]),
              to = sim_type_bytes(n->word[n->words - 2]);
    row_any(p, i, 0, &n->operand[0], to);
    row_any(p, i, 1, &n->operand[1], from);
    if (pack) row_any(p, i, 2, &n->operand[2], from);
    if (!sim_convert_decode(i, n->word, n->words)) sim_unknown(p, n);
}

/* ---- memory ---- */
sim_space sim_space_of(const sim_instruction *n)
{
    static const struct {
        const char *name;
        sim_space space;
    } names[] = {{"global", SPACE_GLOBAL}, {"shared", SPACE_SHARED}, {"shared::cta", SPACE_SHARED},
                 {"local", SPACE_LOCAL},   {"param", SPACE_PARAM},   {"const", SPACE_CONST}};
    for (size_t k = 0; k < sizeof names / sizeof *names; k++)
        if (sim_has(n, names[k].name)) return names[k].space;
    return SPACE_GENERIC;
}

void sim_address(const sim_parser *p, sim_insn *i, const sim_instruction *n, int at)
{
    const sim_operand *o = &n->operand[at];
    if (at >= n->operands || !only(o, OPERAND_ADDRESS)) sim_unknown(p, n);
    i->address = o->base;
    i->address_wide = o->base_wide;
    i->offset = (int64_t)o->number;
    if (i->space == SPACE_PARAM && o->space == SPACE_LOCAL) i->space = SPACE_LOCAL; /* of a call */
}

/* ld.global.v4.f32 {a, b, c, d}, [x]; st has them the other way round. */
static void decode_memory(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const bool store = strcmp(n->word[0], "st") == 0;
    const char *type = sim_type_of(p, n);
    if (n->operands != 2) sim_unknown(p, n);
    i->size = (uint8_t)sim_type_bytes(type);
    i->sign = *type == 's';
    i->count = sim_has(n, "v2") ? 2 : sim_has(n, "v4") ? 4 : 1;
    i->space = (uint8_t)sim_space_of(n);
    i->write = store;
    sim_address(p, i, n, store ? 0 : 1);
    sim_operand *data = &n->operand[store ? 1 : 0];
    char *parts[4];
    if (only(data, OPERAND_VECTOR)) {
        if (sim_operand_split(data->text, parts, 4) != i->count) sim_unknown(p, n);
        for (int e = 0; e < i->count; e++) {
            const sim_operand o = sim_operand_read(p, parts[e]);
            row_any(p, i, e, &o, i->size);
        }
    } else {
        row_any(p, i, 0, data, i->size);
    }
    i->run = store ? sim_store : i->space == SPACE_PARAM ? sim_load_param : sim_load;
    if (store && i->space == SPACE_PARAM) sim_unknown(p, n);
}

/* atom.global.add.f32 d, [a], b (, c); red without d */
static void decode_atomic(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const bool result = strcmp(n->word[0], "atom") == 0;
    const char *type = sim_type_of(p, n);
    i->flags = ATOMIC_NONE;
    for (int k = 1; k < n->words; k++)
        if (sim_atomic_named(n->word[k]) != ATOMIC_NONE)
            i->flags = (uint8_t)sim_atomic_named(n->word[k]);
    const int values = i->flags == ATOMIC_CAS ? 2 : 1;
    if (i->flags == ATOMIC_NONE || n->operands != result + 1 + values) sim_unknown(p, n);
    i->sign = strcmp(type, "f16x2") == 0    ? NUMBER_F16X2
              : strcmp(type, "bf16x2") == 0 ? NUMBER_BF16X2
              : *type == 'f'                ? NUMBER_FLOAT
              : *type == 's'                ? NUMBER_SIGNED
                                            : NUMBER_UNSIGNED;
    i->size = (uint8_t)sim_type_bytes(type);
    if (i->size < 4 || (i->sign >= NUMBER_FLOAT && i->flags != ATOMIC_ADD)) sim_unknown(p, n);
    i->space = (uint8_t)sim_space_of(n);
    i->write = i->atomic = true;
    sim_address(p, i, n, result);
    i->row[0] = UINT32_MAX;
    if (result && !only(&n->operand[0], OPERAND_SINK))
        sim_row_wide(p, i, 0, &n->operand[0], i->size == 8);
    for (int v = 0; v < values; v++)
        sim_row_wide(p, i, 1 + v, &n->operand[result + 1 + v], i->size == 8);
    i->run = sim_atomic;
}

static void decode_cvta(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const bool to = sim_has(n, "to");
    if (n->operands != 2 || strcmp(sim_type_of(p, n), "u64") != 0) sim_unknown(p, n);
    i->space = (uint8_t)sim_space_of(n);
    sim_row_wide(p, i, 0, &n->operand[0], true);
    sim_row_wide(p, i, 1, &n->operand[1], true);
    i->run = to ? sim_from_generic : sim_to_generic;
}

/* ---- mov with vectors ---- */
static void decode_vector_move(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    const bool pack = only(&n->operand[1], OPERAND_VECTOR);
    const int bytes = sim_type_bytes(sim_type_of(p, n));
    char *parts[4];
    const int count = sim_operand_split(n->operand[pack ? 1 : 0].text, parts, 4);
    if (count != 2 && count != 4) sim_unknown(p, n);
    i->count = (uint8_t)count;
    i->size = (uint8_t)(8 * bytes / count);
    for (int e = 0; e < count; e++) {
        const sim_operand o = sim_operand_read(p, parts[e]);
        sim_row_wide(p, i, pack ? 1 + e : e, &o, false);
    }
    sim_row_wide(p, i, pack ? 0 : count, &n->operand[pack ? 0 : 1], bytes == 8);
    i->run = pack ? sim_pack : sim_unpack;
}

static void decode_move(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    if (n->operands == 2 &&
        (only(&n->operand[0], OPERAND_VECTOR) || only(&n->operand[1], OPERAND_VECTOR)))
        decode_vector_move(p, i, n);
    else
        decode_table(p, i, n);
}

/* ---- an instruction ---- */
static void decode_other(sim_parser *p, sim_insn *i, sim_instruction *n)
{
    static const struct {
        const char *word;
        void (*decode)(sim_parser *, sim_insn *, sim_instruction *);
    } families[] = {{"setp", decode_setp},  {"cvt", decode_convert}, {"ld", decode_memory},
                    {"ldu", decode_memory}, {"st", decode_memory},   {"atom", decode_atomic},
                    {"red", decode_atomic}, {"cvta", decode_cvta},   {"mov", decode_move}};
    for (size_t f = 0; f < sizeof families / sizeof *families; f++)
        if (strcmp(n->word[0], families[f].word) == 0) {
            families[f].decode(p, i, n);
            return;
        }
    decode_table(p, i, n);
}

void sim_decode(sim_parser *p, sim_insn *i, char *text)
{
    sim_instruction n = {.text = i->text};
    char *parts[SIM_OPERANDS], *operands = text + strcspn(text, " \t\n"), *state = NULL;
    if (*operands) *operands++ = 0;
    n.operands = sim_operand_split(operands, parts, SIM_OPERANDS);
    for (char *w = strtok_r(text, ".", &state); w; w = strtok_r(NULL, ".", &state)) {
        if (n.words == SIM_WORDS) sim_unknown(p, &n);
        n.word[n.words++] = w;
    }
    if (n.operands < 0 || !n.words) sim_unknown(p, &n);
    for (int k = 0; k < n.operands; k++) n.operand[k] = sim_operand_read(p, parts[k]);
    if (!sim_decode_warp(p, i, &n)) decode_other(p, i, &n);
}
