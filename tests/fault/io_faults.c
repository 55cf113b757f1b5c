/* io_faults.c: an LD_PRELOAD library that counts the calls by which soda touches files below
 * SODA_FAULT_FOLDER, or several, with a ':' between them, and lets one of them go wrong.
 *
 *     SODA_FAULT_LIST=FILE  writes "NUMBER CALL PATH" there, a line per call
 *     SODA_FAULT_AT=N       the N-th call, from 1, meets
 *     SODA_FAULT=KIND       EIO, ENOSPC, EINTR, ENOMEM   it fails, once
 *                           before, after                the process is killed
 *                           torn, short                  half of a write, then killed, or told so
 *                           power                        killed before it, and what was not synced
 *                                                        is undone: bytes since the last fsync of
 *                                                        their file, names since that of their
 *                                                        folder
 *     SODA_FAULT_KEEP=PATH  PATH.kept-N are second names of files; PATH.met is made by that call
 *
 * Reads by stdio are counted where soda calls it. All calls take one lock, so that nothing happens
 * while the past is undone. */
#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { MOST_FILES = 1024, MOST_UNDO = 4096, PATH_BYTES = 1024 };

static pthread_mutex_t lock = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;
static long count;

static struct file {
    char path[PATH_BYTES]; /* "": not below the folder */
    off_t synced;          /* bytes that survive */
} files[MOST_FILES];

/* What has happened to names and is not on the disk; kept[] is a second name of what was there. */
static struct undo {
    enum { GONE, MADE, MADE_FOLDER, RENAMED, DELETED } what;
    char path[PATH_BYTES], to[PATH_BYTES], kept[PATH_BYTES];
} undos[MOST_UNDO];
static int undo_count;

#define REAL(name) ((__typeof__(&name))real(#name))
static void *real(const char *name) { return dlsym(RTLD_NEXT, name); }

static bool is_below(const char *path)
{
    const char *folder = getenv("SODA_FAULT_FOLDER");
    while (folder && path) {
        const size_t length = strcspn(folder, ":");
        if (length && strncmp(path, folder, length) == 0) return true;
        folder = folder[length] ? folder + length + 1 : NULL;
    }
    return false;
}

static struct file *file_of(int fd)
{
    return fd >= 0 && fd < MOST_FILES && *files[fd].path ? &files[fd] : NULL;
}

static void add_undo(int what, const char *path, const char *to, const char *there)
{
    struct undo *u = &undos[undo_count];
    struct stat about;
    if (undo_count == MOST_UNDO) abort();
    *u = (struct undo){.what = what};
    snprintf(u->path, PATH_BYTES, "%s", path);
    snprintf(u->to, PATH_BYTES, "%s", to);
    if (there && stat(there, &about) == 0) {
        snprintf(u->kept, PATH_BYTES, "%s.kept-%d", getenv("SODA_FAULT_KEEP"), undo_count);
        (void)REAL(unlink)(u->kept);
        if (link(there, u->kept) != 0) abort();
    }
    undo_count++;
}

static bool is_in(const char *path, const char *folder)
{
    const char *slash = strrchr(path, '/');
    return slash && (size_t)(slash - path) == strlen(folder) &&
           strncmp(path, folder, strlen(folder)) == 0;
}

static void folder_is_synced(const char *folder)
{
    for (int i = 0; i < undo_count; i++)
        if (undos[i].what != GONE && is_in(undos[i].path, folder)) undos[i].what = GONE;
}

static void lose_power(void)
{
    for (int i = 0; i < MOST_FILES; i++) {
        struct stat about;
        if (*files[i].path && REAL(fstat)(i, &about) == 0 && S_ISREG(about.st_mode) &&
            about.st_size > files[i].synced) {
            char self[64];
            snprintf(self, sizeof self, "/proc/self/fd/%d", i);
            (void)!truncate(self, files[i].synced);
        }
    }
    for (int i = undo_count - 1; i >= 0; i--) {
        const struct undo *u = &undos[i];
        if (u->what == MADE) (void)REAL(unlink)(u->path);
        if (u->what == MADE_FOLDER) (void)rmdir(u->path);
        if (u->what == RENAMED) (void)REAL(rename)(u->to, u->path);
        if (u->what != GONE && *u->kept) (void)link(u->kept, u->what == RENAMED ? u->to : u->path);
    }
}

static bool is_fault(const char *kind)
{
    const char *wanted = getenv("SODA_FAULT");
    return wanted && strcmp(wanted, kind) == 0;
}

static void note_that_it_came(void)
{
    char path[PATH_BYTES];
    snprintf(path, sizeof path, "%s.met", getenv("SODA_FAULT_KEEP"));
    REAL(close)(REAL(open)(path, O_WRONLY | O_CREAT, 0666));
}

