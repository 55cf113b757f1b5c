/* Symbols and operands of PTX instructions; each operand becomes a row of registers. */
#include "parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

static const char *const specials[SPECIAL_COUNT] = {
    "%tid.x",       "%tid.y",       "%tid.z",       "%ntid.x",     "%ntid.y",
    "%ntid.z",      "%ctaid.x",     "%ctaid.y",     "%ctaid.z",    "%nctaid.x",
    "%nctaid.y",    "%nctaid.z",    "%laneid",      "%warpid",     "%lanemask_eq",
    "%lanemask_lt", "%lanemask_le", "%lanemask_gt", "%lanemask_ge"};

int sim_type_bytes(const char *type)
{
    static const struct {
        const char *name;
        int bytes;
    } types[] = {{"pred", 0}, {"b8", 1},  {"u8", 1},  {"s8", 1},    {"b16", 2},
                 {"u16", 2},  {"s16", 2}, {"f16", 2}, {"bf16", 2},  {"b32", 4},
                 {"u32", 4},  {"s32", 4}, {"f32", 4}, {"f16x2", 4}, {"bf16x2", 4},
                 {"b64", 8},  {"u64", 8}, {"s64", 8}, {"f64", 8}};
    for (size_t i = 0; i < sizeof types / sizeof *types; i++)
        if (strcmp(type, types[i].name) == 0) return types[i].bytes;
    return -1;
}

uint32_t sim_row_new(sim_parser *p, bool wide)
{
    const uint32_t row = p->kernel->row_bytes;
    p->kernel->row_bytes += wide ? 8 * SIM_LANES : 4 * SIM_LANES;
    return row;
}

sim_symbol *sim_symbol_new(sim_parser *p, const char *name, sim_symbol_kind kind)
{
    p->symbols = sim_push(p->symbols, p->symbol_count, sizeof *p->symbols);
    sim_symbol *s = &p->symbols[p->symbol_count++];
    *s = (sim_symbol){.name = strdup(name), .kind = kind};
    return s;
}

void sim_symbols_forget(sim_parser *p, size_t count)
{
    while (p->symbol_count > count) free(p->symbols[--p->symbol_count].name);
}

/* %r17 of the range %r: the rows of a range lie one after the other. */
static bool in_range(const sim_symbol *s, const char *name, uint32_t *number)
{
    const size_t n = strlen(s->name);
    if (strncmp(s->name, name, n) != 0 || !isdigit((unsigned char)name[n])) return false;
    char *end;
    *number = (uint32_t)strtoul(name + n, &end, 10);
    return *end == 0 && *number < s->count;
}

sim_symbol *sim_symbol_find(sim_parser *p, const char *name)
{
    uint32_t number;
    for (size_t i = p->symbol_count; i-- > 0;) {
        sim_symbol *s = &p->symbols[i];
        if (s->kind == SYMBOL_RANGE ? in_range(s, name, &number) : strcmp(s->name, name) == 0)
            return s;
    }
    return NULL;
}

static bool register_row(sim_parser *p, const char *name, uint32_t *row, int *bytes)
{
    const sim_symbol *s = sim_symbol_find(p, name);
    if (!s || s->kind > SYMBOL_RANGE) return false;
    uint32_t number = 0;
    if (s->kind == SYMBOL_RANGE) in_range(s, name, &number);
    *row = s->row + number * (s->bytes == 8 ? 8u : 4u) * SIM_LANES;
    *bytes = s->bytes;
    return true;
}

static uint32_t special_new(sim_parser *p, int which, bool wide, uint64_t offset)
{
    sim_kernel *k = p->kernel;
    for (int i = 0; i < k->special_count; i++)
        if (k->specials[i].which == which && k->specials[i].offset == offset)
            return k->specials[i].row;
    k->specials = sim_push(k->specials, (size_t)k->special_count, sizeof *k->specials);
    const uint32_t row = sim_row_new(p, wide);
    k->specials[k->special_count++] = (sim_special){row, which, offset};
    return row;
}

uint32_t sim_special_row(sim_parser *p, const char *name)
{
    for (int i = 0; i < SPECIAL_COUNT; i++)
        if (strcmp(name, specials[i]) == 0) return special_new(p, i, false, 0);
    return UINT32_MAX;
}

static uint64_t number_read(sim_parser *p, const char *text)
{
    char *end;
    uint64_t value;
    if (text[0] == '0' && strchr("fFdD", text[1]) && text[1])
        value = strtoull(text + 2, &end, 16);
    else if (text[0] == '-')
        value = (uint64_t)strtoll(text, &end, 0);
    else
        value = strtoull(text, &end, 0);
    if (*end == 'U') end++;
    if (end == text || *end) sim_parse_die(p, "operand not understood", text);
    return value;
}

static char *trim(char *text)
{
    while (isspace((unsigned char)*text)) text++;
    size_t n = strlen(text);
    while (n && isspace((unsigned char)text[n - 1])) text[--n] = 0;
    return text;
}

