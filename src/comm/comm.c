#include "comm/comm.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

static soda_status keep_i64(soda_comm *comm, int64_t *data, int64_t count)
{
    (void)comm, (void)data, (void)count;
    return SODA_OK;
}

static soda_status keep_f32(soda_comm *comm, float *data, int64_t count)
{
    (void)comm, (void)data, (void)count;
    return SODA_OK;
}

static soda_status keep_bytes(soda_comm *comm, void *data, size_t bytes, int root)
{
    (void)comm, (void)data, (void)bytes, (void)root;
    return SODA_OK;
}

static soda_status copy_all(soda_comm *comm, const void *all, size_t bytes, void *own, int root)
{
    (void)comm, (void)root;
    memcpy(own, all, bytes);
    return SODA_OK;
}

static soda_status copy_parts(soda_comm *comm, const comm_parts *list, int count)
{
    (void)comm;
    for (int i = 0; i < count; i++) memcpy(list[i].all, list[i].own, list[i].bytes);
    return SODA_OK;
}

static soda_status meet_nobody(soda_comm *comm)
{
    (void)comm;
    return SODA_OK;
}

static soda_status keep_group(soda_comm *comm, int ranks, soda_comm **group)
{
    (void)ranks;
    *group = comm;
    return SODA_OK;
}

static void leave_nobody(soda_comm *group) { (void)group; }

static void tell_nobody(soda_comm *comm) { (void)comm; }

static bool told_by_nobody(soda_comm *comm)
{
    (void)comm;
    return false;
}

static void end_self(soda_comm *comm, int exit_code)
{
    (void)comm;
    _exit(exit_code);
}

soda_comm *comm_self(void)
{
    static soda_comm self = {.rank = 0,
                             .size = 1,
                             .node = &self,
                             .failed_rank = -1,
                             .sum_i64 = keep_i64,
                             .sum_f32 = keep_f32,
                             .max_i64 = keep_i64,
                             .broadcast = keep_bytes,
                             .scatter = copy_all,
                             .gather = copy_parts,
                             .meet = meet_nobody,
                             .split = keep_group,
                             .leave = leave_nobody,
                             .give_up = tell_nobody,
                             .given_up = told_by_nobody,
                             .end_all = end_self};
    return &self;
}

void comm_describe_rank(const soda_comm *comm, char text[COMM_RANK_TEXT])
{
    char host[64] = "";
    text[0] = '\0';
    if (comm->size == 1) return;
    gethostname(host, sizeof host - 1);
    snprintf(text, COMM_RANK_TEXT, "rank %d of %d on %s: ", comm->rank, comm->size, host);
}

/* Higher is worse; a stop is no failure. */
static int64_t severity(soda_status s)
{
    return s == SODA_OK ? 0 : s == SODA_STOPPED ? 1 : (int64_t)s + 1;
}

soda_status comm_agree_flags(soda_comm *comm, soda_status own, int64_t *flags, int count)
{
    const bool followed = comm->failed_rank >= 0 && comm->failed_rank != comm->rank;
    comm->failed_rank = own == SODA_OK ? -1 : comm->rank;
    if (comm->size == 1) return own;
    /* worst status first, then who failed by itself and not after another, then the lowest rank */
    int64_t all[1 + COMM_FLAGS] = {(2 * severity(own) + !followed) * comm->size +
                                   (comm->size - 1 - comm->rank)};
    for (int i = 0; i < count; i++) all[1 + i] = flags[i];
    TRY(comm->max_i64(comm, all, 1 + count));
    for (int i = 0; i < count; i++) flags[i] = all[1 + i];
    const int64_t level = all[0] / comm->size / 2;
    if (level == 0) return SODA_OK;
    const soda_status agreed = level == 1 ? SODA_STOPPED : (soda_status)(level - 1);
    comm->failed_rank = comm->size - 1 - (int)(all[0] % comm->size);
    if (own != SODA_OK) return agreed;
    return FAIL(agreed, "rank %d of %d %s", comm->failed_rank, comm->size,
                level == 1 ? "stopped" : "failed");
}

soda_status comm_agree(soda_comm *comm, soda_status own)
{
    return comm_agree_flags(comm, own, NULL, 0);
}

soda_status comm_agree_after(soda_comm *comm, const soda_comm *inner, soda_status own)
{
    const bool followed =
        own != SODA_OK && inner->failed_rank >= 0 && inner->failed_rank != inner->rank;
    if (followed && inner != comm) comm->failed_rank = comm->rank ? 0 : 1; /* any other */
    return comm_agree(comm, own);
}

soda_status comm_all_same(soda_comm *comm, const void *data, size_t bytes, bool *same)
{
    char root[COMM_SAME_BYTES];
    *same = true;
    if (bytes > sizeof root)
        return FAIL(SODA_ERR_INTERNAL, "comm: %zu bytes to compare, at most %zu", bytes,
                    sizeof root);
    memcpy(root, data, bytes);
    TRY(comm->broadcast(comm, root, bytes, 0));
    int64_t differs = memcmp(root, data, bytes) != 0;
    TRY(comm->max_i64(comm, &differs, 1));
    *same = !differs;
    return SODA_OK;
}

soda_status comm_agree_same(soda_comm *comm, const void *data, size_t bytes, const char *what)
{
    char root[COMM_SAME_BYTES];
    soda_status s = SODA_OK;
    if (comm->size == 1) return SODA_OK;
    if (bytes > sizeof root)
        s = FAIL(SODA_ERR_INTERNAL, "comm: %zu bytes to compare, at most %zu", bytes, sizeof root);
    TRY(comm_agree(comm, s));
    memcpy(root, data, bytes);
    TRY(comm->broadcast(comm, root, bytes, 0));
    if (memcmp(root, data, bytes) != 0)
        s = FAIL(SODA_ERR_INPUT, "%s: differs from that of rank 0", what);
    return comm_agree(comm, s);
}
