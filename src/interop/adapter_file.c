#include "interop/adapter_file.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"

enum { MAX_SIDE = 1 << 20 }; /* as factors.h: products of three fit an int64_t */
static const double WARN_ORTHOGONALITY = 1e-3;
static const char *const LEAF[SODA_PARAMS] = {"R1", "R2", "R3", "delta"};
static const char *const METHOD[] = {[SODA_METHOD_SVD] = "soda_svd", [SODA_METHOD_LQ] = "soda_lq"};

const char *adapter_method_name(soda_method method) { return METHOD[method]; }

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

static soda_status read_name(const char *file, const safetensors_tensor *t, part *p)
{
    static const char middle[] = ".soda.";
    const char *dot = strrchr(t->name, '.');
    const size_t before = sizeof middle - 2; /* ".soda" */
    *p = (part){.tensor = t, .param = SODA_PARAMS};
    if (dot && is_component(t->name) && (size_t)(dot - t->name) > before &&
        !strncmp(dot - before, middle, before)) {
        p->length = (size_t)(dot - t->name) - before;
        for (int i = 0; i < SODA_PARAMS; i++)
            if (!strcmp(dot + 1, LEAF[i])) p->param = i;
    }
    if (p->param < SODA_PARAMS) return SODA_OK;
    return refuse(file, t->name,
                  "unet.LAYER.soda.R1, .R2, .R3 or .delta (or text_encoder., text_encoder_2.), "
                  "found an unknown tensor");
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

static soda_status check_shape(const char *file, const part *p)
{
    const safetensors_tensor *t = p->tensor;
    if (t->dtype != SAFETENSORS_F32) return refuse(file, t->name, "type F32, found another");
    if (p->param == SODA_DELTA) {
        if (t->rank == 1 && t->dim[0] >= 1 && t->dim[0] <= MAX_SIDE) return SODA_OK;
        return refuse(file, t->name, "one dimension, of at least 1");
    }
    if (t->rank == 2 && t->dim[0] == t->dim[1] && t->dim[0] >= 1 && t->dim[0] <= MAX_SIDE)
        return SODA_OK;
    return refuse(file, t->name, "a square matrix");
}

/* max over the three factors of ||R'R - I||_F, summed in fp64 */
static double orthogonality(const adapter_layer *layer)
{
    double worst = 0;
    for (int f = 0; f < 3; f++) {
        const int64_t n = layer->factor[f];
        const float *R = layer->value[f];
        double sum = 0;
        for (int64_t i = 0; i < n; i++)
            for (int64_t j = 0; j < n; j++) {
                double dot = i == j ? -1 : 0;
                for (int64_t l = 0; l < n; l++) dot += (double)R[l * n + i] * (double)R[l * n + j];
                sum += dot * dot;
            }
        worst = fmax(worst, sqrt(sum));
    }
    return worst;
}

/* Copies the values of four parts to *values, which moves on, and describes the layer. */
static soda_status read_layer(const char *file, const part *four, float **values,
                              adapter_layer *layer)
{
    layer->n = 1;
    for (int i = 0; i < SODA_PARAMS; i++) {
        const safetensors_tensor *t = four[i].tensor;
        const int64_t count = t->rank == 2 ? t->dim[0] * t->dim[1] : t->dim[0];
        memcpy(*values, t->data, (size_t)count * sizeof(float));
        for (int64_t v = 0; v < count; v++)
            if (!isfinite((*values)[v]))
                return FAIL(SODA_ERR_INPUT, "%s: tensor %s: element %lld is not finite", file,
                            t->name, (long long)v);
        layer->value[i] = *values;
        *values += count;
        if (i == SODA_DELTA) {
            layer->k = count;
        } else {
            layer->factor[i] = t->dim[0];
            layer->n *= t->dim[0];
        }
    }
    if (layer->n > MAX_SIDE)
        return FAIL(SODA_ERR_INPUT,
                    "%s: tensor %s: with R2 and R3, expected sides that multiply to at most %d",
                    file, four[0].tensor->name, MAX_SIDE);
    if (layer->k > layer->n)
        return FAIL(SODA_ERR_INPUT,
                    "%s: tensor %s: expected at most %lld elements, as R1, R2 and R3 say, found "
                    "%lld",
                    file, four[SODA_DELTA].tensor->name, (long long)layer->n, (long long)layer->k);
    layer->orthogonality = orthogonality(layer);
    layer->name = strndup(four[0].tensor->name, four[0].length);
    return layer->name ? SODA_OK : FAIL(SODA_ERR_MEMORY, "%s: out of memory", file);
}

static soda_status missing(const char *file, const part *sibling, int param)
{
    return FAIL(SODA_ERR_INPUT, "%s: tensor %.*s.soda.%s is missing", file, (int)sibling->length,
                sibling->tensor->name, LEAF[param]);
}

/* Parts come sorted: each layer is four in a row. */
static soda_status check_parts(const char *file, const part *parts, int count, int64_t *total)
{
    for (int i = 0; i < count; i++) {
        const safetensors_tensor *t = parts[i].tensor;
        const int wanted = i % SODA_PARAMS;
        const part *first = &parts[i - wanted]; /* of its layer */
        if (!same_layer(first, &parts[i]) || parts[i].param != wanted)
            return missing(file, first, wanted);
        TRY(check_shape(file, &parts[i]));
        *total += t->rank == 2 ? t->dim[0] * t->dim[1] : t->dim[0];
    }
    const int rest = count % SODA_PARAMS;
    return rest ? missing(file, &parts[count - 1], rest) : SODA_OK;
}

static soda_status read_parts(soda_adapter *a, const part *parts, int count)
{
    int64_t total = 0;
    TRY(check_parts(a->file, parts, count, &total));
    a->values = malloc(((size_t)total + 1) * sizeof *a->values);
    a->layers = calloc((size_t)count / SODA_PARAMS, sizeof *a->layers);
    if (!a->values || !a->layers) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", a->file);
    float *values = a->values;
    for (int i = 0; i < count; i += SODA_PARAMS)
        TRY(read_layer(a->file, &parts[i], &values, &a->layers[a->count++]));
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

static soda_status read_method(const char *file, const char *text, soda_method *method)
{
    for (int m = 0; m < 2; m++)
        if (text && !strcmp(text, METHOD[m])) {
            *method = (soda_method)m;
            return SODA_OK;
        }
    return FAIL(SODA_ERR_INPUT, "%s: method: expected soda_svd or soda_lq, found %s%s%s", file,
                text ? "\"" : "", text ? text : "none", text ? "\"" : "");
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
    for (int i = 0; i < count; i++) TRY_TO(done, read_name(file, &tensors[i], &parts[i]));
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

int64_t adapter_stored(const soda_adapter *adapter)
{
    int64_t sum = 0;
    for (int i = 0; i < adapter->count; i++) {
        const adapter_layer *l = &adapter->layers[i];
        sum += l->k;
        for (int f = 0; f < 3; f++) sum += l->factor[f] * l->factor[f];
    }
    return sum;
}

int64_t adapter_freedom(const soda_adapter *adapter)
{
    int64_t sum = 0;
    for (int i = 0; i < adapter->count; i++) {
        const adapter_layer *l = &adapter->layers[i];
        sum += l->k;
        for (int f = 0; f < 3; f++) sum += l->factor[f] * (l->factor[f] - 1) / 2;
    }
    return sum;
}
