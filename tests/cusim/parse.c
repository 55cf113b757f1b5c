/* The body of a kernel: statements, labels, scopes, calls. Functions are written out where they are
 * called, so recursion is refused. */
#include "parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Noreturn void sim_parse_die(const sim_parser *p, const char *what, const char *text)
{
    const sim_kernel *k = p->kernel;
    const char *file = p->file < k->file_count && k->files[p->file] ? k->files[p->file] : "?";
    sim_die("%s: '%s' in kernel %s, %s:%d, PTX line %d", what, text, k->name, file, p->line,
            p->ptx_line);
}

static void fixup_add(sim_parser *p, const char *name)
{
    p->fixups = sim_push(p->fixups, p->fixup_count, sizeof *p->fixups);
    p->fixups[p->fixup_count++] =
        (sim_fixup){sim_copy(name, name + strlen(name)), p->kernel->count};
}

/* ---- statements of a body ---- */
static void resolve(sim_parser *p, size_t labels, size_t fixups);

static void declare_registers(sim_parser *p, char *text) /* ".reg .b32 %r<38>, a, b" */
{
    char *type = strchr(text + 1, '.'), *names = type;
    while (*names && !isspace((unsigned char)*names)) names++;
    if (*names) *names++ = 0;
    const int bytes = sim_type_bytes(type + 1);
    if (bytes < 0) sim_parse_die(p, "unknown type of register", type);
    char *parts[64];
    const int count = sim_operand_split(names, parts, 64);
    for (int i = 0; i < count; i++) {
        char *range = strchr(parts[i], '<');
        if (range) *range = 0;
        sim_symbol *s = sim_symbol_new(p, parts[i], range ? SYMBOL_RANGE : SYMBOL_REGISTER);
        s->bytes = bytes;
        s->count = range ? (uint32_t)strtoul(range + 1, NULL, 10) : 1;
        s->row = p->kernel->row_bytes;
        p->kernel->row_bytes += s->count * (bytes == 8 ? 8u : 4u) * SIM_LANES;
    }
}

void sim_declare_shared(sim_parser *p, const char *name, size_t align, size_t bytes)
{
    sim_kernel *k = p->kernel;
    k->shared_used = sim_align_up(k->shared_used, align) + (uint32_t)bytes;
    const uint32_t offset = sim_align_up(k->shared_bytes, align > SIM_GAP ? align : SIM_GAP);
    k->shared_bytes = offset + (uint32_t)bytes + SIM_GAP;
    sim_symbol_new(p, name, SYMBOL_SHARED)->value = offset;
    k->shared = sim_push(k->shared, (size_t)k->shared_count, sizeof *k->shared);
    k->shared[k->shared_count++] =
        (sim_array){offset, (uint32_t)bytes, sim_copy(name, name + strlen(name))};
}

static void declare_local(sim_parser *p, const char *name, size_t align, size_t bytes)
{
    sim_kernel *k = p->kernel;
    const uint32_t offset = sim_align_up(k->local_bytes, align < 16 ? 16 : align);
    k->local_bytes = offset + (uint32_t)bytes;
    sim_symbol_new(p, name, SYMBOL_LOCAL)->value = offset;
}

static void location_read(sim_parser *p,
                          const char *text) /* ".loc 2 608 5, ..., inlined_at 1 6 3" */
{
    const char *inlined = strstr(text, "inlined_at");
    char *rest;
    p->file = (int)strtol(inlined ? inlined + 10 : text + 4, &rest, 10);
    p->line = (int)strtol(rest, NULL, 10);
}

static void label_add(sim_parser *p, const char *name)
{
    p->labels = sim_push(p->labels, p->label_count, sizeof *p->labels);
    p->labels[p->label_count++] =
        (sim_label){sim_copy(name, name + strlen(name)), p->kernel->count};
}

static int32_t label_find(const sim_parser *p, size_t first, const char *name)
{
    for (size_t i = first; i < p->label_count; i++)
        if (strcmp(p->labels[i].name, name) == 0) return p->labels[i].at;
    sim_parse_die(p, "unknown label", name);
}

/* The targets of a switch: a table of labels, kept in the kernel. */
static void resolve_switch(sim_parser *p, size_t first, sim_insn *i, const char *name)
{
    sim_kernel *k = p->kernel;
    for (size_t t = 0; t < p->table_count; t++) {
        if (strcmp(p->tables[t].name, name) != 0) continue;
        char *parts[1024], *list = sim_copy(p->tables[t].labels, strchr(p->tables[t].labels, 0));
        i->targets = sim_operand_split(list, parts, 1024);
        i->target = k->target_count;
        for (int32_t n = 0; n < i->targets; n++) {
            k->targets = sim_push(k->targets, (size_t)k->target_count, sizeof *k->targets);
            k->targets[k->target_count++] = label_find(p, first, parts[n]);
        }
        free(list);
        return;
    }
    sim_parse_die(p, "unknown list of labels", name);
}

