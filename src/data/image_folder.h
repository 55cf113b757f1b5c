/* image_folder.h: a folder of captioned pictures and its subfolders, as Hugging Face's ImageFolder
 * and kohya's tools have them.
 *
 * metadata.jsonl or metadata.csv lists the pictures of its folder and of the folders below
 * (image_items.h). Elsewhere the pictures are the files with the endings of image_names.h, each
 * with its caption in a file of the same stem that ends in .txt, without white space at its ends.
 * Names that begin with a dot (pictures among them are counted), folders that begin with "__" (as
 * macOS makes them) and all other files are passed over.
 *
 * Items are sorted by the bytes of their file names: the order is the same on every machine. */
#pragma once

#include <stdbool.h>

#include "data/image_items.h"

/* Why a file is no item; the first of each kind is kept for messages. */
typedef enum {
    LEFT_OUT_UNLISTED, /* a picture that the metadata above it does not list */
    LEFT_OUT_FORMAT,   /* a picture or film in a format that is not read */
    LEFT_OUT_HIDDEN,   /* a picture whose name begins with a dot */
    LEFT_OUT_ARCHIVE,  /* a .zip, .tar or .parquet file */
    LEFT_OUT_RUN,      /* a folder that a training run writes */
    LEFT_OUT_LINK,     /* a symbolic link that leads nowhere, to a folder perhaps */
    LEFT_OUT_CAPTION,  /* a .txt file without a picture */
    SHARED_CAPTION,    /* not left out: a picture with the stem, hence the caption, of another */
    EMPTY_CAPTION,     /* not left out: trained on without a caption */
    SPLIT_FOLDER,      /* not left out: a folder "test" or the like beside one "train" */
    REPEATS_FOLDER,    /* not left out: a folder whose name gives kohya's scripts repeats */
    LEFT_OUT_KINDS
} left_out_kind;

typedef struct {
    int64_t count;
    char *first; /* below the folder; NULL if there is none */
} left_out;

typedef struct {
    char *root;
    image_items list;
    left_out left[LEFT_OUT_KINDS];
} image_folder;

/* Lists `path` and looks whether the files are there; pictures are not opened.
 *
 * SODA_ERR_INPUT names file and line or picture: a folder without pictures (and what is there
 * instead), pictures without caption, one listed twice, a listed file that is not there, a name
 * that leads out of the folder (absolute, or with a part that is empty, "." or ".."; a symbolic
 * link may lead anywhere), a text that core/text_file.h refuses or that is not JSON. */
soda_status image_folder_open(const char *path, image_folder **folder);
void image_folder_close(image_folder *folder); /* accepts NULL */

/* One warning for each kind of what was left out: how many, why, and the first. */
void image_folder_warn(const image_folder *folder);

/* The line of image_folder_warn about one kind; false if nothing is to be said. */
bool image_folder_left_out(const image_folder *folder, left_out_kind kind, char *line, size_t size);

/* "ROOT/FILE" of item `index` to path[size]. */
soda_status image_folder_path(const image_folder *folder, int64_t index, char *path, size_t size);
