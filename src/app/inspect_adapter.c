#include "app/inspect_adapter.h"

#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "backend/prices.h"
#include "interop/adapter_fit.h"

enum { CONFIG_LINES = 24, PROMPT_TOKENS = 77, LATENT = 64 };

/* "width 24: R of 2 x 2 x 6": what the method says of a layer's sizes. */
static void sizes_of(const soda_adapter *a, int i, char *text, size_t size)
{
    const soda_layer layer = adapter_layer_sizes(a, &a->layers[i]);
    int64_t sizes[METHOD_SIZES];
    const int count = a->method->sizes(&layer, sizes);
    int used = snprintf(text, size, "width %lld: %s", (long long)layer.n, a->method->sizes_text);
    for (int k = 0; k < count && used < (int)size; k++)
        used += snprintf(text + used, size - (size_t)used, "%s%lld", k ? " x " : " ",
                         (long long)sizes[k]);
}

/* One line for each width and its sizes. */
static void print_sizes(const soda_adapter *a)
{
    char mine[128], other[128];
    for (int i = 0; i < a->count && a->method->sizes; i++) {
        int layers = 0, earlier = 0;
        sizes_of(a, i, mine, sizeof mine);
        for (int k = 0; k < a->count && !earlier; k++) {
            sizes_of(a, k, other, sizeof other);
            const bool same = !strcmp(mine, other);
            layers += same;
            earlier += same && k < i;
        }
        if (!earlier) printf("%s in %d layers\n", mine, layers);
    }
}

/* What the values of each class say: how orthogonal rotations are, and the range of the others. */
static void print_values(const soda_adapter *a)
{
    const adapter_layer *worst = &a->layers[0];
    for (int i = 0; i < a->count; i++)
        if (a->layers[i].orthogonality > worst->orthogonality) worst = &a->layers[i];
    if (method_has(a->method, METHOD_ROTATION))
        printf("orthogonality: ||R'R - I|| at most %.2g (%s)\n", worst->orthogonality, worst->name);
    for (int t = 0; a->method->tensors[t]; t++) {
        if (a->method->tensors[t]->class == METHOD_ROTATION) continue;
        float least = a->layers[0].value[t][0], most = least;
        for (int i = 0; i < a->count; i++)
            for (int64_t k = 0; k < shape_count(&a->layers[i].shape[t]); k++) {
                least = fminf(least, a->layers[i].value[t][k]);
                most = fmaxf(most, a->layers[i].value[t][k]);
            }
        const char *leaf = a->method->tensors[t]->leaf, *dot = strrchr(leaf, '.');
        printf("%s: from %g to %g\n", dot ? dot + 1 : leaf, (double)least, (double)most);
    }
}

static bool same_way(const soda_layer *a, const soda_layer *b)
{
    return a->m == b->m && a->n == b->n && a->rows == b->rows && a->route.kind == b->route.kind;
}

/* One line for each size of layer: how many fit, and the route with its reason. */
static void print_routes(soda_layers *layers)
{
    for (int i = 0; i < layers_count(layers); i++) {
        const soda_layer *l = layers_at(layers, i);
        int alike = 0, earlier = 0;
        char text[256];
        for (int k = 0; k < layers_count(layers); k++) {
            const bool same = same_way(l, layers_at(layers, k));
            alike += same;
            earlier += same && k < i;
        }
        if (!earlier)
            printf("%d layers [%lld,%lld], %lld rows: %s\n", alike, (long long)l->m,
                   (long long)l->n, (long long)l->rows, route_text(&l->route, text, sizeof text));
    }
}

static soda_status print_fit(const soda_adapter *a, const char *model)
{
    soda_folder *folder = NULL;
    adapter_fit fit = {0};
    soda_status s = SODA_OK;
    TRY(folder_open(model, &folder));
    const int64_t w = folder->unet.sample_w ? folder->unet.sample_w : LATENT;
    const int64_t h = folder->unet.sample_h ? folder->unet.sample_h : LATENT;
    int64_t tokens = PROMPT_TOKENS;
    for (int i = 0; i < folder->texts; i++)
        if (folder->text[i].positions < tokens) tokens = folder->text[i].positions;
    TRY_TO(done, adapter_fit_create(a, &fit));
    TRY_TO(done, adapter_fit_model(&fit, folder, h, w, tokens, prices_host()));
    printf("\n%s: %d of %d layers fit; training at latents %lldx%lld in fp32, batch 1:\n", model,
           layers_count(fit.layers), a->count, (long long)w, (long long)h);
    print_routes(fit.layers);
    for (int i = 0; i < a->count; i++)
        if (!fit.found[i]) printf("not in the model: %s\n", a->layers[i].name);
    if (layers_count(fit.layers) == a->count) {
        TRY_TO(done, adapter_check_base(a, folder));
        printf("base model: %s\n", a->base_sha256[0] ? "this one" : "unknown");
    }
done:
    adapter_fit_destroy(&fit);
    folder_close(folder);
    return s;
}

soda_status inspect_adapter(const soda_adapter *a, const char *model)
{
    printf("%s: %s, %d layers\n", a->file, a->method->name, a->count);
    print_sizes(a);
    printf("parameters: %lld stored, %lld degrees of freedom\n", (long long)adapter_stored(a),
           (long long)adapter_freedom(a));
    print_values(a);
    printf("base model sha256: %s\n", a->base_sha256[0] ? a->base_sha256 : "unknown");
    return model ? print_fit(a, model) : SODA_OK;
}

static void print_history(const soda_checkpoint *c)
{
    if (c->rows == 0) return;
    printf("last of %lld rows of history:", (long long)c->rows);
    for (int i = 0; i < c->columns; i++)
        printf(" %s %g", c->history[i].name, c->history[i].value[c->rows - 1]);
    printf("\n");
}

/* The first lines of the configuration, indented. */
static void print_config(const char *config)
{
    printf("configuration:\n");
    int lines = 0;
    for (const char *line = config; *line && lines < CONFIG_LINES; lines++) {
        const size_t length = strcspn(line, "\n");
        printf("  %.*s\n", (int)length, line);
        line += length + (line[length] != '\0');
        if (*line && lines + 1 == CONFIG_LINES) printf("  ...\n");
    }
}

soda_status inspect_checkpoint(const char *file, const soda_checkpoint *c, const char *model)
{
    struct stat about;
    soda_adapter *adapter;
    TRY(adapter_from_checkpoint(file, c, &adapter));
    printf("%s: checkpoint at step %lld, seed %" PRIu64, file, (long long)c->step, c->seed);
    if (stat(file, &about) == 0) printf(", %.1f MiB", (double)about.st_size / 1048576);
    printf("\nmodel sha256: %s\ndata sha256: %s\n", c->model_sha256, c->data_sha256);
    print_config(c->config);
    print_history(c);
    const soda_status s = inspect_adapter(adapter, model);
    adapter_close(adapter);
    return s;
}
