#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

#include "app/common.h"
#include "app/inspect_adapter.h"
#include "app/inspect_cache.h"
#include "app/inspect_data.h"
#include "app/inspect_files.h"
#include "app/verbs.h"
#include "core/file_kind.h"
#include "core/json.h"
#include "core/path.h"
#include "diffusion/schedule.h"
#include "io/safetensors.h"
#include "io/spectra.h"
#include "model/folder.h"
#include "model/folder_check.h"

static const char known_kinds[] =
    "a folder of a model, a tokenizer, pictures, a run or the cache, or a file: checkpoint, "
    "adapter, spectra, safetensors, picture, run.yaml or prompts";

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

/* Reads the noise schedule, without which neither sample nor train starts. */
static soda_status check_schedule(const soda_folder *folder)
{
    char path[4096];
    soda_json json;
    soda_schedule schedule = {0};
    TRY(folder_path(folder, "scheduler", "scheduler_config.json", path, sizeof path));
    TRY(soda_json_load(path, &json));
    const soda_status s = schedule_create(&json, &schedule);
    if (s == SODA_OK) schedule_destroy(&schedule);
    soda_json_free(&json);
    return s;
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
    TRY_TO(done, check_schedule(folder));
done:
    folder_close(folder);
    return s;
}

/* A single safetensors file: every tensor, then the metadata. */
static soda_status inspect_file(const soda_safetensors *set)
{
    for (int i = 0; i < safetensors_count(set); i++) {
        const safetensors_tensor *t = safetensors_at(set, i);
        char shape[192];
        printf("%-5s %s  %s\n", safetensors_dtype_name(t->dtype),
               safetensors_shape_text(t, shape, sizeof shape), t->name);
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
    return path_in(path, sizeof path, folder, "%s", name) == SODA_OK && access(path, F_OK) == 0;
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

/* The weights of one part of a model, as in its folder unet; false if there are none. */
static soda_status inspect_part(const char *path, bool *is_part)
{
    static const char *const stems[] = {"diffusion_pytorch_model", "model"};
    soda_safetensors *set;
    *is_part = false;
    for (int i = 0; i < 2 && has(path, "config.json") && !*is_part; i++) {
        if (safetensors_open_folder(path, stems[i], &set) != SODA_OK) {
            status_clear();
            continue;
        }
        printf("%s: one part of a model\n", path);
        print_weights("all", set);
        safetensors_close(set);
        *is_part = true;
    }
    return SODA_OK;
}

/* A folder that is nothing else should hold pictures. */
static soda_status inspect_pictures(const char *path, const char *model)
{
    const soda_status s = inspect_data(path, model);
    char message[STATUS_MESSAGE];
    if (s != SODA_ERR_INPUT) return s;
    snprintf(message, sizeof message, "%s", status_message());
    return FAIL(s, "%s; inspect also knows %s", message, known_kinds);
}

static soda_status inspect_folder(const char *path, const char *model, bool *is_run)
{
    const bool is_model = has(path, "model_index.json") || has(path, "unet");
    bool found;
    *is_run = !is_model && (has(path, "checkpoints") || has_checkpoints(path) ||
                            has(path, "adapter.safetensors"));
    if (is_model) return inspect_model(path);
    if (has(path, "snapshots")) return folder_check(path); /* says which folder to give */
    if (*is_run) return SODA_OK;
    if (has(path, "tokenizer.json") || has(path, "vocab.json"))
        return inspect_tokenizer(path, "tokenizer");
    TRY(inspect_cache(path, &found));
    if (!found) TRY(inspect_part(path, &found));
    if (found) return SODA_OK;
    return inspect_pictures(path, model);
}

static bool ends_in(const char *path, const char *end)
{
    const size_t length = strlen(path), most = strlen(end);
    return length >= most && strcasecmp(path + length - most, end) == 0;
}

/* metadata.jsonl and metadata.csv describe the folder that they are in. */
static soda_status inspect_metadata(const char *path, const char *model)
{
    const char *slash = strrchr(path, '/');
    char folder[4096];
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) : 1, slash ? path : ".");
    return inspect_data(folder, model);
}

/* What is neither HDF5 nor a picture, by its first bytes and its name. */
static soda_status inspect_other(const char *path, const char *model, const char *start,
                                 size_t bytes)
{
    const char *kind = file_kind(start, bytes);
    if ((kind && strstr(kind, "safetensors")) || ends_in(path, ".safetensors") ||
        ends_in(path, ".safetensors.index.json"))
        return inspect_safetensors(path, model);
    if (ends_in(path, ".yaml") || ends_in(path, ".yml")) return inspect_run(path);
    if (ends_in(path, "metadata.jsonl") || ends_in(path, "metadata.csv"))
        return inspect_metadata(path, model);
    const bool is_text = !kind && bytes && !memchr(start, 0, bytes);
    if (is_text && !ends_in(path, ".json") && !ends_in(path, ".jsonl"))
        return inspect_prompts(path, model);
    if (kind && strstr(kind, "PyTorch")) return folder_check(path); /* says how to convert it */
    return FAIL(SODA_ERR_INPUT, "%s: expected %s, found %s", path, known_kinds,
                kind ? kind : "another kind of file");
}

static soda_status inspect_regular(const char *path, const char *model)
{
    static const char spectra[] = SPECTRA_FORMAT "\n";
    char start[512], file[4096];
    soda_checkpoint checkpoint;
    bool found;
    FILE *stream = fopen(path, "rb");
    if (!stream) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const size_t bytes = fread(start, 1, sizeof start, stream);
    fclose(stream);
    if (bytes >= sizeof spectra && !memcmp(start, spectra, sizeof spectra - 1))
        return inspect_spectra(path);
    TRY(inspect_picture(path, &found));
    if (found) return SODA_OK;
    TRY(adapter_open_checkpoint(path, &checkpoint, file, sizeof file, &found));
    if (!found) return inspect_other(path, model, start, bytes);
    const soda_status s = inspect_checkpoint(file, &checkpoint, model);
    checkpoint_free(&checkpoint);
    return s;
}

static soda_status inspect_any(const char *path, const char *model)
{
    struct stat info;
    char file[4096];
    soda_checkpoint checkpoint;
    bool is_run, found;
    if (stat(path, &info) != 0)
        return FAIL(SODA_ERR_INPUT, "%s: there is no such file or folder", path);
    if (!S_ISDIR(info.st_mode)) return inspect_regular(path, model);
    TRY(inspect_folder(path, model, &is_run));
    if (!is_run) return SODA_OK;
    TRY(adapter_open_checkpoint(path, &checkpoint, file, sizeof file, &found));
    if (!found) return inspect_safetensors(file, model);
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
         "also show which layers of this model an adapter fits, or how many captions or prompts it "
         "truncates",
         0, 0},
    };
    option_table table = {
        .verb = "inspect",
        .summary =
            "Shows the contents of a folder (model, tokenizer, data set, run, cache) or of a file "
            "(checkpoint,\nadapter, spectra, safetensors, picture, run.yaml, prompts).",
        .synopsis = "inspect PATH [--model DIR]",
        .example = "soda inspect configs/quickstart/model",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    TRY(common_options(&table, argc, argv, &path, &help));
    if (help) return SODA_OK;
    return inspect_any(path, model);
}
