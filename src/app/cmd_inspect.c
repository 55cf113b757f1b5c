#include <dirent.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/common.h"
#include "app/inspect_adapter.h"
#include "app/inspect_cache.h"
#include "app/inspect_data.h"
#include "app/verbs.h"
#include "io/safetensors.h"
#include "model/folder.h"

static int64_t tensor_count(const safetensors_tensor *t)
{
    int64_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dim[i];
    return n;
}

/* One line: how many tensors and parameters a set holds, of which types, in how many bytes. */
static void print_weights(const char *label, const soda_safetensors *set)
{
    int64_t parameters = 0, by_type[SAFETENSORS_DTYPES] = {0};
    size_t bytes = 0;
    for (int i = 0; i < safetensors_count(set); i++) {
        const safetensors_tensor *t = safetensors_at(set, i);
        parameters += tensor_count(t);
        by_type[t->dtype] += tensor_count(t);
        bytes += t->bytes;
    }
    printf("%-16s %5d tensors  %13lld parameters  %8.1f MiB ", label, safetensors_count(set),
           (long long)parameters, (double)bytes / 1048576);
    for (int i = 0; i < SAFETENSORS_DTYPES; i++)
        if (by_type[i]) printf(" %s", safetensors_dtype_name((safetensors_dtype)i));
    printf("\n");
}

static soda_status inspect_component(const soda_folder *folder, folder_component component)
{
    folder_weights weights;
    TRY(folder_weights_open(folder, component, &weights));
    print_weights(folder_component_name(component), weights.set);
    folder_weights_close(&weights);
    return SODA_OK;
}

static void print_unet(const soda_unet_config *c)
{
    printf("unet: channels");
    for (int i = 0; i < c->blocks; i++) printf(" %lld", (long long)c->channels[i]);
    printf(", heads");
    for (int i = 0; i < c->blocks; i++) printf(" %lld", (long long)c->heads[i]);
    printf(", transformer blocks");
    for (int i = 0; i < c->blocks; i++)
        printf(" %lld", (long long)(c->down_attention[i] ? c->depth[i] : 0));
    printf(", context width %lld%s\n", (long long)c->context,
           c->text_time ? ", pooled text and sizes (text_time)" : "");
}

static soda_status inspect_model(const char *path)
{
    soda_folder *folder = NULL;
    soda_status s = SODA_OK;
    TRY(folder_open(path, &folder));
    const int64_t factor = config_vae_factor(&folder->vae);
    const int64_t width = folder->unet.sample_w * factor, height = folder->unet.sample_h * factor;
    printf("%s: %s, %s\n", path,
           folder->xl ? "StableDiffusionXLPipeline" : "StableDiffusionPipeline", folder->scheduler);
    printf("pictures of %lldx%lld, latents %lldx%lldx%lld, scaling factor %g\n", (long long)width,
           (long long)height, (long long)folder->unet.in_channels, (long long)folder->unet.sample_h,
           (long long)folder->unet.sample_w, folder->vae.scaling_factor);
    print_unet(&folder->unet);
    TRY_TO(done, inspect_component(folder, FOLDER_UNET));
    TRY_TO(done, inspect_component(folder, FOLDER_VAE));
    TRY_TO(done, inspect_component(folder, FOLDER_TEXT_ENCODER));
    if (folder->texts > 1) TRY_TO(done, inspect_component(folder, FOLDER_TEXT_ENCODER_2));
    for (int i = 0; i < folder->texts && i < 2; i++) {
        static const char *const parts[2] = {"tokenizer", "tokenizer_2"};
        char file[4096];
        TRY_TO(done, folder_path(folder, parts[i], "", file, sizeof file));
        TRY_TO(done, inspect_tokenizer(file, parts[i]));
    }
done:
    folder_close(folder);
    return s;
}