/* Branches since `fixups` find their labels among those since `labels`: one function's. */
static void resolve(sim_parser *p, size_t labels, size_t fixups)
{
    for (size_t f = fixups; f < p->fixup_count; f++) {
        sim_insn *i = &p->kernel->code[p->fixups[f].insn];
        if (i->kind == KIND_SWITCH)
            resolve_switch(p, labels, i, p->fixups[f].name);
        else
            i->target = label_find(p, labels, p->fixups[f].name);
        free(p->fixups[f].name);
    }
    for (size_t l = labels; l < p->label_count; l++) free(p->labels[l].name);
    p->fixup_count = fixups;
    p->label_count = labels;
}

/* Formal parameters name the memory of the actual ones. */
static void bind_params(sim_parser *p, const char *formal_text, char *actual_text)
{
    char *formal[64], *actual[64], *list = sim_copy(formal_text, formal_text + strlen(formal_text));
    const int count = sim_operand_split(list, formal, 64);
    if (sim_operand_split(actual_text, actual, 64) != count)
        sim_parse_die(p, "parameters of a call", formal_text);
    for (int i = 0; i < count; i++) {
        sim_declaration d;
        sim_declaration_read(formal[i], &d);
        const sim_symbol *s = sim_symbol_find(p, actual[i]);
        if (!s || s->kind != SYMBOL_LOCAL) sim_parse_die(p, "parameter of a call", actual[i]);
        const uint64_t value = s->value;
        sim_symbol_new(p, d.name, SYMBOL_LOCAL)->value = value;
    }
    free(list);
}

/* call.uni (retval0), name, (param0, param1): the body stands here, its ret jumps to the end. */
static void call_read(sim_parser *p, char *text)
{
    char *parts[4], *arguments = sim_skip_space(text + strcspn(text, " \t\n"));
    const int count = sim_operand_split(arguments, parts, 4);
    const bool result = count > 0 && parts[0][0] == '(';
    if (count < 1 || count > 2 + result) sim_parse_die(p, "call not understood", text);
    const sim_function *f = sim_function_find(parts[result]);
    if (!f) sim_parse_die(p, "call of an unknown function", parts[result]);
    if (++p->depth > 16) sim_parse_die(p, "recursive call", f->name);
    const size_t symbols = p->symbol_count, labels = p->label_count, fixups = p->fixup_count;
    for (int i = 0; i < count; i++) {
        if (i == (int)result) continue;
        char *list = parts[i] + 1;
        list[strlen(list) - 1] = 0;
        bind_params(p, i < (int)result ? f->result : f->params, list);
    }
    char end[32];
    const char *outer = p->return_label;
    snprintf(end, sizeof end, "return %d", ++p->calls);
    p->return_label = end;
    char *body = sim_copy(f->body, f->end);
    sim_body_read(p, body, body + strlen(body));
    free(body);
    label_add(p, end);
    resolve(p, labels, fixups);
    p->return_label = outer;
    sim_symbols_forget(p, symbols);
    p->depth--;
}

/* "brx.idx %r1, $L_table": row 0 is the index. */
static void switch_read(sim_parser *p, sim_insn *i, char *text)
{
    char *parts[2];
    if (sim_operand_split(text, parts, 2) != 2) sim_parse_die(p, "switch not understood", text);
    const sim_operand index = sim_operand_read(p, parts[0]);
    i->kind = KIND_SWITCH;
    i->row[0] = sim_operand_row(p, &index, false);
    fixup_add(p, parts[1]);
}

