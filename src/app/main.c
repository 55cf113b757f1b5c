/* main.c: finds the verb, runs it, reports its failure once, and turns it into an exit code. */
#include <stdio.h>
#include <string.h>

#include "app/verbs.h"
#include "app/version.h"
#include "core/arena.h"

static const app_verb verbs[] = {
    {"sample", "draw pictures from prompts", cmd_sample},
    {"inspect", "show what a model folder holds", cmd_inspect},
    {"bench", "time a network: seconds, flops and share of the roof by operator", cmd_bench},
    {"selftest", "check this installation against built-in vectors", cmd_selftest},
};
enum { VERB_COUNT = sizeof verbs / sizeof *verbs };

static void print_help(void)
{
    printf("soda: fine-tunes and samples Stable Diffusion models (diffusers folders)\n\n"
           "usage: soda VERB [OPTION]...\n\n");
    for (int i = 0; i < VERB_COUNT; i++) printf("  %-10s %s\n", verbs[i].name, verbs[i].summary);
    printf("\n  soda VERB --help   options of a verb, with defaults and an example\n"
           "  soda --version     version, libraries and backends\n");
}

static soda_status run(int argc, char **argv)
{
    if (argc < 2) {
        print_help();
        return FAIL(SODA_ERR_USAGE, "a verb is missing");
    }
    if (strcmp(argv[1], "--help") == 0 || strcmp(argv[1], "-h") == 0 ||
        strcmp(argv[1], "help") == 0) {
        print_help();
        return SODA_OK;
    }
    if (strcmp(argv[1], "--version") == 0) return version_print();
    for (int i = 0; i < VERB_COUNT; i++)
        if (strcmp(argv[1], verbs[i].name) == 0) return verbs[i].run(argc - 1, argv + 1);
    return FAIL(SODA_ERR_USAGE, "unknown verb '%s'; see soda --help", argv[1]);
}

int main(int argc, char **argv)
{
    arena_tune_malloc();
    soda_status s = run(argc, argv);
    if (s == SODA_OK && fflush(stdout) != 0) s = FAIL(SODA_ERR_IO, "standard output: write failed");
    if (s != SODA_OK && s != SODA_STOPPED) {
        fprintf(stderr, "soda: error: %s\n", status_message());
        if (s != SODA_ERR_USAGE) fprintf(stderr, "  %s\n", status_trace());
    }
    return status_exit_code(s);
}
