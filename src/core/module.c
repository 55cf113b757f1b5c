#include "core/module.h"

#include <dlfcn.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* The path of the module if the program was built or installed beside it, else its bare name. Not
 * by RUNPATH: the loader takes dlopen's caller for a sanitizer's library, which has none. */
static void find(const char *name, char *path, size_t size)
{
    static const char *const places[] = {"", "../", "../lib/soda/"};
    char program[2048];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    char *slash = strrchr(program, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        slash[1] = 0;
        snprintf(path, size, "%s%s%s", program, places[i], name);
        if (access(path, R_OK) == 0) return;
    }
    snprintf(path, size, "%s", name);
}

soda_status module_load(const char *name, const char *entry, const void **symbol)
{
    char path[2300];
    find(name, path, sizeof path);
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    *symbol = handle ? dlsym(handle, entry) : NULL;
    if (!*symbol) return FAIL(SODA_ERR_UNSUPPORTED, "cannot load a part of soda: %s", dlerror());
    return SODA_OK;
}