/* A single safetensors file: every tensor, then the metadata. */
static soda_status inspect_file(const soda_safetensors *set)
{
    for (int i = 0; i < safetensors_count(set); i++) {
        const safetensors_tensor *t = safetensors_at(set, i);
        printf("%-5s [", safetensors_dtype_name(t->dtype));
        for (int k = 0; k < t->rank; k++) printf("%s%lld", k ? "," : "", (long long)t->dim[k]);
        printf("]  %s\n", t->name);
    }
    for (int i = 0; i < safetensors_metadata_count(set); i++) {
        const safetensors_pair pair = safetensors_metadata_at(set, i);
        printf("metadata %s: %s\n", pair.key, pair.value);
    }
    print_weights("all", set);
    return SODA_OK;
}

static soda_status inspect_safetensors(const char *path, const char *model)
{
    soda_safetensors *set;
    soda_adapter *adapter = NULL;
    soda_status s = SODA_OK;
    TRY(safetensors_open(path, &set));
    const char *format = safetensors_metadata(set, "format");
    if (!format || strcmp(format, ADAPTER_FORMAT) != 0) {
        s = inspect_file(set);
    } else {
        TRY_TO(done, adapter_read(path, &adapter));
        TRY_TO(done, inspect_adapter(adapter, model));
    }
done:
    adapter_close(adapter);
    safetensors_close(set);
    return s;
}

/* Whether "FOLDER/NAME" is there. */
static bool has(const char *folder, const char *name)
{
    char path[4096];
    return snprintf(path, sizeof path, "%s/%s", folder, name) < (int)sizeof path &&
           access(path, F_OK) == 0;
}

/* Whether a file of the folder is a checkpoint. */
static bool has_checkpoints(const char *folder)
{
    DIR *list = opendir(folder);
    bool found = false;
    for (const struct dirent *e; list && !found && (e = readdir(list)) != NULL;) {
        const size_t length = strlen(e->d_name);
        found = length > 3 && !strcmp(e->d_name + length - 3, ".h5");
    }
    if (list) closedir(list);
    return found;
}

static soda_status inspect_folder(const char *path, const char *model, bool *is_run)
{
    const bool is_model = has(path, "model_index.json") || has(path, "unet");
    *is_run = !is_model && (has(path, "checkpoints") || has_checkpoints(path));
    if (is_model) return inspect_model(path);
    if (*is_run) return SODA_OK;
    if (has(path, "tokenizer.json") || has(path, "vocab.json"))
        return inspect_tokenizer(path, "tokenizer");
    bool is_cache;
    TRY(inspect_cache(path, &is_cache));
    return is_cache ? SODA_OK : inspect_data(path, model);
}

static soda_status inspect_any(const char *path, const char *model)
{
    struct stat info;
    char file[4096];
    soda_checkpoint checkpoint;
    bool found, is_run = true, is_picture = false;
    if (stat(path, &info) == 0 && S_ISDIR(info.st_mode))
        TRY(inspect_folder(path, model, &is_run));
    else if (stat(path, &info) == 0 && S_ISREG(info.st_mode))
        TRY(inspect_picture(path, &is_picture));
    if (!is_run || is_picture) return SODA_OK;
    TRY(adapter_open_checkpoint(path, &checkpoint, file, sizeof file, &found));
    if (!found) return inspect_safetensors(path, model);
    const soda_status s = inspect_checkpoint(file, &checkpoint, model);
    checkpoint_free(&checkpoint);
    return s;
}

soda_status cmd_inspect(int argc, char **argv)
{
    const char *path, *model = NULL;
    bool help;
    const option_row rows[] = {
        {"model", OPTION_TEXT, &model, "DIR", NULL,
         "also show which layers of this model an adapter fits, or how many captions of a data set "
         "it truncates",
         0, 0},
    };
    option_table table = {
        .verb = "inspect",
        .summary =
            "Shows the contents of a model, tokenizer or data folder, the cache, a run's folder, "
            "a\ncheckpoint, an adapter, a safetensors file or a picture.",
        .synopsis = "inspect PATH [--model DIR]",
        .example = "soda inspect configs/quickstart/model",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    TRY(common_options(&table, argc, argv, &path, &help));
    if (help) return SODA_OK;
    return inspect_any(path, model);
}
