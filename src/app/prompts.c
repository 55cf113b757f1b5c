#include "app/prompts.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/text_file.h"

static soda_status read_text(const char *path, char **text)
{
    enum { MOST_BYTES = 64 << 20 };
    FILE *file = fopen(path, "rb");
    size_t room = 0, bytes = 0;
    if (!file) return FAIL(SODA_ERR_IO, "%s: cannot open: %s", path, strerror(errno));
    do {
        room = room ? 2 * room : 4096;
        char *larger = room <= MOST_BYTES ? realloc(*text, room) : NULL;
        if (!larger) break;
        *text = larger;
        bytes += fread(*text + bytes, 1, room - 1 - bytes, file);
    } while (bytes == room - 1);
    const bool failed = ferror(file);
    fclose(file);
    if (failed) return FAIL(SODA_ERR_IO, "%s: cannot read: %s", path, strerror(errno));
    if (room > MOST_BYTES)
        return FAIL(SODA_ERR_INPUT, "%s: expected at most %d bytes", path, MOST_BYTES);
    if (bytes == room - 1 || !*text)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory while reading", path);
    (*text)[bytes] = '\0';
    TRY(text_file_clean(*text, &bytes, path));
    if (bytes == 0)
        return FAIL(SODA_ERR_INPUT, "%s: expected one prompt per line, found none", path);
    return SODA_OK;
}

static soda_status split_lines(char *text, prompt_list *prompts)
{
    size_t lines = 1;
    for (const char *c = text; *c; c++) lines += *c == '\n';
    prompts->list = calloc(lines, sizeof *prompts->list);
    if (!prompts->list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    for (char *line = text; *line;) {
        char *end = line + strcspn(line, "\n");
        const bool last = *end == '\0';
        *end = '\0';
        prompts->list[prompts->count++] = line;
        if (last) break;
        line = end + 1;
    }
    return SODA_OK;
}

soda_status prompts_read(const char *path, prompt_list *prompts)
{
    *prompts = (prompt_list){0};
    TRY(read_text(path, &prompts->text));
    return split_lines(prompts->text, prompts);
}

void prompts_free(prompt_list *prompts)
{
    free(prompts->list);
    free(prompts->text);
    *prompts = (prompt_list){0};
}
