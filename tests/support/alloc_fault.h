/* alloc_fault.h: makes the k-th allocation fail, alone or with all that follow. For programs called
 * test_*_memory.c, which are linked so that the calls of soda's own code come through here. Calls
 * of several threads are counted together. */
#pragma once

#include <errno.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>

/* The number of the allocation that fails, counted from 1; 0: none. */
static long alloc_fault_at, alloc_fault_count;
static bool alloc_fault_lasts;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
void *__real_aligned_alloc(size_t alignment, size_t bytes);
char *__real_strdup(const char *text);
ssize_t __real_getdelim(char **line, size_t *room, int end, FILE *file);
void *__real_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
void *__wrap_aligned_alloc(size_t alignment, size_t bytes);
char *__wrap_strdup(const char *text);
int __wrap_asprintf(char **text, const char *format, ...) __attribute__((format(printf, 2, 3)));
ssize_t __wrap_getdelim(char **line, size_t *room, int end, FILE *file);
void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset);

static bool alloc_fault_now(void)
{
    if (alloc_fault_at <= 0) return false;
    const long now = __atomic_add_fetch(&alloc_fault_count, 1, __ATOMIC_RELAXED);
    const bool fails = alloc_fault_lasts ? now >= alloc_fault_at : now == alloc_fault_at;
    if (fails) errno = ENOMEM;
    return fails;
}

void *__wrap_malloc(size_t bytes) { return alloc_fault_now() ? NULL : __real_malloc(bytes); }

void *__wrap_calloc(size_t count, size_t bytes)
{
    return alloc_fault_now() ? NULL : __real_calloc(count, bytes);
}

void *__wrap_realloc(void *old, size_t bytes)
{
    return alloc_fault_now() ? NULL : __real_realloc(old, bytes);
}

void *__wrap_aligned_alloc(size_t alignment, size_t bytes)
{
    return alloc_fault_now() ? NULL : __real_aligned_alloc(alignment, bytes);
}

char *__wrap_strdup(const char *text) { return alloc_fault_now() ? NULL : __real_strdup(text); }

int __wrap_asprintf(char **text, const char *format, ...)
{
    if (alloc_fault_now()) return -1;
    va_list args;
    va_start(args, format);
    const int length = vasprintf(text, format, args);
    va_end(args);
    return length;
}

ssize_t __wrap_getdelim(char **line, size_t *room, int end, FILE *file)
{
    return alloc_fault_now() ? -1 : __real_getdelim(line, room, end, file);
}

void *__wrap_mmap(void *at, size_t bytes, int protection, int flags, int fd, off_t offset)
{
    if (alloc_fault_now()) return MAP_FAILED;
    return __real_mmap(at, bytes, protection, flags, fd, offset);
}

/* Fails allocation k, counted from now on. */
static void alloc_fault_set(long k)
{
    alloc_fault_at = 0;
    alloc_fault_lasts = false;
    alloc_fault_count = 0;
    alloc_fault_at = k;
}