/* A symbol that stands for a place in memory. */
static void place(sim_parser *p, sim_operand *o, const sim_symbol *s)
{
    static const sim_space spaces[] = {[SYMBOL_SHARED] = SPACE_SHARED,
                                       [SYMBOL_DYNAMIC] = SPACE_SHARED,
                                       [SYMBOL_GLOBAL] = SPACE_GLOBAL,
                                       [SYMBOL_LOCAL] = SPACE_LOCAL,
                                       [SYMBOL_PARAM] = SPACE_PARAM};
    o->space = spaces[s->kind];
    if (s->kind == SYMBOL_LOCAL || s->kind == SYMBOL_DYNAMIC) { /* depends on thread or launch */
        o->base_wide = s->kind == SYMBOL_LOCAL;
        o->base = (int32_t)special_new(p, s->kind == SYMBOL_LOCAL ? SPECIAL_LOCAL : SPECIAL_DYNAMIC,
                                       o->base_wide, s->value);
    } else {
        o->number += s->value;
    }
}

static void address_read(sim_parser *p, sim_operand *o, char *text)
{
    o->kind = OPERAND_ADDRESS;
    char *plus = strrchr(text, '+');
    if (plus) {
        *plus = 0;
        o->number = number_read(p, trim(plus + 1));
    }
    text = trim(text);
    uint32_t row;
    int bytes;
    if (register_row(p, text, &row, &bytes)) {
        o->base = (int32_t)row;
        o->base_wide = bytes == 8;
        return;
    }
    const sim_symbol *s = sim_symbol_find(p, text);
    if (s)
        place(p, o, s);
    else
        o->number += number_read(p, text);
}

sim_operand sim_operand_read(sim_parser *p, char *text)
{
    sim_operand o = {.row2 = UINT32_MAX, .base = -1};
    text = trim(text);
    const size_t n = strlen(text);
    if (!n) return o;
    if (*text == '{' || *text == '[') {
        text[n - 1] = 0;
        if (*text == '[') {
            address_read(p, &o, trim(text + 1));
        } else {
            o.kind = OPERAND_VECTOR;
            o.text = text + 1;
        }
        return o;
    }
    if (strcmp(text, "_") == 0) {
        o.kind = OPERAND_SINK;
        return o;
    }
    if (*text == '!') {
        o.negated = true;
        text = trim(text + 1);
    }
    char *bar = strchr(text, '|');
    int second;
    if (bar) {
        *bar = 0;
        char *other = trim(bar + 1);
        if (strcmp(other, "_") != 0 && !register_row(p, other, &o.row2, &second))
            sim_parse_die(p, "unknown register", other);
        text = trim(text);
    }
    o.kind = OPERAND_ROW;
    if (register_row(p, text, &o.row, &o.bytes)) return o;
    o.row = sim_special_row(p, text);
    o.bytes = 4;
    if (o.row != UINT32_MAX) return o;
    const sim_symbol *s = sim_symbol_find(p, text);
    if (s) {
        place(p, &o, s);
        o.kind = o.base < 0 ? OPERAND_NUMBER : OPERAND_ROW;
        o.row = (uint32_t)o.base;
        o.bytes = o.base_wide ? 8 : 4;
        return o;
    }
    if (strcmp(text, "WARP_SZ") == 0) text = "32";
    o.kind = OPERAND_NUMBER;
    o.number = number_read(p, text);
    return o;
}

int sim_operand_split(char *text, char **parts, int most)
{
    int count = 0, depth = 0;
    char *begin = text;
    for (char *c = text;; c++) {
        if (*c == '{' || *c == '[' || *c == '(') depth++;
        if (*c == '}' || *c == ']' || *c == ')') depth--;
        if (*c && (*c != ',' || depth)) continue;
        const bool last = !*c;
        *c = 0;
        begin = trim(begin);
        if (*begin || !last) {
            if (count == most) return -1;
            parts[count++] = begin;
        }
        if (last) return count;
        begin = c + 1;
    }
}

static uint32_t constant_row(sim_parser *p, uint64_t value, bool wide)
{
    sim_kernel *k = p->kernel;
    for (int i = 0; i < k->constant_count; i++)
        if (k->constants[i].value == value && k->constants[i].wide == wide)
            return k->constants[i].row;
    k->constants = sim_push(k->constants, (size_t)k->constant_count, sizeof *k->constants);
    const uint32_t row = sim_row_new(p, wide);
    k->constants[k->constant_count++] = (sim_constant){row, wide, value};
    return row;
}

uint32_t sim_operand_row(sim_parser *p, const sim_operand *o, bool wide)
{
    switch (o->kind) {
    case OPERAND_ROW:
        if ((o->bytes == 8) != wide) sim_parse_die(p, "a register's width does not fit", "");
        return o->row;
    case OPERAND_NUMBER: return constant_row(p, wide ? o->number : (uint32_t)o->number, wide);
    case OPERAND_SINK: return sim_row_new(p, wide);
    default: sim_parse_die(p, "operand not understood", "");
    }
}
