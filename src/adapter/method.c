#include "adapter/method.h"

#include <stdio.h>
#include <string.h>

static const soda_method *const methods[] = {
#define METHOD(name) &method_##name,
#include "adapter/methods.def"
#undef METHOD
    NULL};

const char method_choices[] =
#define METHOD(name) " | " #name
#include "adapter/methods.def"
#undef METHOD
    ;

const soda_method *method_at(int i) { return methods[i]; }

const soda_method *method_find(const char *name)
{
    for (int i = 0; methods[i]; i++)
        if (strcmp(methods[i]->name, name) == 0) return methods[i];
    return NULL;
}

char *method_list(char *text, size_t size)
{
    size_t used = 0;
    text[0] = '\0';
    for (int i = 0; methods[i] && used < size; i++) {
        const char *joint = i == 0 ? "" : methods[i + 1] ? ", " : " or ";
        used += (size_t)snprintf(text + used, size - used, "%s%s", joint, methods[i]->name);
    }
    return text;
}

/* Whether `keys` lists `name` or a section above it. */
static bool lists(const char *keys, const char *name)
{
    for (const char *key = keys; *key;) {
        const size_t length = strcspn(key, " ");
        if (strncmp(name, key, length) == 0 && (name[length] == '\0' || name[length] == '.'))
            return true;
        key += length + (key[length] == ' ');
    }
    return false;
}

bool method_has_key(const soda_method *method, const char *name)
{
    bool any = false;
    for (int i = 0; methods[i]; i++) any = any || lists(methods[i]->keys, name);
    return !any || lists(method->keys, name);
}

int method_tensors(const soda_method *method)
{
    int count = 0;
    while (method->tensors[count]) count++;
    return count;
}

bool method_has(const soda_method *method, method_class class)
{
    for (int i = 0; method->tensors[i]; i++)
        if (method->tensors[i]->class == class) return true;
    return false;
}

char *method_tensor_name(const soda_layer *layer, int i, char *text, size_t size)
{
    snprintf(text, size, "%s.%s", layer->name, layer->method->tensors[i]->leaf);
    return text;
}

soda_shape method_tensor_shape(const soda_layer *layer, int i)
{
    return layer->method->tensors[i]->shape(layer, i);
}

int64_t method_freedom(const method_tensor *tensor, const soda_shape *shape)
{
    const int64_t n = shape->dim[0];
    return tensor->class == METHOD_ROTATION ? n * (n - 1) / 2 : shape_count(shape);
}

int method_fit(const soda_shape *shape, soda_layer *layer, char *text, size_t size)
{
    const soda_method *method = layer->method;
    const bool known = layer->m > 0;
    const int wrong = method->fit ? method->fit(shape, layer, text, size) : -1;
    if (wrong >= 0 || !known) return wrong;
    for (int i = 0; method->tensors[i]; i++) {
        const soda_shape want = method_tensor_shape(layer, i);
        if (shape_equal(&want, &shape[i])) continue;
        snprintf(text, size,
                 "expected %lld elements (the model's layer is [%lld,%lld]), found %lld",
                 (long long)shape_count(&want), (long long)layer->m, (long long)layer->n,
                 (long long)shape_count(&shape[i]));
        return i;
    }
    return -1;
}

int method_bases(const soda_method *method) { return method->bases ? method->bases->count : 0; }

soda_id method_append(soda_graph *graph, const soda_layer *layer, route_kind route, soda_id x,
                      soda_id w, soda_id b)
{
    const soda_method *method = layer->method;
    method_nodes nodes = {.x = x, .w = w, .b = b};
    char name[256];
    if (!(method->routes & 1u << route))
        return graph_fail(graph, FAIL(SODA_ERR_INTERNAL, "%s: %s has no %s", layer->name,
                                      method->name, route_name(route)));
    for (int i = 0; method->tensors[i]; i++)
        nodes.tensor[i] = graph_param(graph, method_tensor_name(layer, i, name, sizeof name),
                                      method_tensor_shape(layer, i));
    return method->append(graph, layer, route, &nodes);
}

soda_id method_product(soda_graph *graph, soda_id x, soda_id W, soda_id b)
{
    if (graph_status(graph) != SODA_OK) return NO_VALUE;
    const soda_dtype dtype = graph_value(graph, x)->dtype;
    if (graph_value(graph, W)->dtype != dtype) W = graph_cast(graph, W, dtype);
    return graph_linear(graph, x, W, b);
}
