/* A module of PTX: comments, variables, functions and kernels, which are read at their first
 * launch. Syntax: NVIDIA, Parallel Thread Execution ISA 9.0, chapters 4 and 5. */
#include "parse.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct module {
    struct module *next;
    char *text;
    char **files;
    int file_count;
    sim_symbol *symbols; /* .global, .const, .shared */
    size_t symbol_count;
    sim_array *shared; /* declared outside the kernels; offset holds the alignment */
    int shared_count;
    sim_function *functions;
    size_t function_count;
} module;

static sim_kernel **kernels;
static size_t kernel_count;
static sim_symbol *variables; /* of all modules; count holds the bytes */
static size_t variable_count;
static module *modules, *current;

int sim_kernel_count(void) { return (int)kernel_count; }
sim_kernel *sim_kernel_at(int i) { return kernels[i]; }

sim_kernel *sim_kernel_find(const char *name)
{
    for (size_t i = 0; i < kernel_count; i++)
        if (strcmp(kernels[i]->name, name) == 0) return kernels[i];
    return NULL;
}

void *sim_variable_find(const char *name, size_t *size)
{
    for (size_t i = 0; i < variable_count; i++)
        if (strcmp(variables[i].name, name) == 0) {
            *size = variables[i].count;
            return (void *)(uintptr_t)variables[i].value;
        }
    return NULL;
}

/* Comments become spaces; line ends stay. */
static void blank_comments(char *t)
{
    for (; *t; t++) {
        if (*t == '"') {
            do t++;
            while (*t && *t != '"');
            if (!*t) return;
        } else if (t[0] == '/' && t[1] == '/') {
            while (*t && *t != '\n') *t++ = ' ';
            if (!*t) return;
        } else if (t[0] == '/' && t[1] == '*') {
            for (; *t && !(t[0] == '*' && t[1] == '/'); t++)
                if (*t != '\n') *t = ' ';
            if (!*t) return;
            t[0] = t[1] = ' ';
        }
    }
}

static void initialise(char *memory, const sim_declaration *d, char *values)
{
    char *parts[4096];
    char *open = strchr(values, '{');
    if (open) {
        values = open + 1;
        char *close = strrchr(values, '}');
        if (close) *close = 0;
    }
    const int count = sim_operand_split(values, parts, 4096);
    if (count < 0) sim_die("PTX variable %s: more than 4096 values", d->name);
    for (int i = 0; i < count; i++) {
        const bool hex = parts[i][0] == '0' && parts[i][1] && strchr("fFdD", parts[i][1]);
        const uint64_t value = hex                ? strtoull(parts[i] + 2, NULL, 16)
                               : *parts[i] == '-' ? (uint64_t)strtoll(parts[i], NULL, 0)
                                                  : strtoull(parts[i], NULL, 0);
        memcpy(memory + i * d->element, &value, (size_t)d->element);
    }
}

static sim_symbol *module_symbol(module *m, const char *name, sim_symbol_kind kind)
{
    m->symbols = sim_push(m->symbols, m->symbol_count, sizeof *m->symbols);
    m->symbols[m->symbol_count] =
        (sim_symbol){.name = sim_copy(name, name + strlen(name)), .kind = kind};
    return &m->symbols[m->symbol_count++];
}

static void module_variable(module *m, char *statement)
{
    sim_declaration d;
    if (!sim_declaration_read(statement, &d)) return;
    if (strstr(statement, ".shared")) {
        if (strstr(statement, ".extern")) {
            module_symbol(m, d.name, SYMBOL_DYNAMIC);
            return;
        }
        m->shared = sim_push(m->shared, (size_t)m->shared_count, sizeof *m->shared);
        m->shared[m->shared_count++] = (sim_array){(uint32_t)d.align, (uint32_t)d.bytes,
                                                   sim_copy(d.name, d.name + strlen(d.name))};
    } else if (strstr(statement, ".global") || strstr(statement, ".const")) {
        sim_symbol *s = module_symbol(m, d.name, SYMBOL_GLOBAL);
        char *memory = sim_memory_static(d.bytes);
        s->value = (uint64_t)(uintptr_t)memory;
        s->count = (uint32_t)d.bytes;
        char *equals = strchr(statement, '=');
        if (equals) initialise(memory + sim_alias, &d, equals + 1);
        variables = sim_push(variables, variable_count, sizeof *variables);
        variables[variable_count++] = *s;
    }
}

