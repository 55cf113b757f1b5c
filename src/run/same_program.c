#include "run/same_program.h"

#include <stdbool.h>
#include <stdio.h>
#include <string.h>

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
