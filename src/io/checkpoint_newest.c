/* Which checkpoint of a folder a run resumes from: the newest that can be used. */
#include <stdlib.h>

#include "core/log.h"
#include "io/checkpoint.h"
#include "io/checkpoint_folder.h"

/* Tries one step. A file that cannot be used is not a failure: *found stays false. */
static soda_status try_step(const char *folder, int64_t step, soda_checkpoint *checkpoint,
                            char *path, size_t size, bool *found)
{
    TRY(checkpoint_path(folder, step, path, size));
    const soda_status s = checkpoint_read(path, checkpoint);
    *found = s == SODA_OK;
    if (s != SODA_ERR_INPUT && s != SODA_ERR_IO) return s;
    log_warning("this checkpoint cannot be used: %s", status_message());
    return SODA_OK;
}

soda_status checkpoint_read_newest(const char *folder, soda_checkpoint *checkpoint, char *path,
                                   size_t size, bool *found)
{
    soda_status s = SODA_OK;
    checkpoint_steps list;
    int64_t latest;
    *found = false;
    TRY(checkpoint_list(folder, false, &list));
    TRY_TO(done, checkpoint_latest(folder, &list, &latest));
    if (latest >= 0) TRY_TO(done, try_step(folder, latest, checkpoint, path, size, found));
    for (int i = 0; i < list.count && !*found; i++)
        if (list.step[i] != latest)
            TRY_TO(done, try_step(folder, list.step[i], checkpoint, path, size, found));
    if (*found || list.count == 0) {
        status_clear();
        goto done;
    }
    s = status_prefix(SODA_ERR_INPUT, "%s: none of its %d checkpoints can be used", folder,
                      list.count); /* the last one's message */
done:
    free(list.step);
    return s;
}
