/* image_folder.h: a folder of captioned pictures, as Hugging Face's ImageFolder has them.
 *
 * With metadata.jsonl, the pictures are the ones it lists, one JSON object a line: file_name (a
 * path below the folder), text, and optionally class_text, a caption that names the class and not
 * the subject. Other keys are ignored, as are empty lines. Without it they are the files *.png,
 * *.jpg, *.jpeg and *.webp of the folder itself, each with its caption in a file of the same stem
 * that ends in .txt, without white space at its ends.
 *
 * Items are sorted by the bytes of their file names: the order is the same on every machine. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "core/status.h"

typedef struct {
    char *file;       /* below the folder */
    char *text;       /* UTF-8 */
    char *class_text; /* NULL if there is none */
    int64_t line;     /* of metadata.jsonl; 0 without it */
} image_item;

typedef struct {
    char *root;
    image_item *items;
    int64_t count, room;
} image_folder;

/* Lists `path` and looks whether the files are there; pictures are not opened. A warning counts the
 * pictures of the folder that metadata.jsonl does not list.
 *
 * SODA_ERR_INPUT names file and line or picture: a folder without pictures, a picture without
 * caption or listed twice, a listed file that is not there, a name that leads out of the folder
 * (absolute, or with a part that is empty, "." or ".."; a symbolic link may lead anywhere), text
 * that is not UTF-8 or not JSON. */
soda_status image_folder_open(const char *path, image_folder **folder);
void image_folder_close(image_folder *folder); /* NULL is fine */

/* The list of a metadata.jsonl from memory, sorted, added to the empty list *folder; messages call
 * it `file`. Nothing is looked up on the disk. Free the items with image_folder_clear, also after a
 * failure. */
soda_status image_folder_parse(const char *text, size_t bytes, const char *file,
                               image_folder *folder);
void image_folder_clear(image_folder *folder);

/* "ROOT/FILE" of item `index` to path[size]. */
soda_status image_folder_path(const image_folder *folder, int64_t index, char *path, size_t size);
