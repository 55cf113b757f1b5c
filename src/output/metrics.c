#include "output/metrics.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "core/json.h"
#include "core/log.h"
#include "io/newfile.h"

enum {
    LINE_BYTES = 1024
}; /* a row has thirteen numbers of at most 24 characters, and their names */

struct soda_metrics {
    char *path;
    int64_t step; /* the file has no line of this step or a later one when it is opened */
    int fd;       /* below 0: not open yet, for want of room for the lines to keep */
    char *text;   /* what is not yet written */
    size_t bytes, room;
    bool behind; /* and somebody was told */
};

static void warn(soda_metrics *m)
{
    if (!m->behind)
        log_warning("%s; the run continues and keeps its lines in memory until there is room",
                    status_message());
    m->behind = true;
    status_clear();
}

/* Whether a line is whole and of a step before `step`: what comes after is made again. */
static bool is_kept(const char *line, size_t length, const char *path, int64_t step)
{
    soda_json json;
    int64_t found = INT64_MAX;
    if (soda_json_parse(line, length, path, &json) != SODA_OK) {
        status_clear();
        return false;
    }
    if (soda_json_int(&json, "step", INT64_MAX, &found) != SODA_OK) status_clear();
    soda_json_free(&json);
    return found < step;
}

static soda_status keep_lines(FILE *old, soda_newfile *kept, const char *path, int64_t step)
{
    char *line = NULL;
    size_t room = 0;
    soda_status s = SODA_OK;
    for (ssize_t n; s == SODA_OK && (n = getline(&line, &room, old)) > 0;)
        if (line[n - 1] == '\n' && is_kept(line, (size_t)n, path, step))
            s = newfile_write(kept, line, (size_t)n);
    free(line);
    if (s == SODA_OK && ferror(old)) s = FAIL(SODA_ERR_IO, "%s: cannot be read", path);
    return s;
}

/* Removes the lines of step `step` and later. */
static soda_status cut(const char *path, int64_t step)
{
    soda_newfile *kept = NULL;
    soda_status s = SODA_OK;
    FILE *old = fopen(path, "re");
    if (!old && errno == ENOENT) return SODA_OK;
    if (!old) return FAIL(SODA_ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    TRY_TO(done, newfile_create(path, &kept));
    TRY_TO(done, keep_lines(old, kept, path, step));
    TRY_TO(done, newfile_commit(kept));
done:
    newfile_close(kept);
    fclose(old);
    return s;
}

static soda_status open_file(soda_metrics *m)
{
    if (m->fd >= 0) return SODA_OK;
    TRY(cut(m->path, m->step));
    m->fd = open(m->path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (m->fd >= 0) return SODA_OK;
    return FAIL(SODA_ERR_IO, "%s: cannot be opened: %s", m->path, strerror(errno));
}

static soda_status write_kept(soda_metrics *m)
{
    size_t done = 0;
    soda_status s = SODA_OK;
    TRY(open_file(m));
    if (m->bytes == 0) return SODA_OK; /* and perhaps no text */
    while (done < m->bytes) {
        const ssize_t n = write(m->fd, m->text + done, m->bytes - done);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) {
            s = FAIL(SODA_ERR_IO, "%s: cannot be written: %s", m->path, strerror(errno));
            break;
        }
        done += (size_t)n;
    }
    m->bytes -= done;
    memmove(m->text, m->text + done, m->bytes); /* a line that was cut is continued later */
    return s;
}

soda_status metrics_open(const char *path, int64_t step, soda_metrics **metrics)
{
    soda_metrics *m = calloc(1, sizeof *m);
    char *name = strdup(path);
    if (!m || !name) {
        free(m);
        free(name);
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory", path);
    }
    *m = (soda_metrics){.path = name, .step = step, .fd = -1};
    const int fd = open(path, O_WRONLY | O_APPEND | O_CREAT | O_CLOEXEC, 0666);
    if (fd < 0 && errno != ENOSPC && errno != EDQUOT) {
        const soda_status s = FAIL(SODA_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
        metrics_close(m);
        return s;
    }
    if (fd >= 0) close(fd);
    *metrics = m;
    if (open_file(m) != SODA_OK) warn(m);
    return SODA_OK;
}

/* Room for one more line; NULL without memory. */
static char *line_of(soda_metrics *m)
{
    if (m->room - m->bytes < LINE_BYTES) {
        char *grown = realloc(m->text, 2 * m->room + LINE_BYTES);
        if (!grown) return NULL;
        m->text = grown;
        m->room = 2 * m->room + LINE_BYTES;
    }
    return m->text + m->bytes;
}

static soda_status add(soda_metrics *m, int bytes)
{
    m->bytes += (size_t)bytes;
    if (write_kept(m) != SODA_OK) {
        warn(m);
    } else if (m->behind) {
        log_info("%s: all lines are written again", m->path);
        m->behind = false;
    }
    return SODA_OK;
}

soda_status metrics_write(soda_metrics *m, const metrics_row *r)
{
    char *line = line_of(m), gathering[80] = "";
    if (!line) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", m->path);
    if (r->gathers)
        snprintf(gathering, sizeof gathering, ", \"gather\": %.6g, \"wait\": %.6g", r->gather_s,
                 r->wait_s);
    return add(m, snprintf(line, LINE_BYTES,
                           "{\"step\": %lld, \"loss\": %.9g, \"lr\": %.9g, \"lr_spectrum\": %.9g, "
                           "\"grad_norm\": %.9g, \"orthogonality\": %.3g, \"images_per_s\": %.6g, "
                           "\"seconds\": {\"data\": %.6g, \"network\": %.6g, \"reduce\": %.6g, "
                           "\"update\": %.6g, \"save\": %.6g%s}}\n",
                           (long long)r->step, r->loss, r->lr_rotation, r->lr_spectrum,
                           r->grad_norm, r->orthogonality, r->images_per_s, r->data_s, r->network_s,
                           r->reduce_s, r->update_s, r->save_s, gathering));
}

soda_status metrics_write_validation(soda_metrics *m, int64_t step, double loss)
{
    char *line = line_of(m);
    if (!line) return FAIL(SODA_ERR_MEMORY, "%s: out of memory", m->path);
    return add(m, snprintf(line, LINE_BYTES, "{\"step\": %lld, \"validation_loss\": %.9g}\n",
                           (long long)step, loss));
}

soda_status metrics_flush(soda_metrics *m)
{
    int64_t lines = 0;
    if (write_kept(m) == SODA_OK) return newfile_sync_path(m->path);
    for (size_t i = 0; i < m->bytes; i++) lines += m->text[i] == '\n';
    return status_prefix(SODA_ERR_IO, "%lld lines are missing", (long long)lines);
}

void metrics_close(soda_metrics *m)
{
    if (!m) return;
    if (m->fd >= 0) close(m->fd);
    free(m->path);
    free(m->text);
    free(m);
}
