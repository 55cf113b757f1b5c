/* Adapters from tensors: what names and shapes say, and what is asked of an adapter. */
#include "interop/adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

enum {
    MAX_SIDE = 1 << 20,
    MISFIT_BYTES = 256
}; /* as factors.h: products of three fit an int64_t */
static const double WARN_ORTHOGONALITY = 1e-3;
/* One tensor of the input and what its name says. */
typedef struct {
    const safetensors_tensor *tensor;
    size_t length; /* of the layer's name, which its own begins with */
    int param;
} part;

static soda_status refuse(const char *file, const char *tensor, const char *expected)
{
    return FAIL(SODA_ERR_INPUT, "%s: tensor %s: expected %s", file, tensor, expected);
}

static bool is_component(const char *name)
{
    return !strncmp(name, "unet.", 5) || !strncmp(name, "text_encoder.", 13) ||
           !strncmp(name, "text_encoder_2.", 15);
}

/* "unet.LAYER.soda.R1, .R2, .R3 or .delta": later leaves without what the first begins with. */
static void list_leaves(const soda_method *method, char *text, size_t size)
{
    /* NOLINTNEXTLINE(clang-analyzer-core.NullDereference): every method trains something */
    const char *first = method->tensors[0]->leaf, *dot = strrchr(first, '.');
    const size_t same = dot ? (size_t)(dot - first) + 1 : 0;
    size_t used = (size_t)snprintf(text, size, "unet.LAYER.%s", first);
    for (int i = 1; method->tensors[i] && used < size; i++) {
        const char *leaf = method->tensors[i]->leaf;
        used += (size_t)snprintf(text + used, size - used, "%s.%s",
                                 method->tensors[i + 1] ? ", " : " or ",
                                 leaf + (strncmp(leaf, first, same) == 0 ? same : 0));
    }
}

static soda_status read_name(const char *file, const soda_method *method,
                             const safetensors_tensor *t, part *p)
{
    const size_t length = strlen(t->name);
    for (int i = 0; is_component(t->name) && method->tensors[i]; i++) {
        const size_t leaf = strlen(method->tensors[i]->leaf);
        if (length < leaf + 2 || t->name[length - leaf - 1] != '.' ||
            strcmp(t->name + length - leaf, method->tensors[i]->leaf) != 0)
            continue;
        *p = (part){t, length - leaf - 1, i};
        return SODA_OK;
    }
    char leaves[256];
    list_leaves(method, leaves, sizeof leaves);
    return FAIL(SODA_ERR_INPUT,
                "%s: tensor %s: expected %s (or text_encoder., text_encoder_2.), found an unknown "
                "tensor",
                file, t->name, leaves);
}

static int by_layer(const void *a, const void *b)
{
    const part *x = a, *y = b;
    const size_t shorter = x->length < y->length ? x->length : y->length;
    const int order = memcmp(x->tensor->name, y->tensor->name, shorter);
    if (order) return order;
    if (x->length != y->length) return x->length < y->length ? -1 : 1;
    return x->param - y->param;
}

static bool same_layer(const part *a, const part *b)
{
    return a->length == b->length && !memcmp(a->tensor->name, b->tensor->name, a->length);
}

static soda_status check_shape(const char *file, method_class class, const safetensors_tensor *t)
{
    if (t->dtype != SAFETENSORS_F32)
        return FAIL(SODA_ERR_INPUT, "%s: tensor %s: expected type F32, found %s", file, t->name,
                    safetensors_dtype_name(t->dtype));
    const bool fits = t->dim[0] >= 1 && t->dim[0] <= MAX_SIDE;
    if (class == METHOD_SPECTRUM)
        return t->rank == 1 && fits ? SODA_OK
                                    : refuse(file, t->name, "one dimension, of at least 1");
    return t->rank == 2 && t->dim[0] == t->dim[1] && fits
               ? SODA_OK
               : refuse(file, t->name, "a square matrix");
}

/* ||R'R - I||_F, summed in fp64 */
static double orthogonality(const float *R, int64_t n)
{
    double sum = 0;
    for (int64_t i = 0; i < n; i++)
        for (int64_t j = 0; j < n; j++) {
            double dot = i == j ? -1 : 0;
            for (int64_t l = 0; l < n; l++) dot += (double)R[l * n + i] * (double)R[l * n + j];
            sum += dot * dot;
        }
    return sqrt(sum);
}

