#include "io/cache_limit.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "core/path.h"
#include "core/sha256.h"

enum { MOST_PATH = 4096, TRIES = 50, BETWEEN_NS = 100000000 };

static const char file_end[] = ".safetensors", temporary_end[] = ".safetensors.tmp-";

struct cache_use {
    int lock;
};

static atomic_bool used_once; /* ranks of tests are threads */

typedef struct {
    char kind[64], name[256];
    int64_t bytes;
    struct timespec used;
} cached_file;

typedef struct {
    cached_file *at;
    int64_t count, room;
} cached_files;

/* Locks bytes [start, start + length), those of this open file; -1 if it has no such locks. */
static int lock_bytes(int fd, int kind, int command, int64_t start, int64_t length)
{
    struct flock bytes = {
        .l_type = (short)kind, .l_whence = SEEK_SET, .l_start = start, .l_len = length};
    return fcntl(fd, command, &bytes);
}

/* Byte 0, which is held for moments only: after some seconds without it, the caller goes on. */
static void lock_gate(int fd, int kind)
{
    for (int i = 0; i < TRIES && lock_bytes(fd, kind, F_OFD_SETLK, 0, 1) != 0; i++) {
        if (errno != EAGAIN && errno != EACCES) return;
        nanosleep(&(struct timespec){.tv_nsec = BETWEEN_NS}, NULL);
    }
}

static int open_lock(const char *folder)
{
    char path[MOST_PATH];
    if (path_in(path, sizeof path, folder, "lock") != SODA_OK) {
        status_clear();
        return -1;
    }
    const int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    return fd >= 0 ? fd : open(path, O_RDONLY | O_CLOEXEC);
}

/* Now, by the clock of the file system if it may be asked. */
static int64_t time_of(int fd)
{
    struct stat about;
    if (futimens(fd, NULL) == 0 && fstat(fd, &about) == 0) return about.st_mtim.tv_sec;
    return time(NULL);
}

soda_status cache_limit_begin(const char *folder, cache_use **use)
{
    const int fd = open_lock(folder);
    *use = NULL;
    used_once = true;
    if (fd < 0) return SODA_OK;
    if (lock_bytes(fd, F_UNLCK, F_OFD_SETLK, 0, 1) != 0) { /* no locks here */
        close(fd);
        return SODA_OK;
    }
    *use = malloc(sizeof **use);
    if (!*use) {
        close(fd);
        return FAIL(SODA_ERR_MEMORY, "out of memory for the lock of the cache");
    }
    (*use)->lock = fd;
    lock_gate(fd, F_RDLCK);
    lock_bytes(fd, F_RDLCK, F_OFD_SETLK, time_of(fd), 1);
    lock_bytes(fd, F_UNLCK, F_OFD_SETLK, 0, 1);
    return SODA_OK;
}

void cache_limit_end(cache_use *use)
{
    if (!use) return;
    close(use->lock);
    free(use);
}

bool cache_limit_used(void) { return used_once; }

void cache_limit_touch(const char *path) { utimensat(AT_FDCWD, path, NULL, 0); }

/* When the first of the processes that use the cache began; INT64_MAX if none does. */
static int64_t earliest_use(int fd)
{
    int64_t earliest = INT64_MAX;
    while (earliest > 1) {
        struct flock other = {.l_type = F_WRLCK,
                              .l_whence = SEEK_SET,
                              .l_start = 1,
                              .l_len = earliest == INT64_MAX ? 0 : earliest - 1};
        if (fcntl(fd, F_OFD_GETLK, &other) != 0) return 0;
        if (other.l_type == F_UNLCK) return earliest;
        earliest = other.l_start;
    }
    return earliest;
}

/* KEY.safetensors, or that while it was being written by a process that has gone. */
static bool is_cached(const char *name)
{
    const size_t digits = SHA256_HEX - 1;
    if (strspn(name, "0123456789abcdef") != digits) return false;
    return strcmp(name + digits, file_end) == 0 ||
           strncmp(name + digits, temporary_end, sizeof temporary_end - 1) == 0;
}

static soda_status add(cached_files *files, const char *kind, const char *name,
                       const struct stat *about)
{
    if (files->count == files->room) {
        const int64_t room = files->room ? 2 * files->room : 256;
        cached_file *grown = realloc(files->at, (size_t)room * sizeof *grown);
        if (!grown) return FAIL(SODA_ERR_MEMORY, "out of memory for the list of cached files");
        files->at = grown;
        files->room = room;
    }
    cached_file *file = &files->at[files->count];
    *file = (cached_file){.bytes = about->st_size, .used = about->st_mtim};
    if ((size_t)snprintf(file->kind, sizeof file->kind, "%s", kind) < sizeof file->kind &&
        (size_t)snprintf(file->name, sizeof file->name, "%s", name) < sizeof file->name)
        files->count++;
    return SODA_OK;
}

