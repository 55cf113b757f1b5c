/* prompts.h: the prompts of a file, one per line. */
#pragma once

#include "core/status.h"

typedef struct {
    const char **list;
    int count;
    char *text; /* what the list points into; NULL: nothing that it owns */
} prompt_list;

/* Reads `path`, which may be a pipe: a final newline adds no prompt, an empty line is an empty
 * prompt. SODA_ERR_INPUT if there is none, or as text_file.h says. *prompts is for prompts_free,
 * after a failure too. */
soda_status prompts_read(const char *path, prompt_list *prompts);
void prompts_free(prompt_list *prompts);