/* Counts a call. True if it is the one; what happens before it, has happened. */
static bool is_the_one(const char *call, const char *path)
{
    const char *list = getenv("SODA_FAULT_LIST"), *at = getenv("SODA_FAULT_AT");
    count++;
    if (list) {
        char line[PATH_BYTES + 64];
        const int bytes = snprintf(line, sizeof line, "%ld %s %s\n", count, call, path);
        const int fd = REAL(open)(list, O_WRONLY | O_CREAT | O_APPEND, 0666);
        if (REAL(write)(fd, line, (size_t)bytes) != bytes) abort();
        REAL(close)(fd);
    }
    if (!at || atol(at) != count) return false;
    note_that_it_came();
    if (is_fault("power")) lose_power();
    if (is_fault("power") || is_fault("before")) kill(getpid(), SIGKILL);
    return true;
}

static bool fails(void)
{
    static const struct {
        const char *name;
        int code;
    } errors[] = {{"EIO", EIO}, {"ENOSPC", ENOSPC}, {"EINTR", EINTR}, {"ENOMEM", ENOMEM}};
    for (int i = 0; i < 4; i++)
        if (is_fault(errors[i].name)) {
            errno = errors[i].code;
            return true;
        }
    return false;
}

static void kill_after(bool one)
{
    if (one && is_fault("after")) kill(getpid(), SIGKILL);
}

/* `failed` is what the call returns when it fails. */
#define CALL(type, name, path, failed, run)                                                        \
    do {                                                                                           \
        pthread_mutex_lock(&lock);                                                                 \
        const bool one = is_the_one(#name, path);                                                  \
        type result = failed;                                                                      \
        if (!one || !fails()) {                                                                    \
            run;                                                                                   \
            kill_after(one);                                                                       \
        }                                                                                          \
        pthread_mutex_unlock(&lock);                                                               \
        return result;                                                                             \
    } while (0)

static void opened(int fd, const char *path, bool is_new, bool emptied)
{
    struct stat about;
    if (fd < 0 || fd >= MOST_FILES) return;
    snprintf(files[fd].path, PATH_BYTES, "%s", path);
    files[fd].synced = !emptied && REAL(fstat)(fd, &about) == 0 ? about.st_size : 0;
    if (is_new) add_undo(MADE, path, "", NULL);
}

int open(const char *path, int flags, ...)
{
    va_list rest;
    va_start(rest, flags);
    const mode_t mode = flags & O_CREAT ? va_arg(rest, mode_t) : 0;
    va_end(rest);
    if (!is_below(path)) return REAL(open)(path, flags, mode);
    const bool is_new = flags & O_CREAT && access(path, F_OK) != 0;
    CALL(int, open, path, -1, result = REAL(open)(path, flags, mode);
         opened(result, path, is_new, flags & O_TRUNC));
}

FILE *fopen(const char *path, const char *mode)
{
    if (!is_below(path)) return REAL(fopen)(path, mode);
    CALL(FILE *, fopen, path, NULL, result = REAL(fopen)(path, mode);
         if (result) opened(fileno(result), path, false, false));
}

size_t fread(void *to, size_t size, size_t n, FILE *stream)
{
    const struct file *f = file_of(fileno(stream));
    if (!f) return REAL(fread)(to, size, n, stream);
    stream->_flags |= 0x20; /* glibc: an error was seen */
    CALL(size_t, fread, f->path, 0, stream->_flags &= ~0x20;
         result = REAL(fread)(to, size, n, stream));
}

ssize_t __getdelim(char **line, size_t *room, int end, FILE *stream)
{
    const struct file *f = file_of(fileno(stream));
    if (!f) return REAL(__getdelim)(line, room, end, stream);
    stream->_flags |= 0x20;
    CALL(ssize_t, __getdelim, f->path, -1, stream->_flags &= ~0x20;
         result = REAL(__getdelim)(line, room, end, stream));
}

int fclose(FILE *stream)
{
    const int fd = fileno(stream);
    if (fd >= 0 && fd < MOST_FILES) *files[fd].path = '\0';
    return REAL(fclose)(stream);
}

static ssize_t write_part(int fd, const void *data, size_t bytes)
{
    const ssize_t done =
        REAL(write)(fd, data, is_fault("torn") || is_fault("short") ? (bytes + 1) / 2 : bytes);
    if (is_fault("torn")) kill(getpid(), SIGKILL);
    return done;
}

ssize_t write(int fd, const void *data, size_t bytes)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(write)(fd, data, bytes);
    CALL(ssize_t, write, f->path, -1,
         result = one ? write_part(fd, data, bytes) : REAL(write)(fd, data, bytes));
}

ssize_t pwrite(int fd, const void *data, size_t bytes, off_t at)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(pwrite)(fd, data, bytes, at);
    CALL(ssize_t, pwrite, f->path, -1, result = REAL(pwrite)(fd, data, bytes, at));
}

