#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/verbs.h"
#include "config/run_config.h"
#include "core/log.h"
#include "interop/adapter_fit.h"
#include "interop/export.h"

typedef struct {
    const char *to, *out, *model;
} export_options;

static soda_status read_options(int argc, char **argv, export_options *o, const char **path,
                                bool *help)
{
    *o = (export_options){0};
    const option_row rows[] = {
        {"to", OPTION_TEXT, &o->to, "FORM", NULL,
         "adapter (one file for soda), diffusers (a merged model folder) or diff (full differences "
         "for LyCORIS, A1111, ComfyUI)",
         0, 0},
        {"out", OPTION_TEXT, &o->out, "PATH", options_required,
         "file or folder to write; a folder must be new or empty: --overwrite does not hold for "
         "folders, and deletes nothing in them",
         0, 0},
        {"model", OPTION_TEXT, &o->model, "DIR", "the run's model", "model folder", 0, 0},
    };
    option_table table = {
        .verb = "export",
        .summary = "Exports a trained adapter for soda or for other programs. CHECKPOINT is a "
                   "checkpoint, a run's\nfolder or an adapter file.",
        .synopsis = "export CHECKPOINT --to adapter|diffusers|diff --out PATH [--model DIR]",
        .example = "soda export runs/dog --to diffusers --out models/dog",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    TRY(common_options(&table, argc, argv, path, help));
    if (*help) return SODA_OK;
    if (!o->to || (strcmp(o->to, "adapter") != 0 && strcmp(o->to, "diffusers") != 0 &&
                   strcmp(o->to, "diff") != 0))
        return FAIL(SODA_ERR_USAGE, "--to: expected adapter, diffusers or diff, found %s%s%s",
                    o->to ? "'" : "", o->to ? o->to : "none", o->to ? "'" : "");
    return SODA_OK;
}

/* The adapter at `path`; *model becomes a copy of the model's path that a checkpoint knows, else
 * NULL. */
static soda_status open_adapter(const char *path, soda_adapter **adapter, char **model)
{
    soda_checkpoint checkpoint;
    run_config *config = NULL;
    char file[4096];
    bool found;
    soda_status s = SODA_OK;
    TRY(adapter_open_checkpoint(path, &checkpoint, file, sizeof file, &found));
    if (!found) return adapter_read(file, adapter);
    TRY_TO(done,
           run_config_parse(checkpoint.config, strlen(checkpoint.config), file, NULL, 0, &config));
    *model = strdup(config->model ? config->model : "");
    if (!*model) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, adapter_from_checkpoint(file, &checkpoint, adapter));
done:
    run_config_destroy(config);
    checkpoint_free(&checkpoint);
    return s;
}

/* With a model given, the file is bound to it, whatever it was trained on. */
static soda_status export_adapter(const export_options *o, soda_adapter *adapter)
{
    soda_folder *folder = NULL;
    soda_status s = SODA_OK;
    if (o->model) {
        TRY_TO(done, folder_open(o->model, &folder));
        adapter->base_sha256[0] = '\0';
        TRY_TO(done, adapter_fit_check(adapter, folder));
        TRY_TO(done, adapter_base_hash(folder, adapter_touches_text(adapter), MODEL_HASH,
                                       adapter->base_sha256));
    }
    TRY_TO(done, adapter_write(o->out, adapter));
done:
    folder_close(folder);
    return s;
}

static soda_status export_merged(const export_options *o, const soda_adapter *adapter,
                                 const char *model)
{
    soda_folder *folder = NULL;
    soda_status s = SODA_OK;
    TRY(folder_open(model, &folder));
    TRY_TO(done, adapter_fit_check(adapter, folder));
    if (strcmp(o->to, "diff") == 0)
        TRY_TO(done, export_diff(folder, adapter, o->out));
    else
        TRY_TO(done, export_diffusers(folder, adapter, o->out));
done:
    folder_close(folder);
    return s;
}

soda_status cmd_export(int argc, char **argv)
{
    export_options o;
    const char *path;
    const soda_backend *backend; /* sets the number of threads */
    soda_adapter *adapter = NULL;
    char *own_model = NULL;
    bool help;
    soda_status s = SODA_OK;
    TRY(read_options(argc, argv, &o, &path, &help));
    if (help) return SODA_OK;
    if (strcmp(o.to, "diffusers") != 0) {
        TRY(common_check_new(o.out));
        TRY(common_check_folder(o.out));
    }
    TRY(common_backend(&backend));
    TRY_TO(done, open_adapter(path, &adapter, &own_model));
    if (strcmp(o.to, "adapter") == 0) {
        TRY_TO(done, export_adapter(&o, adapter));
    } else {
        const char *model = o.model ? o.model : own_model;
        if (!model || !*model) {
            s = FAIL(SODA_ERR_USAGE, "export: %s does not name its model: give --model DIR", path);
            goto done;
        }
        TRY_TO(done, export_merged(&o, adapter, model));
    }
    log_info("wrote %d adapted layers to %s, from %s", adapter->count, o.out, adapter->file);
done:
    free(own_model);
    adapter_close(adapter);
    return s;
}
