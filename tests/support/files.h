/* files.h: a temporary folder for tests, and files with given bytes in it. Failures fail the test.
 */
#pragma once

#include <stddef.h>
#include <sys/resource.h>

/* A fresh folder, as a cmocka setup function: *state is its path. The teardown removes it all. */
int files_setup(void **state);
int files_teardown(void **state);

/* "FOLDER/NAME" in a buffer that the next 8 calls leave alone. */
const char *files_path(const char *folder, const char *name);

/* Writes `bytes` of data as FOLDER/NAME; returns its path as files_path does. */
const char *files_write(const char *folder, const char *name, const void *data, size_t bytes);

/* The same with a text. */
const char *files_put(const char *folder, const char *name, const char *text);

/* The whole file, for free(); *bytes is its size. A final zero follows. */
char *files_read(const char *path, size_t *bytes);

/* From now on no file grows beyond `bytes`: as on a disk without room. RLIM_INFINITY: there is
 * room. */
void files_limit(rlim_t bytes);

/* The number of entries in a folder, "." and ".." apart. */
int files_count(const char *folder);
