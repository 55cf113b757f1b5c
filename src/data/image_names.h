/* image_names.h: what the name of a file or folder of a data set says. */
#pragma once

#include <stdbool.h>
#include <stddef.h>

#include "core/status.h"

typedef enum {
    NAME_PICTURE, /* of a format that soda reads */
    NAME_OTHER,   /* a picture or film that it does not read */
    NAME_ARCHIVE, /* to be unpacked */
    NAME_CAPTION,
    NAME_KINDS
} image_name_kind;

/* Whether the name ends as those of this kind, in capitals or not. */
bool image_name_is(const char *name, image_name_kind kind);

/* ".png, .jpg, ...": the endings of pictures, for messages; `text` is returned. */
const char *image_name_endings(char *text, size_t size);

/* The name in composed (form 0) or decomposed Unicode (1), for free(): macOS decomposes (NFD) what
 * others write composed (NFC). NULL if it is ASCII, which has one form, or no UTF-8. */
enum { IMAGE_NAME_FORMS = 2 };
soda_status image_name_form(const char *name, int form, char **same);

/* What part of a data set a folder is by its name, in capitals or not. */
typedef enum { SPLIT_NONE, SPLIT_TRAINING, SPLIT_HELD_OUT } image_split;
image_split image_name_split(const char *name);

/* Whether a folder is called as "10_subject", which for kohya's scripts means each picture ten
 * times per epoch. Years and padded numbers ("2023_summer", "001_fox") are not meant. */
bool image_name_repeats(const char *name);
