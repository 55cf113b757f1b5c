#include "core/file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/path.h"

static soda_status read_open(int fd, const char *path, size_t limit, char **data, size_t *bytes)
{
    struct stat about;
    if (fstat(fd, &about) != 0) return FAIL(SODA_ERR_IO, "%s: %s", path, strerror(errno));
    if (!S_ISREG(about.st_mode)) return FAIL(SODA_ERR_INPUT, "%s: not a regular file", path);
    const size_t size = (size_t)about.st_size;
    if (size > limit)
        return FAIL(SODA_ERR_INPUT, "%s: expected at most %zu bytes, found %zu", path, limit, size);
    *data = malloc(size + 1);
    if (!*data)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory for a file of %zu bytes", path, size);
    size_t done = 0;
    while (done < size) {
        const ssize_t got = read(fd, *data + done, size - done);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return FAIL(SODA_ERR_IO, "%s: %s", path, strerror(errno));
        if (got == 0) break; /* it shrank: what is left will not parse */
        done += (size_t)got;
    }
    (*data)[done] = '\0';
    *bytes = done;
    return SODA_OK;
}

soda_status file_read(const char *path, size_t limit, void **data, size_t *bytes)
{
    char *text = NULL;
    *data = NULL;
    *bytes = 0;
    /* without O_NONBLOCK, a pipe without a writer would be waited for */
    const int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (fd < 0) return path_cannot_open(path);
    const soda_status s = read_open(fd, path, limit, &text, bytes);
    close(fd);
    if (s != SODA_OK) {
        free(text);
        *bytes = 0;
        return s;
    }
    *data = text;
    return SODA_OK;
}
