#include "app/verbs.h"

#include <stddef.h>
#include <string.h>

const app_verb verbs[VERBS] = {
#define VERB(name, flags, gathers, help) {#name, help, flags, gathers, cmd_##name},
#include "app/verbs.def"
#undef VERB
};

const app_verb *verbs_find(const char *name)
{
    for (int i = 0; i < VERBS; i++)
        if (strcmp(verbs[i].name, name) == 0) return &verbs[i];
    return NULL;
}
