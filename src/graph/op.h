/* op.h: the names of the operators: the rows of ops.def. */
#pragma once

enum { SODA_MAX_INPUTS = 6, SODA_MAX_OUTPUTS = 4 };

typedef enum {
#define OP(name, ...) OP_##name,
#include "graph/ops.def"
#undef OP
    OP_COUNT
} soda_op;

const char *op_name(soda_op op);
