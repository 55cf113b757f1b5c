#include "run/same_program.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "config/run_config_diff.h"
#include "core/isa.h"
#include "core/sha256.h"

/* "instruction set avx2, soda 0.2.0, build 1a2b3c4d": the start of the hash of the program's file,
 * where the system tells. */
static void describe(char *text, size_t size)
{
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX] = "unknown!";
    if (sha256_file("/proc/self/exe", digest) == SODA_OK)
        sha256_hex(digest, hex);
    else
        status_clear();
    snprintf(text, size, "instruction set %s, soda %s, build %.8s", isa_name(isa_now()),
             SODA_VERSION, hex);
}

enum { TEXT_BYTES = 256 };

/* Whether rank 0 has the text that this rank has; root is rank 0's. Collective. */
static soda_status compare(soda_comm *comm, const char own[TEXT_BYTES], char root[TEXT_BYTES],
                           bool *same)
{
    memcpy(root, own, TEXT_BYTES);
    TRY(comm->broadcast(comm, root, TEXT_BYTES, 0));
    *same = strcmp(own, root) == 0;
    return SODA_OK;
}

soda_status same_program(soda_comm *comm)
{
    char own[TEXT_BYTES] = "", root[TEXT_BYTES];
    bool same;
    if (comm->size == 1) return SODA_OK;
    describe(own, sizeof own);
    TRY(compare(comm, own, root, &same));
    return comm_agree(
        comm, same ? SODA_OK
                   : FAIL(SODA_ERR_INPUT,
                          "expected what rank 0 has (%s), found %s; install one program on all "
                          "nodes, and give --isa or SODA_ISA a level that all of them have",
                          root, own));
}

static soda_status refuse_config(const char *root, const char *own)
{
    run_config_diff changes;
    char keys[800] = "";
    TRY(run_config_diff_find(root, own, &changes));
    for (int i = 0; i < changes.count; i++) {
        const run_config_change *c = &changes.list[i];
        const size_t used = strlen(keys);
        snprintf(keys + used, sizeof keys - used, "%s%s is %s, that of rank 0 %s", i ? "; " : "",
                 c->name, c->after, c->before);
    }
    run_config_diff_free(&changes);
    return FAIL(SODA_ERR_INPUT, "expected the configuration that rank 0 has: %s", keys);
}

soda_status same_config(soda_comm *comm, const char *text)
{
    int64_t bytes = (int64_t)strlen(text) + 1;
    soda_status s = SODA_OK;
    if (comm->size == 1) return SODA_OK;
    TRY(comm->broadcast(comm, &bytes, sizeof bytes, 0));
    char *root = malloc((size_t)bytes);
    if (!root) s = FAIL(SODA_ERR_MEMORY, "out of memory for the configuration of rank 0");
    TRY_TO(done, comm_agree(comm, s));
    if (!root) return SODA_ERR_MEMORY; /* comm_agree said so */
    if (comm->rank == 0) memcpy(root, text, (size_t)bytes);
    TRY_TO(done, comm->broadcast(comm, root, (size_t)bytes, 0));
    s = comm_agree(comm, strcmp(root, text) == 0 ? SODA_OK : refuse_config(root, text));
done:
    free(root);
    return s;
}

soda_status same_clock(soda_comm *comm, bool matters)
{
    enum { MOST_S = 60 }; /* scripts have a job told to stop two minutes before its end */
    int64_t root, own;
    if (comm->size == 1) return SODA_OK;
    TRY(comm_agree(comm, SODA_OK)); /* rank 0 shall not read its clock long before the others */
    root = own = (int64_t)time(NULL);
    TRY(comm->broadcast(comm, &root, sizeof root, 0));
    const int64_t ahead = own - root, off = ahead < 0 ? -ahead : ahead;
    return comm_agree(comm, !matters || off <= MOST_S
                                ? SODA_OK
                                : FAIL(SODA_ERR_INPUT,
                                       "the clock of this node is %lld s %s that of rank 0's: "
                                       "expected at most %d s, since the end of the job is given "
                                       "as a time of day; set the clocks, or checkpoint.time_limit",
                                       (long long)off, ahead < 0 ? "behind" : "ahead of", MOST_S));
}

soda_status same_hardware(soda_comm *comm, const soda_device *device)
{
    char own[TEXT_BYTES] = "", root[TEXT_BYTES];
    bool same;
    if (comm->size == 1) return SODA_OK;
    snprintf(own, sizeof own, "%s", device->model);
    TRY(compare(comm, own, root, &same));
    return comm_agree(
        comm, same ? SODA_OK
                   : FAIL(SODA_ERR_INPUT,
                          "parallel.reduction: exact: expected GPUs of one model, as results must "
                          "not depend on which rank computes what: rank 0 has %s, this rank %s; "
                          "use GPUs of one model, or parallel.reduction: fast",
                          root, own));
}