static soda_status read_tensor(const char *file, const part *p, method_class class, float *values,
                               adapter_layer *layer)
{
    const safetensors_tensor *t = p->tensor;
    const soda_shape shape = t->rank == 2 ? SHAPE(t->dim[0], t->dim[1]) : SHAPE(t->dim[0]);
    const int64_t count = shape_count(&shape);
    memcpy(values, t->data, (size_t)count * sizeof *values);
    for (int64_t v = 0; v < count; v++)
        if (!isfinite(values[v]))
            return FAIL(SODA_ERR_INPUT, "%s: tensor %s: element %lld is not finite", file, t->name,
                        (long long)v);
    layer->shape[p->param] = shape;
    layer->value[p->param] = values;
    if (class == METHOD_ROTATION)
        layer->orthogonality = fmax(layer->orthogonality, orthogonality(values, shape.dim[0]));
    return SODA_OK;
}

/* Copies the values of a layer's parts to *values, which moves on, and describes the layer. */
static soda_status read_layer(const soda_adapter *a, const part *parts, float **values,
                              adapter_layer *layer)
{
    char text[MISFIT_BYTES];
    for (int i = 0; a->method->tensors[i]; i++) {
        TRY(read_tensor(a->file, &parts[i], a->method->tensors[i]->class, *values, layer));
        *values += shape_count(&layer->shape[i]);
    }
    soda_layer sizes = {.method = a->method};
    const int wrong = method_fit(layer->shape, &sizes, text, sizeof text);
    if (wrong >= 0)
        return FAIL(SODA_ERR_INPUT, "%s: tensor %s: %s", a->file, parts[wrong].tensor->name, text);
    layer->name = strndup(parts[0].tensor->name, parts[0].length);
    return layer->name ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", a->file);
}

soda_layer adapter_layer_sizes(const soda_adapter *adapter, const adapter_layer *layer)
{
    char text[MISFIT_BYTES];
    soda_layer sizes = {.name = layer->name, .method = adapter->method};
    method_fit(layer->shape, &sizes, text, sizeof text); /* it did when the layer was read */
    return sizes;
}

static soda_status missing(const soda_adapter *a, const part *sibling, int param)
{
    return FAIL(SODA_ERR_INPUT, "%s: tensor %.*s.%s is missing", a->file, (int)sibling->length,
                sibling->tensor->name, a->method->tensors[param]->leaf);
}

/* Parts come sorted: each layer has all tensors of the method in a row. */
static soda_status check_parts(const soda_adapter *a, const part *parts, int count, int64_t *total)
{
    const int each = method_tensors(a->method);
    for (int i = 0; i < count; i++) {
        const safetensors_tensor *t = parts[i].tensor;
        const int wanted = i % each;
        const part *first = &parts[i - wanted]; /* of its layer */
        if (!same_layer(first, &parts[i]) || parts[i].param != wanted)
            return missing(a, first, wanted);
        TRY(check_shape(a->file, a->method->tensors[wanted]->class, t));
        *total += t->rank == 2 ? t->dim[0] * t->dim[1] : t->dim[0];
    }
    const int rest = count % each;
    return rest ? missing(a, &parts[count - 1], rest) : SODA_OK;
}

static soda_status read_parts(soda_adapter *a, const part *parts, int count)
{
    const int each = method_tensors(a->method);
    int64_t total = 0;
    TRY(check_parts(a, parts, count, &total));
    a->values = malloc(((size_t)total + 1) * sizeof *a->values);
    a->layers = calloc((size_t)(count / each), sizeof *a->layers);
    if (!a->values || !a->layers) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", a->file);
    float *values = a->values;
    for (int i = 0; i < count; i += each)
        TRY(read_layer(a, &parts[i], &values, &a->layers[a->count++]));
    return SODA_OK;
}

static void warn_of_drift(const soda_adapter *a)
{
    const adapter_layer *worst = &a->layers[0];
    for (int i = 1; i < a->count; i++)
        if (a->layers[i].orthogonality > worst->orthogonality) worst = &a->layers[i];
    if (worst->orthogonality > WARN_ORTHOGONALITY)
        log_warning("%s: %s: the factors of R are not orthogonal: ||R'R - I|| is %.2g", a->file,
                    worst->name, worst->orthogonality);
}

static soda_status read_method(const char *file, const char *text, const soda_method **method)
{
    char names[256];
    *method = text ? method_find(text) : NULL;
    if (*method) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s: method: expected %s, found %s%s%s", file,
                method_list(names, sizeof names), text ? "\"" : "", text ? text : "none",
                text ? "\"" : "");
}