static soda_status list_kind(const char *folder, const char *kind, cached_files *files)
{
    char path[MOST_PATH];
    struct stat about;
    soda_status s = SODA_OK;
    TRY(path_in(path, sizeof path, folder, "%s", kind));
    DIR *list = opendir(path);
    if (!list) return SODA_OK; /* a file, or it has just gone */
    for (const struct dirent *e; s == SODA_OK && (e = readdir(list)) != NULL;)
        if (is_cached(e->d_name) &&
            fstatat(dirfd(list), e->d_name, &about, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISREG(about.st_mode))
            s = add(files, kind, e->d_name, &about);
    closedir(list);
    return s;
}

static soda_status list_all(const char *folder, cached_files *files)
{
    DIR *kinds = opendir(folder);
    soda_status s = SODA_OK;
    if (!kinds) return SODA_OK;
    for (const struct dirent *e; s == SODA_OK && (e = readdir(kinds)) != NULL;)
        if (e->d_name[0] != '.') s = list_kind(folder, e->d_name, files);
    closedir(kinds);
    return s;
}

soda_status cache_limit_measure(const char *folder, cache_size *sizes, int *count, cache_size *all)
{
    cached_files files = {0};
    *count = 0;
    *all = (cache_size){0};
    const soda_status s = list_all(folder, &files);
    for (int64_t i = 0; s == SODA_OK && i < files.count; i++) {
        const cached_file *file = &files.at[i];
        int k = 0;
        while (k < *count && strcmp(sizes[k].kind, file->kind) != 0) k++;
        if (k == CACHE_KINDS) continue;
        if (k == *count) {
            sizes[k] = (cache_size){0};
            memcpy(sizes[k].kind, file->kind, sizeof file->kind);
            ++*count;
        }
        sizes[k].files++;
        sizes[k].bytes += file->bytes;
        all->files++;
        all->bytes += file->bytes;
    }
    free(files.at);
    return s;
}

static int by_use(const void *a, const void *b)
{
    const cached_file *x = a, *y = b;
    if (x->used.tv_sec != y->used.tv_sec) return x->used.tv_sec < y->used.tv_sec ? -1 : 1;
    if (x->used.tv_nsec != y->used.tv_nsec) return x->used.tv_nsec < y->used.tv_nsec ? -1 : 1;
    return strcmp(x->name, y->name);
}

/* Removes the files that were used least recently, before the second `earliest`. */
static void remove_oldest(const char *folder, const cached_files *files, int64_t most,
                          int64_t earliest, cache_size *removed, cache_size *left)
{
    char path[MOST_PATH + 320];
    for (int64_t i = 0; i < files->count && left->bytes > most; i++) {
        const cached_file *file = &files->at[i];
        if (file->used.tv_sec >= earliest) break;
        snprintf(path, sizeof path, "%s/%s/%s", folder, file->kind, file->name);
        if (unlink(path) != 0) continue;
        removed->files++;
        removed->bytes += file->bytes;
        left->files--;
        left->bytes -= file->bytes;
    }
}

soda_status cache_limit_apply(const char *folder, int64_t most, cache_size *removed,
                              cache_size *left)
{
    cached_files files = {0};
    soda_status s = SODA_OK;
    *removed = *left = (cache_size){0};
    const int fd = open_lock(folder);
    if (fd < 0) return SODA_OK;
    lock_gate(fd, F_WRLCK);
    const int64_t earliest = earliest_use(fd);
    TRY_TO(done, list_all(folder, &files));
    left->files = files.count;
    for (int64_t i = 0; i < files.count; i++) left->bytes += files.at[i].bytes;
    if (files.count) qsort(files.at, (size_t)files.count, sizeof *files.at, by_use);
    remove_oldest(folder, &files, most, earliest, removed, left);
done:
    free(files.at);
    close(fd);
    return s;
}

soda_status cache_limit_bytes(int64_t *bytes)
{
    const char *text = getenv("SODA_CACHE_LIMIT");
    char *end;
    *bytes = (int64_t)CACHE_LIMIT_GIB << 30;
    if (!text || !*text) return SODA_OK;
    const double gib = strtod(text, &end);
    *bytes = INT64_MAX;
    if (strcmp(text, "none") == 0) return SODA_OK;
    if (end == text || *end || !(gib >= 0 && gib <= 1e9))
        return FAIL(SODA_ERR_USAGE,
                    "SODA_CACHE_LIMIT (--cache-limit): expected a number of GiB, at least 0, or "
                    "none, found '%s'",
                    text);
    *bytes = (int64_t)(gib * 0x1p30);
    return SODA_OK;
}
