#include "support/op.h"

#include <string.h>

#include "support/tested.h"
#include "verify/case.h"

soda_status op_run(const soda_kernel *kernel, const soda_attr *attr, const soda_tensor *in,
                   int inputs, const soda_tensor *out, int outputs, unsigned frozen, int runs)
{
    op_case c = {.attr = *attr, .inputs = inputs, .outputs = outputs, .frozen = frozen};
    memcpy(c.in, in, (size_t)inputs * sizeof *in);
    memcpy(c.out, out, (size_t)outputs * sizeof *out);
    return case_execute(&c, kernel, tested_device(kernel), runs);
}

size_t op_form_bytes(const soda_weights *weights)
{
    size_t bytes = 0;
    for (int i = 0; i < weights->entry_count; i++) bytes += weights->entries[i].form.bytes;
    return bytes;
}
