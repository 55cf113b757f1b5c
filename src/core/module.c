#include "core/module.h"

#include <dlfcn.h>
#include <elf.h>
#include <fcntl.h>
#include <link.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

/* Not by RUNPATH: the loader takes dlopen's caller for a sanitizer's library, which has none. */
bool module_find(const char *name, char *path, size_t size)
{
    static const char *const places[] = {"", "../", "../lib/soda/"};
    char program[2048];
    const ssize_t length = readlink("/proc/self/exe", program, sizeof program - 1);
    program[length > 0 ? length : 0] = 0;
    char *slash = strchr(name, '/') ? NULL : strrchr(program, '/');
    for (size_t i = 0; slash && i < sizeof places / sizeof *places; i++) {
        slash[1] = 0;
        snprintf(path, size, "%s%s%s", program, places[i], name);
        if (access(path, R_OK) == 0) return true;
    }
    snprintf(path, size, "%s", name);
    return strchr(name, '/') && access(path, R_OK) == 0;
}

/* Whether the file holds all that its headers name: the loader maps it without a look at its
 * length, and the process dies by SIGBUS at the first page that is not there. What is no ELF file
 * is left to the loader. */
static soda_status check_whole(const char *path)
{
    ElfW(Ehdr) header;
    struct stat about;
    ssize_t got = -1;
    const int file = open(path, O_RDONLY | O_CLOEXEC);
    if (file < 0) return SODA_OK; /* the loader says why, or finds it elsewhere */
    if (fstat(file, &about) == 0) got = read(file, &header, sizeof header);
    close(file);
    if (got != (ssize_t)sizeof header || memcmp(header.e_ident, ELFMAG, SELFMAG) != 0)
        return SODA_OK;
    /* the table of sections is the last part that linkers write */
    const uint64_t wanted = header.e_shoff + (uint64_t)header.e_shnum * header.e_shentsize;
    if ((uint64_t)about.st_size >= wanted) return SODA_OK;
    return FAIL(SODA_ERR_UNSUPPORTED,
                "cannot load a part of soda: %s: damaged: expected %llu bytes, found %llu", path,
                (unsigned long long)wanted, (unsigned long long)about.st_size);
}

/* The other reason why the loader cannot map a file that is there; its words are the same, and it
 * sets no errno. */
static bool mounted_noexec(const char *path)
{
    struct statvfs about;
    return statvfs(path, &about) == 0 && (about.f_flag & ST_NOEXEC);
}

soda_status module_load(const char *name, const char *entry, const void **symbol)
{
    char path[2300];
    *symbol = NULL;
    module_find(name, path, sizeof path);
    TRY(check_whole(path));
    void *handle = dlopen(path, RTLD_NOW | RTLD_LOCAL);
    if (handle) *symbol = dlsym(handle, entry);
    if (*symbol) return SODA_OK;
    const char *words = dlerror();
    const bool unmapped = strstr(words, "failed to map segment");
    if (unmapped && mounted_noexec(path))
        return FAIL(SODA_ERR_UNSUPPORTED,
                    "cannot load a part of soda: %s: its file system is mounted noexec", words);
    if (unmapped || strstr(words, "annot allocate memory"))
        return FAIL(SODA_ERR_MEMORY, "out of memory: cannot load a part of soda: %s", words);
    return FAIL(SODA_ERR_UNSUPPORTED, "cannot load a part of soda: %s", words);
}
