/* NCCL's communicators: nccl_sim.h. */
#include "nccl_sim.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

bool nccl_chosen(const char *name, int rank, uint64_t number)
{
    int r;
    unsigned long long n;
    const char *text = getenv(name);
    return text && sscanf(text, "%d:%llu", &r, &n) == 2 && r == rank && n == number;
}

bool nccl_fails(struct ncclComm *c) { return nccl_chosen("CUSIM_NCCL_FAIL", c->rank, c->calls++); }

bool nccl_publish(const char *path, const void *head, size_t head_bytes, const void *data,
                  size_t bytes)
{
    char early[NCCL_PATH + 16];
    snprintf(early, sizeof early, "%s.new", path);
    FILE *f = fopen(early, "wb");
    const bool whole = f && fwrite(head, 1, head_bytes, f) == head_bytes &&
                       (!bytes || fwrite(data, 1, bytes, f) == bytes);
    return f && fclose(f) == 0 && whole && rename(early, path) == 0;
}

/* FOLDER/rank-R: with its process id. */
static void rank_path(const struct ncclComm *c, int rank, char path[NCCL_PATH])
{
    snprintf(path, NCCL_PATH, "%s/rank-%d", c->folder, rank);
}

ncclResult_t ncclGetUniqueId(ncclUniqueId *id)
{
    const char *base = getenv("TMPDIR");
    memset(id, 0, sizeof *id);
    snprintf(id->internal, NCCL_FOLDER, "%.60s/cusim-nccl-XXXXXX", base ? base : "/dev/shm");
    return mkdtemp(id->internal) ? ncclSuccess : ncclSystemError;
}

/* Whether all ranks are there. */
static bool join(struct ncclComm *c)
{
    for (int r = 0; r < c->size; r++) {
        char path[NCCL_PATH];
        rank_path(c, r, path);
        FILE *f = c->process[r] ? NULL : fopen(path, "rb");
        if (f && fread(&c->process[r], sizeof(pid_t), 1, f) != 1) c->process[r] = 0;
        if (f) fclose(f);
        if (!c->process[r]) return false;
    }
    c->state = ncclSuccess;
    return c->joined = true;
}

void nccl_look_for_dead(struct ncclComm *c)
{
    for (int r = 0; r < c->size; r++)
        if (c->process[r] && kill(c->process[r], 0) != 0 && errno == ESRCH)
            c->state = ncclRemoteError;
}

ncclResult_t ncclCommInitRankConfig(ncclComm_t *comm, int size, ncclUniqueId id, int rank,
                                    ncclConfig_t *config)
{
    char path[NCCL_PATH];
    const pid_t own = getpid();
    if (size > NCCL_RANKS) sim_die("NCCL: %d ranks, at most %d", size, NCCL_RANKS);
    struct ncclComm *c = *comm = sim_alloc(sizeof *c);
    *c = (struct ncclComm){.rank = rank, .size = size, .references = 1, .state = ncclInProgress};
    snprintf(c->folder, sizeof c->folder, "%.95s", id.internal);
    if (nccl_fails(c)) return ncclSystemError;
    rank_path(c, rank, path);
    /* No folder: another rank has given up already, and this one waits for it, as NCCL does. */
    if (!nccl_publish(path, &own, sizeof own, NULL, 0) && errno != ENOENT) return ncclSystemError;
    if (config->blocking) sim_die("NCCL: a communicator that blocks is not simulated");
    return ncclInProgress;
}

ncclResult_t ncclCommGetAsyncError(ncclComm_t c, ncclResult_t *state)
{
    if (nccl_fails(c)) return ncclSystemError;
    if (c->state == ncclSuccess || c->state == ncclInProgress) nccl_look_for_dead(c);
    if (c->state == ncclInProgress) join(c);
    *state = c->state;
    return ncclSuccess;
}

void nccl_release(struct ncclComm *c)
{
    if (--c->references == 0) free(c);
}

/* The last rank removes what is left, and so does one that saw another die. */
ncclResult_t ncclCommAbort(ncclComm_t c)
{
    char path[NCCL_FOLDER + 512];
    bool others = false;
    rank_path(c, c->rank, path);
    unlink(path);
    for (int r = 0; r < c->size; r++) {
        rank_path(c, r, path);
        others = others || access(path, F_OK) == 0;
    }
    DIR *folder = others && c->state != ncclRemoteError ? NULL : opendir(c->folder);
    for (const struct dirent *e; folder && (e = readdir(folder)) != NULL;) {
        snprintf(path, sizeof path, "%s/%s", c->folder, e->d_name);
        if (e->d_name[0] != '.') unlink(path);
    }
    if (folder) closedir(folder);
    rmdir(c->folder);
    c->aborted = true;
    nccl_release(c);
    return ncclSuccess;
}

const char *ncclGetErrorString(ncclResult_t code)
{
    switch (code) {
    case ncclSuccess: return "no error";
    case ncclSystemError: return "unhandled system error (run with NCCL_DEBUG=INFO for details)";
    case ncclRemoteError: return "remote process exited or there was a network error";
    default: return "unknown result code";
    }
}

const char *ncclGetLastError(ncclComm_t c)
{
    (void)c;
    return "simulated";
}
