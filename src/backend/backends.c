/* backends.c: the backends of backends.def by name. */
#include <string.h>

#include "backend/backend.h"

/* ", NAME" for every row; whoever reads it skips the first comma. */
static const char names[] =
#define BACKEND(name) ", " #name
#include "backend/backends.def"
#undef BACKEND
    ;

const char *backend_names(void) { return names + 2; }

backend_opener *backend_find(const char *name)
{
#define BACKEND(row)                                                                               \
    if (strcmp(name, #row) == 0) return backend_open_##row;
#include "backend/backends.def"
#undef BACKEND
    return NULL;
}
