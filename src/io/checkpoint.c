#include "io/checkpoint.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "io/checkpoint_folder.h"
#include "io/checkpoint_layout.h"
#include "io/h5_array.h"
#include "io/newfile.h"

static bool is_name(const char *name)
{
    return *name && !strchr(name, '/') && strcmp(name, ".") != 0;
}

/* What a caller must not do; a checkpoint that could not be read back is not written. */
static soda_status check(const char *path, const soda_checkpoint *c)
{
    if (c->step < 0 || c->rows < 0 || (c->rows && !c->columns))
        return FAIL(SODA_ERR_INTERNAL, "%s: a checkpoint of step %lld with %lld rows in %d columns",
                    path, (long long)c->step, (long long)c->rows, c->columns);
    for (int i = 0; i < c->count; i++) {
        const checkpoint_tensor *t = &c->tensors[i];
        if (!is_name(t->name) || t->rank < 1 || t->rank > 2 || t->dim[0] < 1 ||
            (t->rank == 2 && t->dim[1] < 1))
            return FAIL(SODA_ERR_INTERNAL, "%s: a checkpoint cannot hold tensor \"%s\"", path,
                        t->name);
    }
    for (int i = 0; i < c->columns; i++)
        if (!is_name(c->history[i].name))
            return FAIL(SODA_ERR_INTERNAL, "%s: a checkpoint cannot hold column \"%s\"", path,
                        c->history[i].name);
    return SODA_OK;
}

static soda_status put_attributes(const h5_file *file, const soda_checkpoint *c)
{
    TRY(h5_attr_set_i64(file, "step", c->step));
    TRY(h5_attr_set_u64(file, "seed", c->seed));
    TRY(h5_attr_set_text(file, "method", c->method));
    TRY(h5_attr_set_text(file, "config", c->config));
    TRY(h5_attr_set_text(file, "isa", c->isa));
    TRY(h5_attr_set_text(file, "schedule", c->schedule));
    TRY(h5_attr_set_text(file, "model_sha256", c->model_sha256));
    return h5_attr_set_text(file, "data_sha256", c->data_sha256);
}

static soda_status put_tensor(const h5_file *file, const checkpoint_tensor *t)
{
    char path[CHECKPOINT_MOST_PATH];
    const h5_array_shape shape = {ARRAY_F32, t->rank, {t->dim[0], t->dim[1]}};
    TRY(checkpoint_object(path, "adapter", t->name, NULL));
    TRY(h5_array_write(file, path, &shape, t->value));
    TRY(checkpoint_object(path, "optimizer", t->name, NULL));
    TRY(h5_attr_make_group(file, path));
    TRY(checkpoint_object(path, "optimizer", t->name, "first"));
    TRY(h5_array_write(file, path, &shape, t->first));
    TRY(checkpoint_object(path, "optimizer", t->name, "second"));
    return h5_array_write(file, path, &shape, t->second);
}

static soda_status put_all(const h5_file *file, const soda_checkpoint *c)
{
    char path[CHECKPOINT_MOST_PATH];
    TRY(put_attributes(file, c));
    TRY(h5_attr_make_group(file, "adapter"));
    TRY(h5_attr_make_group(file, "optimizer"));
    TRY(h5_attr_make_group(file, "history"));
    for (int i = 0; i < c->count; i++) TRY(put_tensor(file, &c->tensors[i]));
    const h5_array_shape shape = {ARRAY_F64, 1, {c->rows, 0}};
    for (int i = 0; i < c->columns; i++) {
        TRY(checkpoint_object(path, "history", c->history[i].name, NULL));
        TRY(h5_array_write(file, path, &shape, c->history[i].value));
    }
    return SODA_OK;
}

soda_status checkpoint_write(const char *folder, const soda_checkpoint *checkpoint, int64_t keep)
{
    char path[CHECKPOINT_MOST_PATH];
    h5_file *file = NULL;
    soda_newfile *new = NULL;
    soda_status s = SODA_OK;
    TRY(checkpoint_path(folder, checkpoint->step, path, sizeof path));
    TRY(check(path, checkpoint));
    TRY_TO(done, h5_file_create(path, CHECKPOINT_FORMAT, CHECKPOINT_VERSION, &file));
    TRY_TO(done, put_all(file, checkpoint));
    TRY_TO(done, h5_file_save(file, &new));
    h5_file_close(file); /* its memory, before the copy that is read */
    file = NULL;
    /* Every byte comes back from the disk before an older checkpoint is given up. */
    TRY_TO(done, h5_file_verify(newfile_temporary(new), CHECKPOINT_FORMAT));
    TRY_TO(done, newfile_may_replace(&checkpoint->permission));
    TRY_TO(done, newfile_commit(new));
    TRY_TO(done, newfile_may_replace(
                     &checkpoint->permission)); /* the last two may have waited for the disk */
    TRY_TO(done, checkpoint_set_latest(folder, checkpoint->step));
    TRY_TO(done, checkpoint_prune(folder, checkpoint->step, keep));
done:
    newfile_close(new);
    h5_file_close(file);
    return s;
}
