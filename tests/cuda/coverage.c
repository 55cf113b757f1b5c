/* coverage.c FILE: whether the tests executed every kernel of cuda/, the objects of which are
 * linked into this program: FILE is what they noted by CUSIM_LAUNCHED. Names those that never ran.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cusim/sim.h"

/* Of the C++ runtime: the name as it is written in the source. */
char *__cxa_demangle(const char *mangled, char *buffer, size_t *size, int *status);

static bool *ran;

static void note(const char *name)
{
    for (int k = 0; k < sim_kernel_count(); k++)
        if (strcmp(sim_kernel_at(k)->name, name) == 0) ran[k] = true;
}

static bool read_notes(const char *path)
{
    FILE *file = fopen(path, "r");
    char *line = NULL;
    size_t size = 0;
    if (!file) return false;
    while (getline(&line, &size, file) > 0) {
        line[strcspn(line, "\n")] = 0;
        note(line);
    }
    free(line);
    return fclose(file) == 0;
}

int main(int argc, char **argv)
{
    const int kernels = sim_kernel_count();
    ran = sim_alloc((size_t)kernels);
    if (argc != 2 || !read_notes(argv[1])) {
        fprintf(stderr, "coverage: cannot read %s\n", argc == 2 ? argv[1] : "without one FILE");
        return 1;
    }
    int missing = 0;
    for (int k = 0; k < kernels; k++) {
        if (ran[k]) continue;
        int status;
        char *name = __cxa_demangle(sim_kernel_at(k)->name, NULL, NULL, &status);
        printf("coverage: no test executed %s\n", name ? name : sim_kernel_at(k)->name);
        free(name);
        missing++;
    }
    printf("coverage: %d of %d kernels were executed\n", kernels - missing, kernels);
    free(ran);
    return missing || !kernels;
}
