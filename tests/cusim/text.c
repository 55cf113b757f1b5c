/* Pieces of PTX text: copies, brackets, declarations. */
#include "parse.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

char *sim_copy(const char *from, const char *to)
{
    char *text = sim_alloc((size_t)(to - from) + 1);
    memcpy(text, from, (size_t)(to - from));
    return text;
}

char *sim_skip_space(char *c)
{
    while (isspace((unsigned char)*c)) c++;
    return c;
}

/* After the bracket that closes the one at `c`. */
char *sim_after_bracket(char *c, char open, char close)
{
    int depth = 0;
    for (; *c; c++) {
        if (*c == open) depth++;
        if (*c == close && --depth == 0) return c + 1;
    }
    return c;
}

uint32_t sim_align_up(uint32_t n, size_t to) { return (uint32_t)((n + to - 1) / to * to); }

bool sim_declaration_read(const char *text, sim_declaration *d)
{
    *d = (sim_declaration){.element = -1};
    char *words = sim_copy(text, text + strlen(text)), *state = NULL;
    for (char *w = strtok_r(words, " \t\r\n", &state); w; w = strtok_r(NULL, " \t\r\n", &state)) {
        if (strcmp(w, ".align") == 0) {
            w = strtok_r(NULL, " \t\r\n", &state);
            if (w) d->align = strtoul(w, NULL, 10);
        } else if (*w == '.') {
            const int bytes = sim_type_bytes(w + 1);
            if (bytes >= 0) d->element = bytes;
        } else if (*w != '=' && !d->name[0]) {
            strncpy(d->name, w, sizeof d->name - 1);
        } else if (*w == '=') {
            break;
        }
    }
    free(words);
    d->bytes = d->element > 0 ? (size_t)d->element : 0;
    char *bracket = strchr(d->name, '[');
    if (bracket) {
        d->bytes *= strtoul(bracket + 1, NULL, 10);
        *bracket = 0;
    }
    if (!d->align) d->align = d->element > 0 ? (size_t)d->element : 1;
    return d->name[0] && d->element >= 0;
}
