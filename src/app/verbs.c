#include "app/verbs.h"

#include <stddef.h>
#include <string.h>

#include "core/spelling.h"

const app_verb verbs[VERBS] = {
#define VERB(name, flags, gathers, timeout, help)                                                  \
    {#name, help, flags, gathers, timeout, cmd_##name},
#include "app/verbs.def"
#undef VERB
};

const app_verb *verbs_find(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}

const char *verbs_nearest(const char *name)
{
    const char *nearest = NULL;
    int best = SPELLING_ALIKE + 1;
    for (int i = 0; i < VERBS; i++) {
        const int now = spelling_distance(name, verbs[i].name);
        if (now >= best) continue;
        best = now;
        nearest = verbs[i].name;
    }
    return nearest;
}
