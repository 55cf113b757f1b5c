/* Which files of a component's folder hold its weights. */
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "io/safetensors.h"

static const char convert[] =
    "a pickle, which soda does not open since it may run code: convert the model once in Python: "
    "load it with diffusers and call save_pretrained(\"FOLDER\")";

/* Records what was looked for, and what PyTorch file there is instead. */
static soda_status nothing_there(const char *folder, const char *stem)
{
    char other[4096];
    if (access(folder, F_OK) != 0)
        return FAIL(SODA_ERR_IO, "%s: cannot open: %s", folder, strerror(errno));
    const char *const pickles[] = {stem, "pytorch_model", "diffusion_pytorch_model.fp16",
                                   "pytorch_model.fp16"};
    for (int i = 0; i < 4; i++) {
        TRY(path_in(other, sizeof other, folder, "%s.bin", pickles[i]));
        if (access(other, F_OK) == 0)
            return FAIL(SODA_ERR_UNSUPPORTED, "%s: expected %s.safetensors, found only %s.bin, %s",
                        folder, stem, pickles[i], convert);
    }
    return FAIL(SODA_ERR_INPUT,
                "%s: expected %s.safetensors, %s.safetensors.index.json or their fp16 variant, "
                "found none",
                folder, stem, stem);
}

/* What holds the weights called STEM, the most wanted first. Where a model was saved over an older
 * one, the single file and the index may both be there, one of them stale: the library that reads
 * the component says which. diffusers writes the index of a variant as
 * .safetensors.index.fp16.json, older ones the other way round. */
enum { ENDINGS = 5 };
static const char *const transformers_endings[ENDINGS] = {
    ".safetensors",
    ".safetensors.index.json",
    ".fp16.safetensors",
    ".safetensors.index.fp16.json",
    ".fp16.safetensors.index.json",
};
static const char *const diffusers_endings[ENDINGS] = {
    ".safetensors.index.json",      ".safetensors",      ".safetensors.index.fp16.json",
    ".fp16.safetensors.index.json", ".fp16.safetensors",
};

soda_status safetensors_open_folder(const char *folder, const char *stem, soda_safetensors **set)
{
    const bool is_diffusers = strcmp(stem, "diffusion_pytorch_model") == 0;
    const char *const *endings = is_diffusers ? diffusers_endings : transformers_endings;
    for (int i = 0; i < ENDINGS; i++) {
        char path[4096];
        TRY(path_in(path, sizeof path, folder, "%s%s", stem, endings[i]));
        if (path_is_there(path)) return safetensors_open(path, set);
    }
    return nothing_there(folder, stem);
}

static const char *last_name(const soda_safetensors *set)
{
    const char *path = safetensors_path(set), *slash = strrchr(path, '/');
    return slash ? slash + 1 : path;
}

bool safetensors_is_fp16(const soda_safetensors *set)
{
    return strstr(last_name(set), ".fp16.") != NULL;
}

void safetensors_warn_of_fp16(const soda_safetensors *set)
{
    static const char *const full[] = {"diffusion_pytorch_model.bin", "pytorch_model.bin"};
    const char *path = safetensors_path(set);
    char other[4200];
    for (int i = 0; i < 2 && safetensors_is_fp16(set); i++) {
        snprintf(other, sizeof other, "%.*s%s", (int)(last_name(set) - path), path, full[i]);
        if (access(other, F_OK) == 0)
            log_warning("%s: using the fp16 variant, since the full weights are in %s, %s", path,
                        full[i], convert);
    }
}
