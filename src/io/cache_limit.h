/* cache_limit.h: how much the cache of arrays (array_cache.h) holds, and what goes when it holds
 * too much: the files that were used least recently, never one that a running process uses.
 *
 * A file's time of modification is when it was last used. A process that uses the cache locks one
 * byte of FOLDER/lock, at the offset that is the time at which it began, in seconds. The earliest
 * such byte is the earliest use of files by running processes, so older files are free to go. The
 * kernel drops the lock with its process, on every node that shares the file system. All times are
 * the file system's. Byte 0 is held while a process begins, or removes. Only files called as
 * array_cache.h calls them are ever removed. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

typedef struct cache_use cache_use;

/* Says that this process uses the cache at `folder` from now on. *use is NULL where there are no
 * locks: then nothing tells other processes. SODA_ERR_MEMORY if that ran out. */
soda_status cache_limit_begin(const char *folder, cache_use **use);
void cache_limit_end(cache_use *use); /* accepts NULL */

/* Whether this process ever used a cache. */
bool cache_limit_used(void);

/* The file was used now. */
void cache_limit_touch(const char *path);

/* Files and bytes of one kind, as "factors", or of all ("": the name of the sum). */
typedef struct {
    char kind[64];
    int64_t files, bytes;
} cache_size;

enum { CACHE_KINDS = 16 };

/* What the cache at `folder` holds, kind by kind, to sizes[CACHE_KINDS]; the sum is returned in
 * *all. *count is 0 if there is no such folder or it holds no file of a cache. */
soda_status cache_limit_measure(const char *folder, cache_size *sizes, int *count, cache_size *all);

/* Removes files, those used least recently first, until the cache at `folder` holds at most
 * `most` bytes or all other files may be in use. *removed and *left are sums. Where there are no
 * locks nothing is removed. */
soda_status cache_limit_apply(const char *folder, int64_t most, cache_size *removed,
                              cache_size *left);

/* The limit of the environment, SODA_CACHE_LIMIT in GiB ("none": INT64_MAX), else
 * CACHE_LIMIT_GIB. SODA_ERR_USAGE if it is no number from 0. */
enum { CACHE_LIMIT_GIB = 50 };
soda_status cache_limit_bytes(int64_t *bytes);
