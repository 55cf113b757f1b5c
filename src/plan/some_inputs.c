#include "plan/some_inputs.h"

#include <stdlib.h>

soda_status some_inputs_write(soda_exec *exec, const soda_graph *graph)
{
    for (soda_id v = 0; v < graph_value_count(graph); v++) {
        const soda_value *value = graph_value(graph, v);
        if (value->kind != VALUE_INPUT || value->view_of != NO_VALUE) continue;
        const int64_t count = shape_count(&value->shape);
        float *x = calloc((size_t)count + 1, sizeof *x);
        if (!x) return FAIL(SODA_ERR_MEMORY, "out of memory");
        for (int64_t i = 0; i < count && value->dtype != SODA_I32; i++)
            x[i] = (float)((i + 5) % 17) / 17;
        const soda_status s = value->dtype == SODA_I32
                                  ? exec_write(exec, v, x, (size_t)count * sizeof(int32_t))
                                  : exec_write_f32(exec, value->name, x, count);
        free(x);
        TRY(s);
    }
    return SODA_OK;
}