static soda_status read_base(soda_adapter *a, const char *base_sha256)
{
    if (!base_sha256 || !*base_sha256) return SODA_OK;
    if (strlen(base_sha256) != SHA256_HEX - 1 ||
        strspn(base_sha256, "0123456789abcdef") != SHA256_HEX - 1)
        return FAIL(SODA_ERR_INPUT,
                    "%s: base_model_sha256: expected 64 hexadecimal digits, found \"%s\"", a->file,
                    base_sha256);
    memcpy(a->base_sha256, base_sha256, SHA256_HEX);
    return SODA_OK;
}

soda_status adapter_from_tensors(const char *file, const char *method, const char *base_sha256,
                                 const safetensors_tensor *tensors, int count,
                                 soda_adapter **adapter)
{
    soda_status s = SODA_OK;
    soda_adapter *a = calloc(1, sizeof *a);
    part *parts = malloc(((size_t)count + 1) * sizeof *parts);
    *adapter = NULL;
    if (!a || !parts || !(a->file = strdup(file))) {
        s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", file);
        goto done;
    }
    TRY_TO(done, read_method(file, method, &a->method));
    TRY_TO(done, read_base(a, base_sha256));
    if (count == 0) {
        s = FAIL(SODA_ERR_INPUT, "%s: expected at least one adapted layer, found no tensors", file);
        goto done;
    }
    for (int i = 0; i < count; i++)
        TRY_TO(done, read_name(file, a->method, &tensors[i], &parts[i]));
    qsort(parts, (size_t)count, sizeof *parts, by_layer);
    TRY_TO(done, read_parts(a, parts, count));
    warn_of_drift(a);
    *adapter = a;
    a = NULL;
done:
    free(parts);
    adapter_close(a);
    return s;
}

void adapter_close(soda_adapter *adapter)
{
    if (!adapter) return;
    for (int i = 0; i < adapter->count; i++) free(adapter->layers[i].name);
    free(adapter->layers);
    free(adapter->values);
    free(adapter->file);
    free(adapter);
}

static const adapter_layer *find_exactly(const soda_adapter *adapter, const char *name)
{
    int low = 0, high = adapter->count;
    while (low < high) {
        const int middle = low + (high - low) / 2;
        const int order = strcmp(adapter->layers[middle].name, name);
        if (order == 0) return &adapter->layers[middle];
        if (order < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return NULL;
}

const adapter_layer *adapter_find(const soda_adapter *adapter, const char *name)
{
    static const char prefix[] = "text_model.";
    char other[512];
    const adapter_layer *layer = find_exactly(adapter, name);
    const char *path = strchr(name, '.');
    if (layer || !path || strncmp(name, "text_encoder", 12) != 0) return layer;
    const int component = (int)(++path - name);
    if (!strncmp(path, prefix, sizeof prefix - 1))
        snprintf(other, sizeof other, "%.*s%s", component, name, path + sizeof prefix - 1);
    else
        snprintf(other, sizeof other, "%.*s%s%s", component, name, prefix, path);
    return find_exactly(adapter, other);
}

int adapter_components(const soda_folder *folder, folder_component list[ADAPTER_COMPONENTS])
{
    list[0] = FOLDER_UNET;
    for (int i = 0; i < folder->texts; i++) list[1 + i] = FOLDER_TEXT_ENCODER + i;
    return 1 + folder->texts;
}

bool adapter_touches(const soda_adapter *adapter, folder_component component)
{
    const char *name = folder_component_name(component);
    const size_t length = strlen(name);
    for (int i = 0; i < adapter->count; i++)
        if (!strncmp(adapter->layers[i].name, name, length) &&
            adapter->layers[i].name[length] == '.')
            return true;
    return false;
}

bool adapter_touches_text(const soda_adapter *adapter)
{
    return adapter_touches(adapter, FOLDER_TEXT_ENCODER) ||
           adapter_touches(adapter, FOLDER_TEXT_ENCODER_2);
}

static int64_t sum_over(const soda_adapter *a, bool freedom)
{
    int64_t sum = 0;
    for (int i = 0; i < a->count; i++)
        for (int t = 0; a->method->tensors[t]; t++) {
            const soda_shape *shape = &a->layers[i].shape[t];
            sum += freedom ? method_freedom(a->method->tensors[t], shape) : shape_count(shape);
        }
    return sum;
}

int64_t adapter_stored(const soda_adapter *adapter) { return sum_over(adapter, false); }
int64_t adapter_freedom(const soda_adapter *adapter) { return sum_over(adapter, true); }
