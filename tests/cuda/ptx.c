/* ptx ARCH DIR OBJECT...: writes the PTX for compute capability ARCH (80: 8.0) of each object file
 * of nvcc --no-compress as DIR/NAME.ptx; an object without it is an error. A fat binary is laid out
 * as tests/cusim/fatbin.c says. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct {
    unsigned char *data;
    size_t bytes;
} contents;

static int read_file(const char *path, contents *c)
{
    FILE *file = fopen(path, "rb");
    if (!file || fseek(file, 0, SEEK_END) || (long)(c->bytes = (size_t)ftell(file)) < 0) return 1;
    rewind(file);
    c->data = malloc(c->bytes + 1);
    const int failed = !c->data || fread(c->data, 1, c->bytes, file) != c->bytes;
    fclose(file);
    return failed;
}

static uint64_t number(const unsigned char *at, int bytes)
{
    uint64_t value = 0;
    while (bytes--) value = value << 8 | at[bytes];
    return value;
}

/* The text of the entry of kind 1 and this architecture; NULL: none. */
static const char *find(const contents *c, uint64_t arch)
{
    static const unsigned char magic[4] = {0x50, 0xed, 0x55, 0xba};
    const unsigned char *start = memmem(c->data, c->bytes, magic, sizeof magic);
    if (!start) return NULL;
    const unsigned char *e = start + number(start + 6, 2), *end = e + number(start + 8, 8);
    for (; e < end; e += number(e + 4, 4) + number(e + 8, 8))
        if (number(e, 2) == 1 && number(e + 16, 4) == 0 && number(e + 28, 4) == arch)
            return (const char *)e + number(e + 4, 4);
    return NULL;
}

static int extract(const char *object, uint64_t arch, const char *folder)
{
    contents c = {0};
    char path[4096];
    const char *text = read_file(object, &c) ? NULL : find(&c, arch), *name = strrchr(object, '/');
    snprintf(path, sizeof path, "%s/%s.ptx", folder, name ? name + 1 : object);
    FILE *file = text ? fopen(path, "w") : NULL;
    int failed = !file || fputs(text, file) < 0;
    if (file) failed |= fclose(file) != 0;
    if (failed) fprintf(stderr, "ptx: no PTX from %s in %s\n", object, folder);
    free(c.data);
    return failed;
}

int main(int argc, char **argv)
{
    int failed = argc < 4;
    for (int i = 3; i < argc; i++) failed |= extract(argv[i], strtoull(argv[1], NULL, 10), argv[2]);
    return failed;
}
