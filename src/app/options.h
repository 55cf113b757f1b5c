/* options.h: the command line of one verb: a table of options, read with getopt_long. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "core/status.h"

enum { OPTIONS_LIST_MAX = 64 };

/* Values of an option that may be given several times. */
typedef struct {
    const char *value[OPTIONS_LIST_MAX];
    int count;
} option_list;

typedef enum { OPTION_TEXT, OPTION_INT, OPTION_FLOAT, OPTION_FLAG, OPTION_LIST } option_kind;

extern const char options_required[];

/* One option. `target` has the kind's type (const char *, int64_t, double, bool, option_list) and
 * holds the default; the text of the default for --help is in `fallback`. */
typedef struct {
    const char *name;
    option_kind kind;
    void *target;
    const char *argument; /* what the help calls the value; NULL for flags */
    const char *fallback; /* NULL: none; options_required: text or a list that must be given */
    const char *help;
    double least, most; /* range of numbers */
} option_row;

typedef struct {
    const char *verb, *summary, *synopsis, *example;
    const option_row *rows;
    int row_count;
    const option_row *more; /* read and listed behind them: what several verbs share */
    int more_count;
    int operands;           /* how many words besides options are expected */
    bool operands_optional; /* or none of them: operand[] stays as it is */
} option_table;

/* SODA_ERR_USAGE if `path`, the value of `name`, is empty, or starts with a ~ that the shell has
 * left: quotes, and "--out=~/x", do that, and a folder called ~ would be made. */
soda_status options_check_path(const char *name, const char *path);

/* Reads argv[1..] (argv[0] is the verb). Operands go to operand[]. *help is set, and nothing else
 * done, when --help was given. SODA_ERR_USAGE names the option, what was expected and found. */
soda_status options_read(const option_table *table, int argc, char **argv, const char **operand,
                         bool *help);

/* Prints the help of a verb to stdout. */
void options_print_help(const option_table *table);
