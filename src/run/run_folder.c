#include "run/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/file.h>
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

/* Two runs in one folder would undo each other's checkpoints: ranks that a launcher started without
 * telling them of each other, or one job submitted twice. */
static soda_status lock_folder(const char *output, int *lock)
{
    char path[PATH_BYTES];
    TRY(path_in(path, sizeof path, output, ".lock"));
    *lock = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (*lock < 0 || flock(*lock, LOCK_EX | LOCK_NB) == 0) return SODA_OK; /* or no locks here */
    if (errno != EWOULDBLOCK) return SODA_OK;
    return FAIL(
        SODA_ERR_INPUT,
        "output: %s: another run is writing to this folder (if these processes should be ranks "
        "of one run, they were not started as MPI ranks: use mpirun or srun --mpi=pmix)",
        output);
}

soda_status run_folder_open(const char *output, bool overwrite, int *lock)
{
    char path[PATH_BYTES];
    if (!overwrite) TRY(check_foreign(output));
    TRY(path_in(path, sizeof path, output, "checkpoints"));
    TRY(newfile_make_folder(path));
    return lock_folder(output, lock);
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

/* Whether a run wrote the file; one that cannot be read is not ours. */
static bool is_ours(const char *path)
{
    char line[sizeof written_by_soda] = "";
    FILE *file = fopen(path, "rb");
    if (!file) return false;
    const size_t bytes = fread(line, 1, sizeof written_by_soda - 1, file);
    fclose(file);
    return bytes == sizeof written_by_soda - 1 && memcmp(line, written_by_soda, bytes) == 0;
}

soda_status run_folder_write_config(const char *output, const char *text)
{
    char path[PATH_BYTES], resolved[PATH_BYTES];
    soda_newfile *file = NULL;
    soda_status s = SODA_OK;
    TRY(path_in(path, sizeof path, output, "config.yaml"));
    TRY(path_in(resolved, sizeof resolved, output, "config.resolved.yaml"));
    const bool kept = access(path, F_OK) == 0 && !is_ours(path);
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
