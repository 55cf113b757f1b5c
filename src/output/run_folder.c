#include "output/run_folder.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config/run_config_diff.h"
#include "core/log.h"
#include "core/path.h"
#include "core/text_file.h"
#include "io/checkpoint_folder.h"
#include "io/newfile.h"

enum { PATH_BYTES = 4200 };

/* The first line of every configuration that a run writes: how it is told from a user's file. */
static const char written_by_soda[] =
    "# The resolved configuration of this run, written by soda.\n";

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
                                          "config.resolved",
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

/* ---- the configuration ---- */

typedef enum { NO_CONFIG, CONFIG_OF_SODA, CONFIG_OF_USER } config_owner;

static bool is_same_file(const char *a, const char *b)
{
    struct stat x, y;
    return stat(a, &x) == 0 && stat(b, &y) == 0 && x.st_dev == y.st_dev && x.st_ino == y.st_ino;
}

/* Who wrote a file: one that this user may not read is not soda's; one that cannot be read now may
 * be, so that is an error. */
static soda_status find_owner(const char *path, config_owner *owner)
{
    char line[sizeof written_by_soda] = "";
    FILE *file = fopen(path, "rb");
    *owner = !file && errno == ENOENT ? NO_CONFIG : CONFIG_OF_USER;
    if (!file && (errno == EACCES || errno == ENOENT)) return SODA_OK;
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    const size_t bytes = fread(line, 1, sizeof written_by_soda - 1, file);
    const int code = ferror(file) ? errno : 0;
    fclose(file);
    if (code) return FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(code));
    if (bytes == sizeof written_by_soda - 1 && memcmp(line, written_by_soda, bytes) == 0)
        *owner = CONFIG_OF_SODA;
    return SODA_OK;
}

/* The names for the resolved configuration, in the order in which they are tried. */
static soda_status config_path(const char *output, int i, char path[PATH_BYTES])
{
    if (i == 0) return path_in(path, PATH_BYTES, output, "config.yaml");
    if (i == 1) return path_in(path, PATH_BYTES, output, "config.resolved.yaml");
    return path_in(path, PATH_BYTES, output, "config.resolved-%d.yaml", i);
}

/* The last file in use, if soda wrote it and it is not `given`, else the first free name: once a
 * run has gone on to another name, what the user has under those before stays as it is. */
static soda_status choose_config(const char *output, const char *given, char path[PATH_BYTES])
{
    config_owner owner = CONFIG_OF_USER, last = owner;
    int i = 0;
    for (; owner != NO_CONFIG; i++) {
        last = owner;
        TRY(config_path(output, i, path));
        TRY(find_owner(path, &owner));
        if (is_same_file(path, given)) owner = CONFIG_OF_USER;
    }
    return last == CONFIG_OF_SODA ? config_path(output, i - 2, path) : SODA_OK;
}

soda_status run_folder_write_config(const char *output, const char *given, const char *text)
{
    char first[PATH_BYTES], path[PATH_BYTES];
    soda_newfile *file = NULL;
    soda_status s = SODA_OK;
    TRY(config_path(output, 0, first));
    TRY(choose_config(output, given, path));
    if (strcmp(path, first) != 0)
        log_info("%s is left unchanged; the resolved configuration is in %s", first, path);
    TRY_TO(done, newfile_create(path, &file));
    TRY_TO(done, newfile_write(file, written_by_soda, sizeof written_by_soda - 1));
    TRY_TO(done, newfile_write(file, text, strlen(text)));
    TRY_TO(done, newfile_commit(file));
done:
    newfile_close(file);
    return s;
}

/* ---- opening ---- */

/* Keys that say how a run is computed, not what: they may change before it is started again. */
static bool is_of_machine(const char *key)
{
    static const char *const keys[] = {"checkpoint.", "parallel.", "train.batch",
                                       "train.memory_limit", "train.recompute"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++)
        if (strncmp(key, keys[i], strlen(keys[i])) == 0) return true;
    return false;
}

/* Whether the run that began here last was this one, as the configuration that it left says. */
static soda_status is_begun(const char *output, const char *text, bool *begun)
{
    enum { MOST_BYTES = 1 << 20 };
    char path[PATH_BYTES], *then;
    size_t bytes;
    run_config_diff changes;
    *begun = false;
    TRY(choose_config(output, "", path)); /* whichever file this run was given */
    if (access(path, F_OK) != 0) return SODA_OK;
    TRY(text_file_read(path, MOST_BYTES, &then, &bytes));
    const soda_status s = run_config_diff_find(then, text, &changes);
    free(then);
    TRY(s);
    *begun = true;
    for (int i = 0; i < changes.count; i++) *begun = *begun && is_of_machine(changes.list[i].name);
    run_config_diff_free(&changes);
    return SODA_OK;
}

static bool holds_something(const char *output, const char *name)
{
    char path[PATH_BYTES];
    struct stat about;
    return path_in(path, sizeof path, output, "%s", name) == SODA_OK && stat(path, &about) == 0 &&
           (about.st_size > 0 || S_ISDIR(about.st_mode));
}

static soda_status refuse(const char *output, const char *name)
{
    return FAIL(SODA_ERR_INPUT,
                "output: %s/%s: expected a new folder or checkpoints to resume from, found this, "
                "which a new run would replace: choose another output folder, or give --overwrite",
                output, name);
}

/* Refuses what a run that has no checkpoint to resume from would replace. */
static soda_status check_new(const char *output, const char *text)
{
    static const struct {
        const char *name;
        bool is_early; /* there before the first checkpoint: starting again makes it anew */
    } results[] = {{"adapter.safetensors", false},
                   {"spectra.h5", false},
                   {"checkpoints/latest", false},
                   {"metrics.jsonl", true},
                   {"samples", true}};
    for (size_t i = 0; i < sizeof results / sizeof *results; i++) {
        bool begun = false;
        if (!holds_something(output, results[i].name)) continue;
        if (results[i].is_early) TRY(is_begun(output, text, &begun));
        if (!begun) return refuse(output, results[i].name);
    }
    return SODA_OK;
}

static soda_status check_folder(const char *output, const char *text)
{
    char path[PATH_BYTES];
    checkpoint_steps list;
    if (run_lock_is_foreign(output)) return refuse(output, ".lock");
    TRY(path_in(path, sizeof path, output, "checkpoints"));
    TRY(checkpoint_list(path, false, &list));
    free(list.step);
    return list.count > 0 ? SODA_OK : check_new(output, text);
}

soda_status run_folder_open(const char *output, const char *text, bool overwrite, run_lock **lock)
{
    char path[PATH_BYTES];
    if (!overwrite) TRY(check_folder(output, text));
    TRY(path_in(path, sizeof path, output, "checkpoints"));
    TRY(newfile_make_folder(path));
    TRY(run_lock_take(output, lock));
    tidy(output);
    return SODA_OK;
}