int ftruncate(int fd, off_t bytes)
{
    struct file *f = file_of(fd);
    if (!f) return REAL(ftruncate)(fd, bytes);
    CALL(int, ftruncate, f->path, -1, result = REAL(ftruncate)(fd, bytes);
         if (bytes < f->synced) f->synced = bytes);
}

ssize_t read(int fd, void *to, size_t bytes)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(read)(fd, to, bytes);
    CALL(ssize_t, read, f->path, -1, result = REAL(read)(fd, to, bytes));
}

ssize_t pread(int fd, void *to, size_t bytes, off_t at)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(pread)(fd, to, bytes, at);
    CALL(ssize_t, pread, f->path, -1, result = REAL(pread)(fd, to, bytes, at));
}

void *mmap(void *at, size_t bytes, int access, int flags, int fd, off_t from)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(mmap)(at, bytes, access, flags, fd, from);
    CALL(void *, mmap, f->path, MAP_FAILED,
         result = REAL(mmap)(at, bytes, access, flags, fd, from));
}

int fstat(int fd, struct stat *about)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(fstat)(fd, about);
    CALL(int, fstat, f->path, -1, result = REAL(fstat)(fd, about));
}

/* The file, under whatever descriptors it is open. */
static void file_is_synced(int fd, const struct file *f)
{
    struct stat about;
    if (REAL(fstat)(fd, &about) != 0) return;
    if (S_ISDIR(about.st_mode)) folder_is_synced(f->path);
    for (int i = 0; i < MOST_FILES; i++)
        if (strcmp(files[i].path, f->path) == 0) files[i].synced = about.st_size;
}

int fsync(int fd)
{
    const struct file *f = file_of(fd);
    if (!f) return REAL(fsync)(fd);
    CALL(int, fsync, f->path, -1, result = REAL(fsync)(fd); file_is_synced(fd, f));
}

/* A file that is closed before it was synced can still lose its bytes. */
static void keep_unsynced(int fd, const struct file *f)
{
    struct stat about;
    char self[64];
    if (REAL(fstat)(fd, &about) != 0 || !S_ISREG(about.st_mode) || about.st_size <= f->synced)
        return;
    snprintf(self, sizeof self, "/proc/self/fd/%d", fd);
    const int again = REAL(open)(self, O_WRONLY | O_CLOEXEC);
    if (again >= 0 && again < MOST_FILES) files[again] = *f;
}

int close(int fd)
{
    struct file *f = file_of(fd);
    if (!f) return REAL(close)(fd);
    CALL(int, close, f->path, -1, keep_unsynced(fd, f); *f->path = '\0'; result = REAL(close)(fd));
}

static void name_files(const char *from, const char *to)
{
    for (int i = 0; i < MOST_FILES; i++)
        if (strcmp(files[i].path, from) == 0) snprintf(files[i].path, PATH_BYTES, "%s", to);
}

int rename(const char *from, const char *to)
{
    if (!is_below(to)) return REAL(rename)(from, to);
    CALL(int, rename, to, -1, add_undo(RENAMED, from, to, to); result = REAL(rename)(from, to);
         if (result == 0) name_files(from, to));
}

int unlink(const char *path)
{
    if (!is_below(path)) return REAL(unlink)(path);
    CALL(int, unlink, path, -1, if (access(path, F_OK) == 0) add_undo(DELETED, path, "", path);
         result = REAL(unlink)(path));
}

int mkdir(const char *path, mode_t mode)
{
    if (!is_below(path)) return REAL(mkdir)(path, mode);
    CALL(int, mkdir, path, -1, result = REAL(mkdir)(path, mode);
         if (result == 0) add_undo(MADE_FOLDER, path, "", NULL));
}

static DIR *listed[16];
static char listed_path[16][PATH_BYTES];

DIR *opendir(const char *path)
{
    if (!is_below(path)) return REAL(opendir)(path);
    CALL(DIR *, opendir, path, NULL, result = REAL(opendir)(path); int i = 0;
         while (i < 15 && listed[i]) i++; listed[i] = result;
         snprintf(listed_path[i], PATH_BYTES, "%s", path));
}

struct dirent *readdir(DIR *list)
{
    int i = 0;
    while (i < 16 && listed[i] != list) i++;
    if (i == 16) return REAL(readdir)(list);
    CALL(struct dirent *, readdir, listed_path[i], NULL, result = REAL(readdir)(list));
}

int fstatat(int folder, const char *name, struct stat *about, int flags)
{
    int i = 0;
    while (i < 16 && !(listed[i] && dirfd(listed[i]) == folder)) i++;
    if (i == 16) return REAL(fstatat)(folder, name, about, flags);
    CALL(int, fstatat, listed_path[i], -1, result = REAL(fstatat)(folder, name, about, flags));
}

int closedir(DIR *list)
{
    for (int i = 0; i < 16; i++)
        if (listed[i] == list) listed[i] = NULL;
    return REAL(closedir)(list);
}
