/* PTX text to instructions: between parse.c (statements, symbols), operands.c and decode.c. */
#ifndef SIM_PARSE_H
#define SIM_PARSE_H

#include "sim.h"

typedef enum {
    SYMBOL_REGISTER,
    SYMBOL_RANGE,
    SYMBOL_SHARED,
    SYMBOL_DYNAMIC,
    SYMBOL_GLOBAL,
    SYMBOL_LOCAL,
    SYMBOL_PARAM
} sim_symbol_kind;

typedef struct {
    char *name; /* of a range: what stands before the number */
    sim_symbol_kind kind;
    uint32_t row, count; /* registers */
    uint64_t value;      /* offset or address */
    int bytes;           /* of a register: 0 predicate, 2, 4, 8 */
} sim_symbol;

typedef struct {
    char *name;
    int32_t at;
} sim_label; /* an instruction */
typedef struct {
    char *name;
    int32_t insn;
} sim_fixup; /* a branch to a label */
typedef struct {
    char *name, *labels;
} sim_branch_table; /* .branchtargets */

typedef struct { /* one kernel that is being read */
    sim_kernel *kernel;
    sim_symbol *symbols; /* later ones hide earlier ones */
    size_t symbol_count;
    sim_label *labels;
    size_t label_count;
    sim_fixup *fixups;
    size_t fixup_count;
    sim_branch_table *tables;
    size_t table_count;
    const char
        *return_label; /* inside a function that was called: where ret goes; NULL in the kernel */
    int depth, calls;
    int file, line, ptx_line;
} sim_parser;

typedef enum {
    OPERAND_NONE,
    OPERAND_ROW,
    OPERAND_NUMBER,
    OPERAND_ADDRESS,
    OPERAND_VECTOR,
    OPERAND_SINK
} sim_operand_kind;

typedef struct {
    sim_operand_kind kind;
    uint32_t row, row2; /* row2 of a|b, UINT32_MAX: none */
    int bytes;          /* of the register: 0 predicate */
    bool negated;       /* !p */
    uint64_t number;    /* constant; offset of an address */
    int32_t base;       /* of an address: row or -1 */
    bool base_wide;
    sim_space space; /* that a symbol in an address lies in; SPACE_GENERIC: says nothing */
    char *text;      /* of a vector: what is between the braces */
} sim_operand;

/* Reads one operand. The text is cut and kept. */
sim_operand sim_operand_read(sim_parser *p, char *text);
/* The elements of a vector operand or of a list, at most `most`; returns how many. */
int sim_operand_split(char *text, char **parts, int most);
uint32_t sim_row_new(sim_parser *p, bool wide);
/* A row for an operand where `wide` words are wanted: a constant gets one. */
uint32_t sim_operand_row(sim_parser *p, const sim_operand *o, bool wide);
sim_symbol *sim_symbol_find(sim_parser *p, const char *name);
sim_symbol *sim_symbol_new(sim_parser *p, const char *name, sim_symbol_kind kind);
void sim_symbols_forget(sim_parser *p, size_t count); /* all but the first `count` */
/* A special register's row, or UINT32_MAX. */
uint32_t sim_special_row(sim_parser *p, const char *name);
int sim_type_bytes(const char *type); /* "f32" -> 4; "pred" -> 0; -1: no type */

/* text.c: pieces of text. */
char *sim_copy(const char *from, const char *to);
char *sim_skip_space(char *c);
char *sim_after_bracket(char *c, char open, char close); /* that closes the one at `c` */
uint32_t sim_align_up(uint32_t n, size_t to);
typedef struct {
    char name[1024];
    int element; /* bytes */
    size_t align, bytes;
} sim_declaration;
bool sim_declaration_read(const char *text, sim_declaration *d); /* ".align 16 .b8 name[64]" */

/* module.c: a function that kernels may call. */
typedef struct {
    char *name, *result, *params, *body, *end;
} sim_function;
const sim_function *sim_function_find(const char *name);

/* parse.c: the statements of [c, end). */
void sim_body_read(sim_parser *p, char *c, const char *end);
void sim_body_end(sim_parser *p); /* the kernel returns; branches find their labels */
/* Arrays in shared memory lie SIM_GAP bytes apart, so that an overrun does not meet the next one.
 */
void sim_declare_shared(sim_parser *p, const char *name, size_t align, size_t bytes);

/* decode.c: one instruction of the text (without guard and semicolon). */
void sim_decode(sim_parser *p, sim_insn *i, char *text);
_Noreturn void sim_parse_die(const sim_parser *p, const char *what, const char *text);

#endif
