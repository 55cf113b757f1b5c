/* h5_file.h: HDF5 files that are made and opened in memory, and checked before HDF5 sees them.
 *
 *     512 bytes   "FORMAT\nsha256 HEX\n", then zeros: HDF5's user block, which its readers skip
 *     the rest    HDF5, in the layout of 1.10; HEX is its hash: tail -c +513 FILE | sha256sum
 *     attributes  format, version
 *
 * HDF5 keeps texts in a heap without a checksum, and 1.10 reads outside of its memory when that is
 * damaged: hence the seal. In memory it never meets a full disk, after which it cannot close a
 * file, nor takes locks, which file systems of clusters refuse. Not thread safe. */
#pragma once

#include <hdf5.h>
#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"
#include "io/newfile.h"

typedef struct {
    hid_t file; /* for calls of HDF5; values are read and written with h5_array.h and h5_attr.h */
    char *path; /* for messages */
    const char *format; /* the caller's */
    void *image;        /* from malloc */
    size_t bytes;       /* of the image, while HDF5 has not grown it */
    size_t unread;      /* bytes that may still be read as values: no file holds more than itself */
    bool starved;       /* there was no memory for the image to grow */
} h5_file;

/* The version of the HDF5 library in use: numbers of major version, minor version and release. */
void h5_file_library(unsigned version[3]);

/* An empty file that shall become `path`. `format` must outlive it. */
soda_status h5_file_create(const char *path, const char *format, int version, h5_file **h5);

/* Reads `path` and checks its seal. `version`: the newest that is understood. `writable`: it may be
 * changed, in memory, for h5_file_save. SODA_ERR_IO: it cannot be read; SODA_ERR_INPUT: it is cut
 * short, damaged, of another format, or newer. */
soda_status h5_file_open(const char *path, const char *format, int version, bool writable,
                         h5_file **h5);

/* Whether the file has the bytes that were sealed: what HDF5 made of them in memory is what comes
 * back from the disk. HDF5 does not look at it again: that costs as much as making it. */
soda_status h5_file_verify(const char *path, const char *format);

/* Ends the part of HDF5, seals it, and writes it to a new file, which is synced but not committed:
 * the caller reads newfile_temporary(*file) back first. *file is NULL after a failure. */
soda_status h5_file_save(h5_file *h5, soda_newfile **file);

void h5_file_close(h5_file *h5); /* accepts NULL */

/* The failure of the last call of HDF5, on /object, with its reason. SODA_ERR_INPUT if `reading`,
 * else SODA_ERR_INTERNAL, or SODA_ERR_MEMORY. */
soda_status h5_file_refusal(const h5_file *h5, bool reading, const char *object);
