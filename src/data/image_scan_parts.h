/* image_scan_parts.h: what the scan of a folder of pictures and its captions share. */
#pragma once

#include <sys/types.h>

#include "data/image_folder.h"

enum { IMAGE_PATH_BYTES = 4096 };

/* One folder on the way down. */
typedef struct scanned_folder {
    const struct scanned_folder *above;
    char path[IMAGE_PATH_BYTES]; /* below the root: "" or ending in a slash */
    dev_t device;                /* with the next: a link back is seen */
    ino_t inode;
    const image_items *listed; /* what the nearest metadata file lists, NULL without one */
    char **names;              /* [count], sorted */
    bool *used;                /* [count] captions that belong to a picture */
    bool locked;               /* there is a .lock */
    size_t count;
} scanned_folder;

typedef struct {
    image_folder *folder;
    int64_t no_caption; /* pictures without one */
    char first[IMAGE_PATH_BYTES], hint[3 * IMAGE_PATH_BYTES];
} image_scan_walk;

/* Counts a file below the root, or the entry `name` of a folder. SODA_ERR_MEMORY only. */
soda_status image_scan_leave_out(image_scan_walk *walk, left_out_kind kind, const char *file);
soda_status image_scan_leave_out_entry(image_scan_walk *walk, left_out_kind kind,
                                       const scanned_folder *at, const char *name);

/* "ROOT/FOLDER/NAME" to path[IMAGE_PATH_BYTES]. */
soda_status image_scan_path(const image_scan_walk *walk, const scanned_folder *at, const char *name,
                            char *path);

/* The entry of that name; NULL if there is none. */
char **image_scan_find_name(const scanned_folder *at, const char *name);

/* The entry with the caption of picture `name`, in either Unicode form; NULL if there is none. */
soda_status image_captions_find(const scanned_folder *at, const char *name, char ***entry);

/* Adds the picture with its caption; one without is counted, for the scan to refuse. */
soda_status image_captions_add(image_scan_walk *walk, scanned_folder *at, const char *name);

/* Leaves out the captions that no picture used. */
soda_status image_captions_count_lone(image_scan_walk *walk, const scanned_folder *at);
