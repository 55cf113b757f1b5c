/* caught_log.h: what soda logs, caught in a file for a while, also where the log is quiet. */
#pragma once

#include "support/check.h"

#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/log.h"
#include "support/files.h"

/* Sends the standard error of this process to the file; returns what log_release restores. */
static inline int log_catch(const char *path)
{
    const int kept = dup(STDERR_FILENO), file = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0666);
    assert_true(kept >= 0 && file >= 0);
    assert_true(dup2(file, STDERR_FILENO) >= 0);
    close(file);
    log_set_quiet(false);
    return kept;
}

static inline void log_release(int kept)
{
    log_set_quiet(true);
    assert_true(dup2(kept, STDERR_FILENO) >= 0);
    close(kept);
}

/* How often the file has `part`. */
static inline int log_count(const char *path, const char *part)
{
    size_t bytes;
    int count = 0;
    char *text = files_read(path, &bytes);
    for (const char *at = strstr(text, part); at; at = strstr(at + 1, part)) count++;
    free(text);
    return count;
}
