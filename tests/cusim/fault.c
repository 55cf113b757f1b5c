/* Calls that fail, one of a process's calls of a kind, and how many there are:
 *
 *     CUSIM_FAIL=KIND:R:N    call number N, from 0, of rank R fails (a program alone is rank 0)
 *     CUSIM_CALLS=PATH       at the end PATH-R has a line "KIND COUNT" for each kind
 *
 * A kernel fails as on a GPU: its launch is well, and from then on every call says so. */
#include "sim.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const char *const kinds[SIM_CALLS] = {
    [SIM_ALLOC] = "alloc", [SIM_LAUNCH] = "launch", [SIM_KERNEL] = "kernel", [SIM_COPY] = "copy",
    [SIM_QUEUE] = "queue", [SIM_BLAS] = "blas",     [SIM_SOLVER] = "solver", [SIM_NCCL] = "nccl"};

static unsigned long long calls[SIM_CALLS], fails_at;
static int fails_kind = -1; /* none */
static bool is_read, lost;

static int rank(void)
{
    static const char *const names[] = {"OMPI_COMM_WORLD_RANK", "PMIX_RANK", "SLURM_PROCID"};
    for (int i = 0; i < 3; i++) {
        const char *number = getenv(names[i]);
        if (number) return atoi(number);
    }
    return 0;
}

static void read_wish(void)
{
    char kind[16] = "";
    int of;
    const char *text = getenv("CUSIM_FAIL");
    is_read = true;
    if (!text) return;
    if (sscanf(text, "%15[a-z]:%d:%llu", kind, &of, &fails_at) != 3)
        sim_die("CUSIM_FAIL: expected KIND:RANK:NUMBER, found %s", text);
    for (int k = 0; k < SIM_CALLS; k++)
        if (strcmp(kinds[k], kind) == 0 && of == rank()) fails_kind = k;
}

bool sim_fails(sim_call kind)
{
    if (!is_read) read_wish();
    const bool fails = (int)kind == fails_kind && calls[kind] == fails_at;
    calls[kind]++;
    if (fails && kind == SIM_KERNEL) lost = true;
    return fails;
}

bool sim_lost(void) { return lost; }

__attribute__((destructor)) static void write_counts(void)
{
    char path[4096];
    const char *wanted = getenv("CUSIM_CALLS");
    if (!wanted) return;
    snprintf(path, sizeof path, "%s-%d", wanted, rank());
    FILE *f = fopen(path, "w");
    for (int k = 0; f && k < SIM_CALLS; k++) fprintf(f, "%s %llu\n", kinds[k], calls[k]);
    if (f) fclose(f);
}