static void instruction_read(sim_parser *p, char *text)
{
    sim_kernel *k = p->kernel;
    sim_insn i = {.guard = -1,
                  .address = -1,
                  .members = UINT32_MAX,
                  .file = p->file,
                  .line = p->line,
                  .ptx_line = p->ptx_line,
                  .text = sim_copy(text, strchr(text, 0))};
    for (char *c = (char *)i.text; *c; c++)
        if (isspace((unsigned char)*c)) *c = ' ';
    if (*text == '@') {
        char *name = sim_skip_space(text + 1);
        i.guard_not = *name == '!';
        if (i.guard_not) name = sim_skip_space(name + 1);
        text = name + strcspn(name, " \t\n");
        if (*text) *text++ = 0;
        const sim_operand guard = sim_operand_read(p, name);
        i.guard = (int32_t)sim_operand_row(p, &guard, false);
        text = sim_skip_space(text);
    }
    char *rest = sim_skip_space(text + strcspn(text, " \t\n"));
    if (strncmp(text, "call", 4) == 0) {
        if (i.guard >= 0) sim_parse_die(p, "call with a predicate", text);
        call_read(p, text);
        return;
    }
    if (strncmp(text, "bra", 3) == 0) {
        i.kind = KIND_BRANCH;
        fixup_add(p, rest);
    } else if (strncmp(text, "brx.idx", 7) == 0) {
        switch_read(p, &i, rest);
    } else if (strcmp(text, "ret") == 0 || strcmp(text, "ret.uni") == 0) {
        i.kind = p->return_label ? KIND_BRANCH : KIND_RETURN;
        if (p->return_label) fixup_add(p, p->return_label);
    } else if (strcmp(text, "exit") == 0) {
        i.kind = KIND_RETURN;
    } else {
        sim_decode(p, &i, text);
    }
    k->code = sim_push(k->code, (size_t)k->count, sizeof *k->code);
    k->code[k->count++] = i;
}

static void statement_read(sim_parser *p, char *text, const char *label)
{
    if (strncmp(text, ".reg", 4) == 0) {
        declare_registers(p, text);
    } else if (strncmp(text, ".branchtargets", 14) == 0) {
        char *labels = sim_skip_space(text + 14);
        p->tables = sim_push(p->tables, p->table_count, sizeof *p->tables);
        p->tables[p->table_count++] = (sim_branch_table){sim_copy(label, strchr(label, 0)),
                                                         sim_copy(labels, strchr(labels, 0))};
    } else if (strncmp(text, ".pragma", 7) == 0) {
        return;
    } else if (*text == '.') {
        sim_declaration d;
        if (!sim_declaration_read(text, &d)) sim_parse_die(p, "declaration not understood", text);
        if (strncmp(text, ".shared", 7) == 0)
            sim_declare_shared(p, d.name, d.align, d.bytes);
        else if (strncmp(text, ".local", 6) == 0 || strncmp(text, ".param", 6) == 0)
            declare_local(p, d.name, d.align, d.bytes);
        else
            sim_parse_die(p, "declaration not understood", text);
    } else if (*text) {
        instruction_read(p, text);
    }
}

/* Where the label that begins at `c` ends, or NULL: an identifier and a colon. */
static char *label_end(char *c)
{
    char *e = c;
    while (isalnum((unsigned char)*e) || *e == '_' || *e == '$' || *e == '%') e++;
    e = e > c ? sim_skip_space(e) : e;
    return e > c && *e == ':' && e[1] != ':' ? e : NULL;
}

/* Where a statement ends: its semicolon, or the end of the body. */
static char *statement_end(char *c, const char *end)
{
    while (c < end && *c != ';') c++;
    return c;
}

void sim_body_read(sim_parser *p, char *c, const char *end)
{
    size_t scope[64];
    int depth = 0;
    char label[256] = "";
    while (c < end) {
        if (*c == '\n') p->ptx_line++;
        if (isspace((unsigned char)*c) || *c == ';') {
            c++;
        } else if (*c == '{') {
            if (depth == 64) sim_parse_die(p, "scopes too deep", "");
            scope[depth++] = p->symbol_count;
            c++;
        } else if (*c == '}') {
            if (depth) sim_symbols_forget(p, scope[--depth]);
            c++;
        } else if (strncmp(c, ".loc", 4) == 0 && isspace((unsigned char)c[4])) {
            char *line_end = c + strcspn(c, "\n");
            char *line = sim_copy(c, line_end);
            location_read(p, line);
            free(line);
            c = line_end;
        } else if (label_end(c)) {
            char *name = sim_copy(c, c + strcspn(c, ": \t"));
            strncpy(label, name, sizeof label - 1);
            label_add(p, name);
            free(name);
            c = label_end(c) + 1;
        } else {
            char *e = statement_end(c, end), *text = sim_copy(c, e);
            statement_read(p, text, label);
            for (const char *n = c; n < e; n++) p->ptx_line += *n == '\n';
            free(text);
            c = e;
        }
    }
}

void sim_body_end(sim_parser *p)
{
    instruction_read(p, (char[]){"ret"});
    resolve(p, 0, 0);
}
