#include "graph/op.h"

const char *op_name(soda_op op)
{
    static const char *const names[] = {
#define OP(name, ...) [OP_##name] = #name,
#include "graph/ops.def"
#undef OP
    };
    return names[op];
}