const sim_function *sim_function_find(const char *name)
{
    for (size_t i = 0; i < current->function_count; i++)
        if (strcmp(current->functions[i].name, name) == 0) return &current->functions[i];
    return NULL;
}

/* ---- a module ---- */
static void params_read(sim_parser *p, char *list)
{
    sim_kernel *k = p->kernel;
    char *parts[256];
    const int count = sim_operand_split(list, parts, 256);
    if (count < 0) sim_parse_die(p, "more than 256 parameters", "");
    for (int i = 0; i < count; i++) {
        sim_declaration d;
        char *pointer =
            strstr(parts[i], ".ptr"); /* ".ptr .global .align 16": of what it points to */
        if (pointer) {
            char *name = strrchr(parts[i], ' ');
            if (!name) sim_parse_die(p, "parameter not understood", parts[i]);
            memset(pointer, ' ', (size_t)(name - pointer));
        }
        if (!sim_declaration_read(parts[i], &d))
            sim_parse_die(p, "parameter not understood", parts[i]);
        const uint32_t offset = sim_align_up(k->param_bytes, d.align);
        k->params = sim_push(k->params, (size_t)k->param_count, sizeof *k->params);
        k->params[k->param_count++] =
            (sim_array){offset, (uint32_t)d.bytes, sim_copy(d.name, d.name + strlen(d.name))};
        sim_symbol_new(p, d.name, SYMBOL_PARAM)->value = offset;
        k->param_bytes = offset + (uint32_t)d.bytes;
    }
}

static int line_of(const char *text, const char *c)
{
    int line = 1;
    for (; text < c; text++) line += *text == '\n';
    return line;
}

/* ".entry NAME ( params ) .maxntid 128, 1, 1 { body }" */
static void entry_read(sim_kernel *k, module *m, char *c, char *body, char *end)
{
    sim_parser p = {.kernel = k, .ptx_line = line_of(m->text, body)};
    char *name = sim_skip_space(strstr(c, ".entry") + 6);
    for (size_t i = 0; i < m->symbol_count; i++) {
        sim_symbol *own = sim_symbol_new(&p, m->symbols[i].name, m->symbols[i].kind);
        char *own_name = own->name;
        *own = m->symbols[i];
        own->name = own_name;
    }
    for (int i = 0; i < m->shared_count; i++) {
        const sim_array *a = &m->shared[i];
        char *used = strstr(body, a->name);
        if (used && used < end) sim_declare_shared(&p, a->name, a->offset, a->size);
    }
    char *open = strchr(name, '(');
    if (open && open < body) {
        char *close = sim_after_bracket(open, '(', ')'), *list = sim_copy(open + 1, close - 1);
        params_read(&p, list);
        free(list);
        const char *bound = strstr(close, ".maxntid");
        int n[3] = {1, 1, 1};
        if (bound && bound < body) {
            sscanf(bound + 8, "%d , %d , %d", &n[0], &n[1], &n[2]);
            k->max_threads = n[0] * n[1] * n[2];
        }
    }
    sim_body_read(&p, body + 1, end);
    sim_body_end(&p);
    sim_symbols_forget(&p, 0);
    for (size_t t = 0; t < p.table_count; t++) {
        free(p.tables[t].name);
        free(p.tables[t].labels);
    }
    free(p.tables);
    free(p.labels);
    free(p.fixups);
    free(p.symbols);
}

