/* One instruction, cut into words and operands: between decode.c and decode_warp.c. */
#ifndef SIM_DECODE_H
#define SIM_DECODE_H

#include "parse.h"

enum { SIM_WORDS = 16, SIM_OPERANDS = 8 };
typedef struct {
    char *word[SIM_WORDS]; /* of the opcode: "ld", "global", "f32" */
    int words;
    sim_operand operand[SIM_OPERANDS];
    int operands;
    const char *text;
} sim_instruction;

bool sim_has(const sim_instruction *n, const char *word);
_Noreturn void sim_unknown(const sim_parser *p, const sim_instruction *n);
const char *sim_type_of(const sim_parser *p, const sim_instruction *n); /* the last word */
sim_space sim_space_of(const sim_instruction *n);
/* Sets row `at` of the instruction and returns it. */
uint32_t sim_row_wide(sim_parser *p, sim_insn *i, int at, const sim_operand *o, bool wide);
/* Takes operand `at` as the address in memory. */
void sim_address(const sim_parser *p, sim_insn *i, const sim_instruction *n, int at);

/* Instructions between lanes, barriers, matrices, asynchronous copies; false if it is none of them.
 */
bool sim_decode_warp(sim_parser *p, sim_insn *i, sim_instruction *n);

#endif
