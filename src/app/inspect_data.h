/* inspect_data.h: what a data set, a picture or a tokenizer holds, on stdout. */
#pragma once

#include "core/status.h"
#include "model/folder.h"

/* A folder of captioned pictures: how many, their sizes and captions, what is left out. With the
 * folder of a model also how many captions its text encoder cuts; `model` may be NULL. Pictures
 * whose header cannot be read are counted, and the first is named. */
soda_status inspect_data(const char *path, const char *model);

/* One picture file; *is_picture is false, and nothing printed, if the bytes are none. */
soda_status inspect_picture(const char *path, bool *is_picture);

/* One line about the tokenizer in a folder. */
soda_status inspect_tokenizer(const char *path, const char *label);
