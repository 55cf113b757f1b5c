/* newfile.h: files that are there whole or not at all.
 *
 * Bytes go to "PATH.tmp-HOST-PID"; commit syncs them to the disk and renames. Whatever fails,
 * `path` keeps its old contents or stays absent, and closing removes the temporary file. A device
 * or a pipe is written to as it is, and keeps its place. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

typedef struct soda_newfile soda_newfile;

/* Whether a file may still be replaced: what `ask` returns; it may if there is none to ask. */
typedef struct {
    soda_status (*ask)(const void *context);
    const void *context;
} newfile_permission;

static inline soda_status newfile_may_replace(const newfile_permission *permission)
{
    return permission && permission->ask ? permission->ask(permission->context) : SODA_OK;
}

/* Whether `path` is a device, a pipe or a socket, whose place a file must not take. */
bool newfile_in_place(const char *path);

/* "PATH.tmp-HOST-PID", which no other process on the nodes that share a folder writes to; `text`
 * has room for NEWFILE_TEMPORARY more bytes than `path` with its zero. */
enum { NEWFILE_TEMPORARY = 100 };
void newfile_name_temporary(const char *path, char *text, size_t size);

/* Creates the temporary file beside `path`; the folder must exist. */
soda_status newfile_create(const char *path, soda_newfile **file);

/* Appends. SODA_ERR_IO names the file and the reason, a full disk for instance. */
soda_status newfile_write(soda_newfile *file, const void *data, size_t bytes);

/* Syncs and closes, after the last write: what newfile_temporary names can then be read back from
 * the disk. Optional before newfile_commit. */
soda_status newfile_sync(soda_newfile *file);
const char *newfile_temporary(const soda_newfile *file); /* until newfile_commit */

/* Syncs, renames to `path`, syncs the folder. Once, after the last write. */
soda_status newfile_commit(soda_newfile *file);

/* The same, but replaces nothing: *taken, and nothing done, if something has that name already. */
soda_status newfile_commit_new(soda_newfile *file, bool *taken);

/* Frees; removes the temporary file unless it was committed. Accepts NULL. */
void newfile_close(soda_newfile *file);

/* Syncs a file that others write to; one that is not there is fine. */
soda_status newfile_sync_path(const char *path);

/* Makes the folder `path` and those above it, as mkdir -p does, and syncs what it made. */
soda_status newfile_make_folder(const char *path);