struct sim_pending { /* a kernel's text: read when it is first launched */
    module *m;
    char *begin, *body, *end;
};

static void entry_keep(module *m, char *c, char *body, char *end)
{
    sim_kernel *k = sim_alloc(sizeof *k);
    char *name = sim_skip_space(strstr(c, ".entry") + 6);
    k->name = sim_copy(name, name + strcspn(name, "( \t\n"));
    k->files = m->files;
    k->file_count = m->file_count;
    k->dynamic_limit = 48 * 1024;
    k->pending = sim_alloc(sizeof *k->pending);
    *k->pending = (sim_pending){m, c, body, end};
    kernels = sim_push(kernels, kernel_count, sizeof(sim_kernel *));
    kernels[kernel_count++] = k;
}

void sim_kernel_ready(sim_kernel *k)
{
    sim_pending *p = k->pending;
    if (!p) return;
    k->pending = NULL;
    current = p->m;
    entry_read(k, p->m, p->begin, p->body, p->end);
    free(p);
}

/* ".func (.param .b32 result) NAME ( params ) { body }": kept as text. */
static void function_keep(module *m, char *c, char *body, char *end)
{
    sim_function f = {.body = body + 1, .end = end};
    char *at = sim_skip_space(strstr(c, ".func") + 5);
    f.result = f.params = sim_copy(at, at);
    if (*at == '(') {
        char *close = sim_after_bracket(at, '(', ')');
        f.result = sim_copy(at + 1, close - 1);
        at = sim_skip_space(close);
    }
    f.name = sim_copy(at, at + strcspn(at, "( \t\n"));
    char *open = strchr(at, '(');
    if (open && open < body) f.params = sim_copy(open + 1, sim_after_bracket(open, '(', ')') - 1);
    m->functions = sim_push(m->functions, m->function_count, sizeof(sim_function));
    m->functions[m->function_count++] = f;
}

static void files_read(module *m)
{
    for (char *c = m->text; (c = strstr(c, ".file")); c++) {
        int number;
        char path[1024];
        if (sscanf(c + 5, "%d \"%1023[^\"]", &number, path) != 2 || number < 0) continue;
        if (number >= m->file_count) {
            m->files = sim_grow(m->files, (size_t)(number + 1) * sizeof(char *));
            for (int i = m->file_count; i <= number; i++) m->files[i] = NULL;
            m->file_count = number + 1;
        }
        m->files[number] = sim_copy(path, strchr(path, 0));
    }
}

static void module_scan(module *m)
{
    for (char *c = m->text; *c;) {
        c = sim_skip_space(c);
        char *stop = c + strcspn(c, "{;");
        if (strncmp(c, ".version", 8) == 0 || strncmp(c, ".target", 7) == 0 ||
            strncmp(c, ".address_size", 13) == 0 || strncmp(c, ".file", 5) == 0) {
            c += strcspn(c, "\n");
            continue;
        }
        char *statement = sim_copy(c, stop);
        const bool entry = strstr(statement, ".entry"), func = strstr(statement, ".func");
        free(statement);
        if (*stop == '{' && (entry || func || strncmp(c, ".section", 8) == 0)) {
            char *end = sim_after_bracket(stop, '{', '}') - 1;
            if (entry) entry_keep(m, c, stop, end);
            if (func) function_keep(m, c, stop, end);
            c = end + 1;
            continue;
        }
        if (*stop == '{') stop += strcspn(stop, ";");
        statement = sim_copy(c, stop);
        if (!func) module_variable(m, statement);
        free(statement);
        c = *stop ? stop + 1 : stop;
    }
}

void sim_parse_module(const char *text, size_t length)
{
    module *m = sim_alloc(sizeof *m);
    m->next = modules; /* which live as long as the program */
    modules = m;
    m->text = sim_copy(text, text + strnlen(text, length));
    files_read(m);
    blank_comments(m->text);
    module_scan(m);
}
