#include "io/newfile.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

struct soda_newfile {
    int fd;
    char *path;      /* `path`, then the temporary name after its zero: one block */
    char *temporary; /* NULL: the bytes go to `path` itself, or the file has its name */
};

static soda_status cannot(const char *what, const char *path)
{
    return FAIL(errno == ENOMEM ? SODA_ERR_MEMORY : SODA_ERR_IO, "%s: cannot %s: %s", path, what,
                strerror(errno));
}

bool newfile_in_place(const char *path)
{
    struct stat about;
    return stat(path, &about) == 0 && !S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode);
}

void newfile_name_temporary(const char *path, char *text, size_t size)
{
    char host[65] = "";
    gethostname(host, sizeof host - 1); /* nodes that share a folder have equal process ids */
    snprintf(text, size, "%s.tmp-%s-%ld", path, host, (long)getpid());
}

soda_status newfile_create(const char *path, soda_newfile **file)
{
    const size_t length = strlen(path) + 1, room = length + NEWFILE_TEMPORARY;
    soda_newfile *f = malloc(sizeof *f);
    char *names = malloc(length + room);
    if (!f || !names) {
        free(f);
        free(names);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory while creating the file", path);
    }
    *f = (soda_newfile){.path = names, .temporary = names + length};
    memcpy(f->path, path, length);
    newfile_name_temporary(path, f->temporary, room);
    if (newfile_in_place(path)) {
        f->temporary = NULL;
        f->fd = open(path, O_WRONLY | O_CLOEXEC);
    } else {
        unlink(f->temporary); /* left by a killed process that had our id */
        f->fd = open(f->temporary, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    }
    if (f->fd < 0) {
        const soda_status s = cannot("create", path);
        free(names);
        free(f);
        return s;
    }
    *file = f;
    return SODA_OK;
}

soda_status newfile_write(soda_newfile *file, const void *data, size_t bytes)
{
    const char *from = data;
    while (bytes > 0) {
        const ssize_t done = write(file->fd, from, bytes);
        if (done < 0 && errno == EINTR) continue;
        if (done < 0) return cannot("write", file->path);
        from += done;
        bytes -= (size_t)done;
    }
    return SODA_OK;
}

/* The folder of `path`, opened; below 0 with errno set. */
static int open_folder_of(const char *path)
{
    char *folder = strdup(path);
    if (!folder) return -1;
    char *slash = strrchr(folder, '/');
    if (slash) slash[slash == folder] = '\0';
    const int fd = open(slash ? folder : ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    free(folder);
    return fd;
}

soda_status newfile_sync(soda_newfile *file)
{
    if (fsync(file->fd) != 0 && errno != EINVAL) return cannot("sync", file->path);
    /* Whoever reads it back shall see the disk, not the memory it was written from. */
    (void)posix_fadvise(file->fd, 0, 0, POSIX_FADV_DONTNEED);
    const int closed = close(file->fd);
    file->fd = -1;
    if (closed != 0 && errno != EINTR) return cannot("close", file->path);
    return SODA_OK;
}

const char *newfile_temporary(const soda_newfile *file)
{
    return file->temporary ? file->temporary : file->path;
}

/* Gives the file its name, in place of what has it. 0, or -1 with errno, as below. */
static int rename_over(const soda_newfile *file) { return rename(file->temporary, file->path); }

/* Gives the file its name unless something has it: EEXIST. */
static int link_new(const soda_newfile *file)
{
    if (link(file->temporary, file->path) == 0) {
        unlink(file->temporary);
        return 0;
    }
    if (errno == EEXIST) return -1;
    /* No hard links (FAT, some mounts): an empty file holds the name until the rename. */
    const int fd = open(file->path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0666);
    if (fd < 0) return -1;
    close(fd);
    if (rename_over(file) == 0) return 0;
    const int why = errno;
    unlink(file->path);
    errno = why;
    return -1;
}

/* Syncs, gives the file its name by `give_name`, syncs the folder. With `taken`, a name that
 * something has is no failure. */
static soda_status commit(soda_newfile *file, int (*give_name)(const soda_newfile *), bool *taken)
{
    soda_status s = SODA_OK;
    if (file->fd >= 0) TRY(newfile_sync(file));
    if (!file->temporary) return SODA_OK;          /* written in place */
    const int folder = open_folder_of(file->path); /* before there is something to see */
    if (folder < 0 && errno == ENOMEM)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for the name of its folder", file->path);
    if (folder < 0) return cannot("open the folder of", file->path);
    if (give_name(file) != 0) {
        if (taken) *taken = errno == EEXIST;
        if (!taken || !*taken) s = cannot("rename to", file->path);
    } else {
        file->temporary = NULL;
        /* A rename is on the disk only once the folder is. EINVAL: this file system has no such
         * call (some network mounts). */
        if (fsync(folder) != 0 && errno != EINVAL) s = cannot("sync the folder of", file->path);
    }
    close(folder);
    return s;
}

soda_status newfile_commit(soda_newfile *file) { return commit(file, rename_over, NULL); }

soda_status newfile_commit_new(soda_newfile *file, bool *taken)
{
    *taken = false;
    return commit(file, link_new, taken);
}

void newfile_close(soda_newfile *file)
{
    if (!file) return;
    if (file->fd >= 0) close(file->fd);
    if (file->temporary) unlink(file->temporary);
    free(file->path);
    free(file);
}

soda_status newfile_sync_path(const char *path)
{
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0 && errno == ENOENT) return SODA_OK;
    if (fd < 0) return cannot("open", path);
    soda_status s = SODA_OK;
    if (fsync(fd) != 0 && errno != EINVAL) s = cannot("sync", path);
    close(fd);
    return s;
}

/* The name of a new folder, on the disk; where that cannot be, the folder is there all the same. */
static void sync_name(const char *path)
{
    const int folder = open_folder_of(path);
    if (folder < 0) return;
    (void)fsync(folder);
    close(folder);
}

/* A symbolic link that leads to nothing. */
static soda_status refuse_link(const char *path)
{
    char target[1024];
    const ssize_t length = readlink(path, target, sizeof target - 1);
    target[length > 0 ? length : 0] = '\0';
    return FAIL(SODA_ERR_IO,
                "%s: cannot make the folder: this is a symbolic link to %s, which does not exist",
                path, target);
}

/* Makes one folder; one that is there already is fine. */
static soda_status make_one(const char *path)
{
    struct stat about;
    if (mkdir(path, 0777) == 0) {
        sync_name(path);
        return SODA_OK;
    }
    const int why = errno;
    const bool is_there = stat(path, &about) == 0;
    if (is_there && S_ISDIR(about.st_mode)) return SODA_OK;
    if (!is_there && lstat(path, &about) == 0 && S_ISLNK(about.st_mode)) return refuse_link(path);
    errno = is_there ? ENOTDIR : why;
    return cannot("make the folder", path);
}

soda_status newfile_make_folder(const char *path)
{
    soda_status s = SODA_OK;
    char *part = strdup(path);
    if (!part) return FAIL(SODA_ERR_MEMORY, "%s: out of memory while making the folder", path);
    for (char *slash = strchr(part + (part[0] == '/'), '/'); slash;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        TRY_TO(done, make_one(part));
        *slash = '/';
    }
    TRY_TO(done, make_one(part));
done:
    free(part);
    return s;
}
