#include "cuda/node_call.h"

#include <stdio.h>

#include "support/tested.h"

static bool is_weight(const soda_graph *graph, soda_id id)
{
    while (graph_value(graph, id)->view_of != NO_VALUE) id = graph_value(graph, id)->view_of;
    return graph_value(graph, id)->kind == VALUE_WEIGHT;
}

void node_call_describe(const soda_graph *graph, const soda_node *node, char label[NODE_CALL_LABEL])
{
    int length = snprintf(label, NODE_CALL_LABEL, "%s", op_rows[node->op].name);
    for (int i = 0; i < op_rows[node->op].most_inputs; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = graph_value(graph, node->in[i]);
        length +=
            snprintf(label + length, NODE_CALL_LABEL - (size_t)length, " %s", dtype_name(v->dtype));
        for (int d = 0; d < v->shape.rank; d++)
            length += snprintf(label + length, NODE_CALL_LABEL - (size_t)length, "%c%lld",
                               d ? 'x' : ' ', (long long)v->shape.dim[d]);
    }
}

static soda_status take(soda_device *d, soda_tensor *t)
{
    return d->alloc(d, tensor_bytes(t), &t->data);
}

static void fill_call(const soda_graph *graph, const soda_node *node, soda_weight *weight,
                      soda_call *call)
{
    static const char *const names[SODA_MAX_INPUTS] = {"0", "1", "2", "3", "4", "5"};
    *call = (soda_call){.attr = &node->attr,
                        .inputs = op_rows[node->op].most_inputs,
                        .outputs = op_rows[node->op].outputs};
    for (int i = 0; i < call->inputs; i++) {
        if (node->in[i] == NO_VALUE) continue;
        const soda_value *v = graph_value(graph, node->in[i]);
        call->in[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
        if (!is_weight(graph, node->in[i])) continue;
        weight[i] = (soda_weight){.name = names[i], .source = call->in[i]};
        call->weight[i] = &weight[i];
    }
    for (int i = 0; i < call->outputs; i++) {
        const soda_value *v = graph_value(graph, node->out[i]);
        call->out[i] = (soda_tensor){.dtype = v->dtype, .shape = v->shape};
    }
}

static soda_status make_room(const soda_kernel *kernel, soda_call *call, soda_weights *weights)
{
    soda_device *d = tested_backend()->device;
    if (kernel->prepare) TRY(kernel->prepare(call, weights));
    for (int i = 0; i < weights->use_count; i++)
        TRY(d->alloc(d, weights->entries[weights->uses[i].entry].form.bytes,
                     &call->form[weights->uses[i].input]));
    for (int i = 0; i < call->inputs; i++)
        if (call->in[i].shape.rank && !call->weight[i]) TRY(take(d, &call->in[i]));
    for (int i = 0; i < call->outputs; i++) TRY(take(d, &call->out[i]));
    return call->scratch_bytes ? d->alloc(d, call->scratch_bytes, &call->scratch) : SODA_OK;
}

soda_status node_call_make(const soda_graph *graph, const soda_node *node, node_call_use *use,
                           void *context)
{
    const soda_kernel *kernel = tested_backend()->kernel[node->op];
    soda_device *d = tested_backend()->device;
    soda_weight weight[SODA_MAX_INPUTS];
    soda_weights *weights;
    soda_call call;
    fill_call(graph, node, weight, &call);
    TRY(weights_create(&weights));
    soda_status s = make_room(kernel, &call, weights);
    if (s == SODA_OK) s = use(kernel, &call, context);
    if (kernel->release) kernel->release(&call);
    for (int i = 0; i < call.inputs; i++) {
        d->release(d, call.in[i].data);
        d->release(d, call.form[i]);
    }
    for (int i = 0; i < call.outputs; i++) d->release(d, call.out[i].data);
    d->release(d, call.scratch);
    weights_destroy(weights);
    return s;
}
