#include "comm/node_memory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* A file without a name, of one process that the others can see in /proc. */
typedef struct {
    int64_t process;
    int file; /* -1: there is none */
    uint64_t device, inode;
} handle;

/* In containers with process numbers of their own, the same number may be another process, or even
 * the one that looks. */
static bool is_that_file(int file, const handle *wanted)
{
    struct stat about;
    return fstat(file, &about) == 0 && (uint64_t)about.st_dev == wanted->device &&
           (uint64_t)about.st_ino == wanted->inode;
}

static soda_status create(size_t bytes, handle *file)
{
    struct stat about = {0};
    *file = (handle){.process = getpid(), .file = memfd_create("soda", MFD_CLOEXEC)};
    if (file->file >= 0 && ftruncate(file->file, (off_t)bytes) == 0 &&
        fstat(file->file, &about) == 0) {
        file->device = (uint64_t)about.st_dev;
        file->inode = (uint64_t)about.st_ino;
        return SODA_OK;
    }
    const soda_status s =
        FAIL(SODA_ERR_MEMORY, "parallel.weights: %.1f MiB of memory that ranks share: %s",
             (double)bytes / 0x1p20, strerror(errno));
    if (file->file >= 0) close(file->file);
    file->file = -1;
    return s;
}

static soda_status map(int file, size_t bytes, void **memory)
{
    void *data = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    if (data == MAP_FAILED)
        return FAIL(SODA_ERR_MEMORY, "parallel.weights: %.1f MiB of memory that ranks share: %s",
                    (double)bytes / 0x1p20, strerror(errno));
    madvise(data, bytes, MADV_HUGEPAGE); /* a hint: few systems have huge pages for shared memory */
    *memory = data;
    return SODA_OK;
}

/* The file of another process: the other way to hand it over, a socket, needs a name. */
static soda_status reach(const handle *file, int *own)
{
    char path[64];
    *own = -1;
    if (file->file < 0) return SODA_OK; /* the rank that made it says why */
    snprintf(path, sizeof path, "/proc/%lld/fd/%d", (long long)file->process, file->file);
    *own = open(path, O_RDWR | O_CLOEXEC);
    if (*own >= 0 && is_that_file(*own, file)) return SODA_OK;
    const char *reason = *own < 0 ? strerror(errno) : "it is another file";
    if (*own >= 0) close(*own);
    *own = -1;
    return FAIL(SODA_ERR_IO,
                "parallel.weights: %s, the memory of another rank of this node: %s "
                "(ranks in containers of their own cannot share it: use replicate)",
                path, reason);
}

static soda_status join(const handle *file, size_t bytes, void **memory)
{
    int own;
    TRY(reach(file, &own));
    if (own < 0) return SODA_OK;
    const soda_status s = map(own, bytes, memory);
    close(own);
    return s;
}

soda_status node_memory_open(soda_comm *comm, size_t bytes, void **memory)
{
    soda_comm *node = comm->node;
    handle file = {.file = -1};
    soda_status s = SODA_OK;
    *memory = NULL;
    if (node->rank == 0) s = create(bytes, &file);
    const int created = file.file;
    TRY(node->broadcast(node, &file, sizeof file, 0));
    if (node->rank > 0)
        s = join(&file, bytes, memory);
    else if (s == SODA_OK)
        s = map(created, bytes, memory);
    s = comm_agree(comm, s);
    if (created >= 0) close(created);
    if (s == SODA_OK) return SODA_OK;
    node_memory_close(*memory, bytes);
    *memory = NULL;
    return s;
}

bool node_memory_works(soda_comm *comm)
{
    void *byte;
    if (node_memory_open(comm, 1, &byte) == SODA_OK) {
        node_memory_close(byte, 1);
        return true;
    }
    status_clear();
    comm->failed_rank = -1;
    return false;
}

soda_status node_memory_protect(void *memory, size_t bytes)
{
    if (mprotect(memory, bytes, PROT_READ) == 0) return SODA_OK;
    return FAIL(SODA_ERR_MEMORY, "shared memory cannot be made read-only: %s", strerror(errno));
}

void node_memory_close(void *memory, size_t bytes)
{
    if (memory) munmap(memory, bytes);
}
