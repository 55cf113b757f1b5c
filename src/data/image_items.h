/* image_items.h: a list of captioned pictures, and what a metadata file adds to it. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef struct {
    char *file;         /* the picture, below the folder */
    char *text;         /* UTF-8 */
    char *class_text;   /* a caption that names the class and not the subject; NULL if none */
    char *caption_file; /* where the text is from, below the folder */
    int64_t line;       /* of a metadata file; 0 for a caption file */
} image_item;

typedef struct {
    image_item *items;
    int64_t count, room;
} image_items;

/* Adds copies of the strings of `item`. */
soda_status image_items_add(image_items *list, const image_item *item);

/* Sorts by the bytes of the pictures' names, then of the caption files', then by line. */
void image_items_sort(image_items *list);

/* Looks for the pictures of a metadata file below `root`, takes their names as they are there (in
 * composed or decomposed Unicode), and sorts them. SODA_ERR_INPUT names the line, of the file that
 * messages call `metadata`, whose picture is no file or is listed already. */
soda_status image_items_look_up(image_items *list, const char *root, const char *metadata);

/* The item of a sorted list whose picture is `file`, NULL if there is none. */
const image_item *image_items_find(const image_items *list, const char *file);

void image_items_clear(image_items *list); /* accepts a zeroed struct */

/* Adds the pictures that a metadata file lists. `folder` is where it lies below the data set's,
 * "" or a path that ends in a slash; messages call it `path`.
 *
 * image_items_add_jsonl: one JSON object per line, empty lines are ignored.
 * image_items_add_csv: as pandas reads it: a row of column names, commas, fields in quotation marks
 * may hold commas, line ends and doubled quotation marks; an empty or absent field is an empty
 * text.
 *
 * Both read file_name (a path below `folder`; back slashes are slashes), text, and class_text if
 * there is one; other columns are ignored. SODA_ERR_INPUT names file, line and column. */
soda_status image_items_add_jsonl(image_items *list, const char *text, size_t bytes,
                                  const char *folder, const char *path);
soda_status image_items_add_csv(image_items *list, const char *text, size_t bytes,
                                const char *folder, const char *path);
