/* main.c: finds the verb, runs it, reports its failure once, and turns it into an exit code.
 *
 * Under a launcher (mpirun, srun) every rank runs a collective verb, and rank 0 alone any other.
 */
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "app/common.h"
#include "app/verbs.h"
#include "app/version.h"
#include "app/waiting.h"
#include "comm_mpi.h"
#include "core/arena.h"
#include "core/log.h"
#include "run/preempt.h"

static void print_help(void)
{
    printf("soda: fine-tunes and samples Stable Diffusion models (diffusers folders)\n\n"
           "usage: soda VERB [OPTION]...\n\n");
    for (int i = 0; i < VERBS; i++) printf("  %-10s %s\n", verbs[i].name, verbs[i].help);
    printf("\n  soda VERB --help   options of a verb, with defaults and an example\n"
           "  soda --version     version, libraries and backends\n");
}

static soda_status refuse_verb(const char *word)
{
    const char *nearest = verbs_nearest(word);
    return FAIL(SODA_ERR_USAGE, "unknown verb '%s'%s%s; see soda --help", word,
                nearest ? ": did you mean " : "", nearest ? nearest : "");
}

/* Ranks with different verbs would wait for each other for ever. Collective. */
static soda_status agree_on_verb(soda_comm *comm, const char *word)
{
    char own[32] = "", what[48];
    snprintf(own, sizeof own, "%s", word);
    snprintf(what, sizeof what, "the verb '%s'", own);
    return comm_agree_same(comm, own, sizeof own, what);
}

/* verb: the row called argv[1], NULL if there is none. */
static soda_status run(const app_verb *verb, int argc, char **argv)
{
    if (verb) return verb->run(argc - 1, argv + 1);
    if (argc < 2) {
        print_help();
        return FAIL(SODA_ERR_USAGE, "no verb given");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        const app_verb *about = argc == 3 ? verbs_find(argv[2]) : NULL; /* soda help VERB */
        if (about) return about->run(2, (char *[]){argv[2], "--help", NULL});
        if (argc == 3 && argv[2][0] != '-') return refuse_verb(argv[2]);
        print_help();
        return SODA_OK;
    }
    if (strcmp(argv[1], "--version") == 0) return version_print(comm_mpi_library());
    return refuse_verb(argv[1]);
}

/* One message for all ranks: that of the rank whose failure was agreed on. */
static void report(soda_status s, const soda_comm *comm)
{
    char rank[COMM_RANK_TEXT];
    comm_describe_rank(comm, rank);
    fprintf(stderr, "soda: error: %s%s\n", rank, status_message());
    if (s != SODA_ERR_USAGE) fprintf(stderr, "  %s\n", status_trace());
}

/* Where the caller closed one of the three standard files, the next file that is opened would take
 * its number, and what is printed would go into that file. Reads then find the end, writes fail. */
static void fill_standard_files(void)
{
    for (int file = 0; file >= 0 && file <= STDERR_FILENO;) file = open("/dev/null", O_RDONLY);
}

/* The ranks that a launcher started, all with one verb. */
static soda_status open_ranks(const app_verb *verb, int argc, char **argv, soda_comm **comm)
{
    soda_status s = SODA_OK;
    if (comm_mpi_launched())
        s = comm_mpi_open(verb && verb->gathers && verb->gathers(argc - 1, argv + 1), comm);
    log_set_quiet((*comm)->rank != 0);
    return s == SODA_OK ? agree_on_verb(*comm, argc > 1 ? argv[1] : "") : s;
}

int main(int argc, char **argv)
{
    fill_standard_files();
    waiting_limit_spin(argv);
    arena_tune_malloc();
    signal(SIGXFSZ, SIG_IGN); /* a file beyond its limit is a failed write, with a message */
    const app_verb *verb = argc > 1 ? verbs_find(argv[1]) : NULL;
    if (verb && (verb->flags & VERB_STOPS)) preempt_install();
    soda_comm *comm = comm_self();
    watchdog *dog = NULL;
    common_set_comm(comm, 0);
    if (verb && verb->timeout)
        watchdog_start(comm_mpi_launched_rank(), verb->timeout(argc - 1, argv + 1), &dog);
    soda_status s = open_ranks(verb, argc, argv, &comm);
    common_set_comm(comm, comm->size > 1 ? comm_mpi_threads() : 0);
    if (s == SODA_OK && verb && verb->timeout) watchdog_join(dog, comm);
    common_set_watchdog(dog);
    const bool collective = verb && (verb->flags & VERB_COLLECTIVE);
    if (s == SODA_OK && (collective || comm->rank == 0)) s = run(verb, argc, argv);
    watchdog_stop(dog);
    if (s == SODA_OK && fflush(stdout) != 0) s = FAIL(SODA_ERR_IO, "standard output: write failed");
    if (s != SODA_STOPPED && !comm_mpi_broken()) s = comm_agree(comm, s);
    if (s == SODA_OK) common_close_backend();
    if (s == SODA_OK && comm->rank == 0) common_trim_cache();
    const bool speaks = comm->failed_rank == comm->rank || comm_mpi_broken();
    if (s != SODA_OK && s != SODA_STOPPED && speaks) report(s, comm);
    if (comm_mpi_broken()) comm->end_all(comm, status_exit_code(s));
    if (comm->size > 1 || comm_mpi_launched()) comm_mpi_close();
    return status_exit_code(s);
}
