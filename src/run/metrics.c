#include "run/metrics.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "core/json.h"
#include "io/newfile.h"

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
    return s;
}

soda_status metrics_open(const char *path, int64_t step, FILE **file)
{
    FILE *old = fopen(path, "r");
    if (old) {
        soda_newfile *kept = NULL;
        soda_status s = newfile_create(path, &kept);
        if (s == SODA_OK) s = keep_lines(old, kept, path, step);
        if (s == SODA_OK) s = newfile_commit(kept);
        newfile_close(kept);
        fclose(old);
        TRY(s);
    }
    *file = fopen(path, "a");
    if (!*file) return FAIL(SODA_ERR_IO, "%s: cannot be opened: %s", path, strerror(errno));
    return SODA_OK;
}

static soda_status flushed(FILE *file, const char *path)
{
    if (fflush(file) == 0 && !ferror(file)) return SODA_OK;
    return FAIL(SODA_ERR_IO, "%s: cannot be written: %s", path, strerror(errno));
}

soda_status metrics_write(FILE *file, const char *path, const metrics_row *r)
{
    fprintf(
        file,
        "{\"step\": %lld, \"loss\": %.9g, \"lr\": %.9g, \"lr_spectrum\": %.9g, "
        "\"grad_norm\": %.9g, \"orthogonality\": %.3g, \"images_per_s\": %.6g, "
        "\"seconds\": {\"data\": %.6g, \"network\": %.6g, \"reduce\": %.6g, \"update\": %.6g}}\n",
        (long long)r->step, r->loss, r->lr_rotation, r->lr_spectrum, r->grad_norm, r->orthogonality,
        r->images_per_s, r->data_s, r->network_s, r->reduce_s, r->update_s);
    return flushed(file, path);
}

soda_status metrics_write_validation(FILE *file, const char *path, int64_t step, double loss)
{
    fprintf(file, "{\"step\": %lld, \"validation_loss\": %.9g}\n", (long long)step, loss);
    return flushed(file, path);
}
