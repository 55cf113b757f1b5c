/* alloc_fault.h: makes the k-th allocation fail. For programs called test_*_memory.c, which are
 * linked so that malloc, calloc, realloc and strdup of soda's own code come through here. */
#pragma once

#include <stddef.h>
#include <stdlib.h>

#include "core/json.h"
#include "support/check.h"

/* The number of the allocation that fails, counted from 1; 0: none. */
static long alloc_fault_at, alloc_fault_count;

void *__real_malloc(size_t bytes);
void *__real_calloc(size_t count, size_t bytes);
void *__real_realloc(void *old, size_t bytes);
char *__real_strdup(const char *text);
void *__wrap_malloc(size_t bytes);
void *__wrap_calloc(size_t count, size_t bytes);
void *__wrap_realloc(void *old, size_t bytes);
char *__wrap_strdup(const char *text);

static int alloc_fault_now(void)
{
    return alloc_fault_at > 0 && ++alloc_fault_count == alloc_fault_at;
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

char *__wrap_strdup(const char *text) { return alloc_fault_now() ? NULL : __real_strdup(text); }

/* Fails allocation k, counted from now on. */
static void alloc_fault_set(long k)
{
    soda_json json; /* from its first parse on, core/json.c gives jansson its memory */
    alloc_fault_at = 0;
    CHECK_OK(soda_json_parse("{}", 2, "", &json));
    soda_json_free(&json);
    alloc_fault_at = k;
    alloc_fault_count = 0;
}
