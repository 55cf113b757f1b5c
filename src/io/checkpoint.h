/* checkpoint.h: the state of a run as named global arrays in one sealed HDF5 file (h5_file.h).
 *
 *     /                 format "soda-checkpoint", version, step, seed, method, config (YAML text),
 *                       model_sha256, data_sha256, isa (instruction set, core/isa.h), schedule (of
 *                       the noise, diffusion/schedule.h); the last two are absent from files of
 *                       earlier versions
 *     /adapter/NAME     fp32, the tensor
 *     /optimizer/NAME/  fp32 arrays of the tensor's shape: first, second
 *     /history/         columns of equal length, fp64: step, loss, grad_norm, ...
 *
 * Every data set carries a Fletcher32 checksum, and the file a SHA-256 of its bytes. Equal contents
 * give equal bytes. One rank writes. A file is there whole or not at all: temporary name, close,
 * fsync, reading back against the SHA-256, rename, fsync of the folder, then `latest` (one line,
 * the file's name, replaced by a rename). Whatever fails, older checkpoints stay as they are. Not
 * thread safe. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "core/sha256.h"
#include "core/status.h"
#include "io/newfile.h"

enum { CHECKPOINT_VERSION = 1 };

typedef struct {
    const char *name; /* "unet. ... .soda.R1"; may hold any character but '/' */
    int rank;         /* 1 or 2 */
    int64_t dim[2];   /* 1 or more; of rank 1, dim[1] is set to 1 on reading and else ignored */
    float *value, *first, *second; /* [dim] each */
} checkpoint_tensor;

typedef struct {
    const char *name;
    double *value; /* [rows] */
} checkpoint_column;

typedef struct {
    int64_t step; /* steps done */
    uint64_t seed;
    const char *method, *config;
    const char *isa, *schedule; /* "" if the file does not tell */
    char model_sha256[SHA256_HEX], data_sha256[SHA256_HEX];
    checkpoint_tensor *tensors;
    int count;
    checkpoint_column *history;
    int columns;
    int64_t rows;
    newfile_permission permission; /* asked before the file gets its name, and before older ones are
                                      deleted */
} soda_checkpoint;

/* Writes FOLDER/step-00000100.h5 and `latest`, then deletes all but the newest `keep` files (1 or
 * more). The one just written counts as the newest, those of later steps, left from before the run
 * went back to an older one, as the oldest. What dead runs left unfinished goes too; what cannot be
 * deleted is named in a warning. The folder must exist. SODA_ERR_IO names file and reason. */
soda_status checkpoint_write(const char *folder, const soda_checkpoint *checkpoint, int64_t keep);

/* Reads and verifies `path`; tensors and columns are sorted by name, and everything in *checkpoint
 * is owned by it until checkpoint_free. SODA_ERR_IO if the file cannot be read at all;
 * SODA_ERR_INPUT names file, object, what was expected and found: not HDF5, cut short, a checksum
 * that does not fit, another format, a newer version. */
soda_status checkpoint_read(const char *path, soda_checkpoint *checkpoint);
void checkpoint_free(soda_checkpoint *checkpoint); /* only what checkpoint_read returned */

/* The newest good checkpoint of a run's folder: `latest` first, then step-*.h5 by falling step. One
 * that cannot be used is named in a warning, and the next older one is tried. *found is false, and
 * nothing else is set, if there is none at all, or no folder; SODA_ERR_INPUT if none can be used.
 */
soda_status checkpoint_read_newest(const char *folder, soda_checkpoint *checkpoint, char *path,
                                   size_t size, bool *found);

/* When a disk is full: deletes all checkpoints that are older than the newest good one. *deleted is
 * how many. */
soda_status checkpoint_make_room(const char *folder, int *deleted);
