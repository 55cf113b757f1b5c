#include "output/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "io/newfile.h"

enum { PATH_BYTES = 4200 };

/* The first line of every configuration that a run writes: how it is told from a user's file. */
static const char written_by_soda[] =
    "# The resolved configuration of this run, written by soda.\n";

static bool exists(const char *output, const char *name)
{
    char path[PATH_BYTES];
    return path_in(path, sizeof path, output, "%s", name) == SODA_OK && access(path, F_OK) == 0;
}

static bool has_checkpoint(const char *output)
{
    char path[PATH_BYTES];
    bool found = false;
    DIR *list = path_in(path, sizeof path, output, "checkpoints") == SODA_OK ? opendir(path) : NULL;
    for (struct dirent *entry; list && (entry = readdir(list));)
        found = found || strncmp(entry->d_name, "step-", 5) == 0;
    if (list) closedir(list);
    return found;
}

static soda_status check_foreign(const char *output)
{
    static const char *const results[] = {"adapter.safetensors", "metrics.jsonl", "spectra.h5",
                                          "samples"};
    if (exists(output, ".lock") || has_checkpoint(output)) return SODA_OK;
    for (size_t i = 0; i < sizeof results / sizeof *results; i++)
        if (exists(output, results[i]))
            return FAIL(
                SODA_ERR_INPUT,
                "output: %s/%s: expected a new folder or that of an earlier run, found this "
                "file without checkpoints beside it (--overwrite uses the folder anyway)",
                output, results[i]);
    return SODA_OK;
}

/* Deletes files "NAME.tmp-..." of `folder`, where NAME begins with one of `names`. */
static void tidy_folder(const char *folder, const char *const *names)
{
    char path[PATH_BYTES];
    DIR *list = opendir(folder);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        bool ours = false;
        for (const char *const *name = names; *name && !ours; name++)
            ours = strncmp(entry->d_name, *name, strlen(*name)) == 0;
        if (ours && strstr(entry->d_name, ".tmp-") &&
            path_in(path, sizeof path, folder, "%s", entry->d_name) == SODA_OK)
            unlink(path);
    }
    if (list) closedir(list);
}

/* What attempts that were killed left unfinished; with the lock in hand, none of it is in use. */
static void tidy(const char *output)
{
    static const char *const results[] = {"adapter.safetensors.tmp-",
                                          "spectra.h5.tmp-",
                                          "metrics.jsonl.tmp-",
                                          "config.yaml.tmp-",
                                          "config.resolved.yaml.tmp-",
                                          ".lock.tmp-",
                                          NULL};
    static const char *const checkpoints[] = {"step-", "latest.tmp-", NULL};
    static const char *const pictures[] = {"step-", "validation.png.tmp-", NULL};
    char path[PATH_BYTES];
    tidy_folder(output, results);
    if (path_in(path, sizeof path, output, "checkpoints") == SODA_OK)
        tidy_folder(path, checkpoints);
    if (path_in(path, sizeof path, output, "samples") == SODA_OK) tidy_folder(path, pictures);
}

soda_status run_folder_open(const char *output, bool overwrite, run_lock **lock)
{
    char path[PATH_BYTES];
    if (!overwrite) TRY(check_foreign(output));
    TRY(path_in(path, sizeof path, output, "checkpoints"));
    TRY(newfile_make_folder(path));
    TRY(run_lock_take(output, lock));
    tidy(output);
    return SODA_OK;
}

soda_status run_folder_check_new(const char *output)
{
    if (!exists(output, "adapter.safetensors")) return SODA_OK;
    return FAIL(
        SODA_ERR_INPUT,
        "output: %s: expected a checkpoint to resume from, found only a finished "
        "adapter.safetensors: choose another output folder, or give --overwrite to train again "
        "here",
        output);
}

/* Whether there is a file that no run wrote. One that this user may not read is such a file; one
 * that cannot be read now may be ours, so that is an error. */
static soda_status is_foreign(const char *path, bool *foreign)
{
    char line[sizeof written_by_soda] = "";
    FILE *file = fopen(path, "rb");
    *foreign = !file && errno == EACCES;
    if (!file && (*foreign || errno == ENOENT)) return SODA_OK;
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const size_t bytes = fread(line, 1, sizeof written_by_soda - 1, file);
    const int code = ferror(file) ? errno : 0;
    fclose(file);
    if (code) return FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(code));
    *foreign = bytes != sizeof written_by_soda - 1 || memcmp(line, written_by_soda, bytes) != 0;
    return SODA_OK;
}

soda_status run_folder_write_config(const char *output, const char *text)
{
    char path[PATH_BYTES], resolved[PATH_BYTES];
    soda_newfile *file = NULL;
    bool kept;
    soda_status s = SODA_OK;
    TRY(path_in(path, sizeof path, output, "config.yaml"));
    TRY(path_in(resolved, sizeof resolved, output, "config.resolved.yaml"));
    TRY(is_foreign(path, &kept));
    if (kept)
        log_info(
            "%s was not written by soda and is left unchanged; the resolved configuration is in %s",
            path, resolved);
    TRY_TO(done, newfile_create(kept ? resolved : path, &file));
    TRY_TO(done, newfile_write(file, written_by_soda, sizeof written_by_soda - 1));
    TRY_TO(done, newfile_write(file, text, strlen(text)));
    TRY_TO(done, newfile_commit(file));
done:
    newfile_close(file);
    return s;
}
