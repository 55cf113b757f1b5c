#include "model/folder_check.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/file_kind.h"
#include "core/path.h"
#include "io/safetensors.h"

enum { PATH_SIZE = 4096 };

#define CONVERT                                                                                    \
    "convert it once in Python: diffusers.%s.from_single_file(\"%s\").save_pretrained(\"FOLDER\")"

static const char plain[] = "StableDiffusionPipeline", xl[] = "StableDiffusionXLPipeline";

static bool has_ending(const char *name, const char *ending)
{
    const size_t length = strlen(name), bytes = strlen(ending);
    return length > bytes && !strcmp(name + length - bytes, ending);
}

/* A safetensors file: whole models keep the names of the first implementation. */
static soda_status refuse_safetensors(const char *path)
{
    soda_safetensors *set;
    TRY(safetensors_open(path, &set));
    bool whole = false, large = false;
    for (int i = 0; i < safetensors_count(set); i++) {
        const char *name = safetensors_at(set, i)->name;
        whole |= !strncmp(name, "model.diffusion_model.", 22);
        large |= !strncmp(name, "conditioner.embedders.1.", 24);
    }
    safetensors_close(set);
    if (whole)
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "%s: expected a diffusers folder, found a single-file checkpoint: " CONVERT,
                    path, large ? xl : plain, path);
    return FAIL(SODA_ERR_INPUT,
                "%s: expected a diffusers folder with model_index.json, found a safetensors file "
                "that is not a whole model (is it an adapter?)",
                path);
}

static soda_status refuse_file(const char *path)
{
    char bytes[512];
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    const ssize_t got = fd < 0 ? -1 : read(fd, bytes, sizeof bytes);
    if (fd >= 0) close(fd);
    if (got < 0) return FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    const char *kind = file_kind(bytes, (size_t)got);
    if (kind && !strcmp(kind, "a safetensors file")) return refuse_safetensors(path);
    if (kind && strstr(kind, "PyTorch"))
        return FAIL(SODA_ERR_UNSUPPORTED, "%s: expected a diffusers folder, found %s: " CONVERT,
                    path, kind, plain, path);
    return file_kind_refuse(bytes, (size_t)got, path, "a diffusers folder");
}

static soda_status refuse_absent(const char *path)
{
    const char *slash = strchr(path, '/');
    if (errno != ENOENT) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    if (slash && slash != path && slash[1] && !strchr(slash + 1, '/') && path[0] != '.')
        return FAIL(SODA_ERR_IO,
                    "%s: cannot open: No such file or directory (if this is the name of a model on "
                    "a hub: soda downloads nothing; download the model and give its folder)",
                    path);
    return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
}

/* A folder without model_index.json. */
static soda_status refuse_folder(const char *path)
{
    char found[300] = "", single[300] = "";
    DIR *list = opendir(path);
    if (!list) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    for (const struct dirent *e; (e = readdir(list)) != NULL;) {
        const char *name = e->d_name;
        if (has_ending(name, ".safetensors") || has_ending(name, ".ckpt"))
            snprintf(single, sizeof single, "%s", name);
        if (!strcmp(name, "snapshots") || !strcmp(name, "unet") ||
            !strcmp(name, "adapter_config.json"))
            snprintf(found, sizeof found, "%s", name);
    }
    closedir(list);
    if (!strcmp(found, "snapshots"))
        return FAIL(SODA_ERR_INPUT,
                    "%s: expected a diffusers folder, found a hub cache folder: give the folder "
                    "inside %s/snapshots",
                    path, path);
    if (!strcmp(found, "unet"))
        return FAIL(SODA_ERR_INPUT,
                    "%s/model_index.json: cannot open: No such file or directory (there is a unet "
                    "folder: is the download complete?)",
                    path);
    if (found[0])
        return FAIL(SODA_ERR_INPUT, "%s: expected a diffusers folder, found a PEFT adapter", path);
    if (single[0])
        return FAIL(SODA_ERR_INPUT,
                    "%s: expected a diffusers folder with model_index.json, found %s: if it is a "
                    "single-file checkpoint, " CONVERT,
                    path, single, plain, single);
    return FAIL(SODA_ERR_IO,
                "%s/model_index.json: cannot open: No such file or directory (expected a diffusers "
                "folder)",
                path);
}

soda_status folder_check(const char *path)
{
    char index[PATH_SIZE];
    struct stat about;
    if (stat(path, &about) != 0) return refuse_absent(path);
    if (!S_ISDIR(about.st_mode)) return refuse_file(path);
    TRY(path_in(index, sizeof index, path, "model_index.json"));
    return access(index, F_OK) == 0 ? SODA_OK : refuse_folder(path);
}
