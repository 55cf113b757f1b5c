#include "io/checkpoint_folder.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "io/checkpoint.h"
#include "io/checkpoint_layout.h"
#include "io/newfile.h"

enum { MOST_PATH = CHECKPOINT_MOST_PATH, NAME_BYTES = 40 };

static void step_name(int64_t step, char name[NAME_BYTES])
{
    snprintf(name, NAME_BYTES, "step-%08" PRId64 ".h5", step);
}

/* The step of a name that step_name gives, else -1. */
static int64_t step_of(const char *name)
{
    char again[NAME_BYTES];
    int64_t step;
    if (sscanf(name, "step-%18" SCNd64, &step) != 1 || step < 0) return -1;
    step_name(step, again);
    return strcmp(name, again) == 0 ? step : -1;
}

soda_status checkpoint_path(const char *folder, int64_t step, char *path, size_t size)
{
    char name[NAME_BYTES];
    step_name(step, name);
    return path_in(path, size, folder, "%s", name);
}

soda_status checkpoint_set_latest(const char *folder, int64_t step)
{
    char path[MOST_PATH], line[NAME_BYTES];
    soda_newfile *file;
    step_name(step, line);
    strcat(line, "\n");
    TRY(path_in(path, sizeof path, folder, "latest"));
    TRY(newfile_create(path, &file));
    soda_status s = newfile_write(file, line, strlen(line));
    if (s == SODA_OK) s = newfile_commit(file);
    newfile_close(file);
    return s;
}

static int by_falling_step(const void *a, const void *b)
{
    const int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x < y) - (x > y);
}

static bool is_unfinished(const char *name)
{
    const char *end = strstr(name, ".tmp-");
    return end && (strncmp(name, "step-", 5) == 0 || strncmp(name, "latest.", 7) == 0);
}

static void remove_file(const char *folder, const char *name)
{
    char path[MOST_PATH];
    if (path_in(path, sizeof path, folder, "%s", name) == SODA_OK &&
        (unlink(path) == 0 || unlink(path) == 0)) /* once more: the last save has no next one */
        return;
    log_warning("%s/%s: cannot delete: %s", folder, name, strerror(errno));
}

soda_status checkpoint_list(const char *folder, bool tidy, checkpoint_steps *list)
{
    soda_status s = SODA_OK;
    int room = 0;
    *list = (checkpoint_steps){0};
    DIR *dir = opendir(folder);
    if (!dir && errno == ENOENT) return SODA_OK;
    if (!dir) return FAIL(SODA_ERR_IO, "%s: cannot open the folder: %s", folder, strerror(errno));
    const struct dirent *entry;
    while (errno = 0, (entry = readdir(dir)) != NULL) {
        if (tidy && is_unfinished(entry->d_name)) remove_file(folder, entry->d_name);
        const int64_t step = step_of(entry->d_name);
        if (step < 0) continue;
        if (list->count == room) {
            room = room ? 2 * room : 16;
            int64_t *larger = realloc(list->step, (size_t)room * sizeof *larger);
            if (!larger) {
                s = FAIL(SODA_ERR_MEMORY, "%s: out of memory", folder);
                goto done;
            }
            list->step = larger;
        }
        list->step[list->count++] = step;
    }
    if (errno) s = FAIL(SODA_ERR_IO, "%s: cannot read the folder: %s", folder, strerror(errno));
done:
    closedir(dir);
    if (s != SODA_OK) {
        free(list->step);
        *list = (checkpoint_steps){0};
    } else if (list->count) {
        qsort(list->step, (size_t)list->count, sizeof *list->step, by_falling_step);
    }
    return s;
}

soda_status checkpoint_prune(const char *folder, int64_t step, int64_t keep)
{
    checkpoint_steps list;
    char name[NAME_BYTES];
    TRY(checkpoint_list(folder, true, &list));
    int later = 0;
    while (later < list.count && list.step[later] > step) later++;
    for (int i = 0; i < list.count; i++) {
        const int age = i >= later ? i - later : list.count - later + i;
        if (age < keep || list.step[i] == step) continue;
        step_name(list.step[i], name);
        remove_file(folder, name);
    }
    free(list.step);
    return SODA_OK;
}

soda_status checkpoint_make_room(const char *folder, int *deleted)
{
    soda_checkpoint good;
    checkpoint_steps list;
    char path[MOST_PATH], name[NAME_BYTES];
    bool found;
    *deleted = 0;
    TRY(checkpoint_read_newest(folder, &good, path, sizeof path, &found));
    if (!found) return SODA_OK;
    const int64_t step = good.step;
    checkpoint_free(&good);
    TRY(checkpoint_list(folder, true, &list));
    for (int i = 0; i < list.count; i++) {
        if (list.step[i] >= step) continue;
        step_name(list.step[i], name);
        remove_file(folder, name);
        ++*deleted;
    }
    free(list.step);
    return SODA_OK;
}

soda_status checkpoint_latest(const char *folder, const checkpoint_steps *list, int64_t *step)
{
    char path[MOST_PATH], line[NAME_BYTES] = "";
    *step = -1;
    TRY(path_in(path, sizeof path, folder, "latest"));
    FILE *file = fopen(path, "re");
    if (!file && errno == ENOENT) return SODA_OK;
    if (file) {
        line[fread(line, 1, sizeof line - 1, file)] = '\0';
        fclose(file);
    }
    line[strcspn(line, "\n")] = '\0';
    *step = step_of(line);
    for (int i = 0; i < list->count; i++)
        if (list->step[i] == *step) return SODA_OK;
    log_warning("%s: does not name a checkpoint in this folder; trying the newest one", path);
    *step = -1;
    return SODA_OK;
}
