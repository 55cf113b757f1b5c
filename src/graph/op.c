#include "graph/op.h"

const op_row op_rows[OP_COUNT] = {
#define OP(name, least, most, outputs, flags) [OP_##name] = {#name, least, most, outputs, flags},
#include "graph/ops.def"
#undef OP
};
