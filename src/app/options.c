#include "app/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/spelling.h"

enum { MAX_ROWS = 48 };

const char options_required[] = "required";

static soda_status read_int(const option_row *row, const char *text)
{
    char *end;
    errno = 0;
    const long long value = strtoll(text, &end, 10);
    if (errno || end == text || *end || (double)value < row->least || (double)value > row->most)
        return FAIL(SODA_ERR_USAGE, "--%s: expected an integer from %.0f to %.0f, found '%s'",
                    row->name, row->least, row->most, text);
    *(int64_t *)row->target = value;
    return SODA_OK;
}

static soda_status read_float(const option_row *row, const char *text)
{
    char *end;
    const double value = strtod(text, &end);
    if (end == text || *end || !(value >= row->least && value <= row->most))
        return FAIL(SODA_ERR_USAGE, "--%s: expected a number from %g to %g, found '%s'", row->name,
                    row->least, row->most, text);
    *(double *)row->target = value;
    return SODA_OK;
}

static bool takes_path(const option_row *row)
{
    static const char *const names[] = {"DIR", "FILE", "PATH", "FILE[:W]"};
    for (size_t i = 0; row->argument && i < sizeof names / sizeof *names; i++)
        if (!strcmp(row->argument, names[i])) return true;
    return false;
}

soda_status options_check_path(const char *name, const char *path)
{
    if (!path[0]) return FAIL(SODA_ERR_USAGE, "%s: expected a path, found ''", name);
    if (path[0] != '~' || (path[1] && path[1] != '/')) return SODA_OK;
    return FAIL(SODA_ERR_USAGE,
                "%s: expected a path, found '%s', in which the shell did not replace ~: write "
                "$HOME%s (./%s for a folder of that name)",
                name, path, path + 1, path);
}

static soda_status read_row(const option_row *row, const char *text)
{
    char name[64];
    snprintf(name, sizeof name, "--%s", row->name);
    if (takes_path(row)) TRY(options_check_path(name, text));
    switch (row->kind) {
    case OPTION_TEXT: *(const char **)row->target = text; return SODA_OK;
    case OPTION_INT: return read_int(row, text);
    case OPTION_FLOAT: return read_float(row, text);
    case OPTION_FLAG: *(bool *)row->target = true; return SODA_OK;
    case OPTION_LIST: break;
    }
    option_list *list = row->target;
    if (list->count == OPTIONS_LIST_MAX)
        return FAIL(SODA_ERR_USAGE, "--%s: at most %d times", row->name, OPTIONS_LIST_MAX);
    list->value[list->count++] = text;
    return SODA_OK;
}

static int row_total(const option_table *table) { return table->row_count + table->more_count; }

static const option_row *row_at(const option_table *table, int i)
{
    return i < table->row_count ? &table->rows[i] : &table->more[i - table->row_count];
}

/* What getopt_long knows: row i as value i, and --help as MAX_ROWS. */
static void list_known(const option_table *table, struct option known[MAX_ROWS + 2])
{
    const int total = row_total(table);
    for (int i = 0; i < total; i++) {
        const option_row *row = row_at(table, i);
        const int argument = row->kind == OPTION_FLAG ? no_argument : required_argument;
        known[i] = (struct option){row->name, argument, NULL, i};
    }
    known[total] = (struct option){"help", no_argument, NULL, MAX_ROWS};
}

static bool is_given(const option_row *row)
{
    return row->kind == OPTION_LIST ? ((option_list *)row->target)->count > 0
                                    : *(const char **)row->target != NULL;
}

static soda_status check_given(const option_table *table)
{
    for (int i = 0; i < row_total(table); i++) {
        const option_row *row = row_at(table, i);
        if (row->fallback == options_required && !is_given(row))
            return FAIL(SODA_ERR_USAGE, "%s: --%s %s is missing", table->verb, row->name,
                        row->argument);
    }
    return SODA_OK;
}

/* Whether `word` is --NAME=VALUE of an option that exists: getopt refuses it for its value. */
static bool has_needless_value(const option_table *table, const char *word)
{
    const size_t length = strcspn(word, "=");
    if (strncmp(word, "--", 2) != 0 || !word[length]) return false;
    bool found = length == 6 && !strncmp(word, "--help", length);
    for (int i = 0; i < row_total(table) && !found; i++) {
        const char *name = row_at(table, i)->name;
        found = strlen(name) == length - 2 && !strncmp(word + 2, name, length - 2);
    }
    return found;
}

/* A single dash is all of a word's letters as options of one letter each, of which there is only
 * -h: getopt stops inside the word, or behind it if it has one letter. */
static soda_status refuse_option(const option_table *table, int argc, char **argv)
{
    const char *word = argv[optind - 1], *hint = "";
    if (optopt && optind < argc && argv[optind][0] == '-' && argv[optind][1] == optopt)
        word = argv[optind];
    const size_t length = strcspn(word, "=");
    if (has_needless_value(table, word))
        return FAIL(SODA_ERR_USAGE, "%s: %.*s takes no value, found '%s'", table->verb, (int)length,
                    word, word + length + 1);
    for (int i = 0; word[0] == '-' && i < row_total(table); i++) {
        const char *name = row_at(table, i)->name;
        if (!strncmp(word + 1, name, length - 1) && !name[length - 1]) hint = name;
    }
    char given[SPELLING_BYTES] = "";
    int best = SPELLING_ALIKE + 1;
    if (!strncmp(word, "--", 2)) snprintf(given, sizeof given, "%.*s", (int)length - 2, word + 2);
    for (int i = 0; given[0] && i < row_total(table); i++) {
        const int now = spelling_distance(given, row_at(table, i)->name);
        if (now >= best) continue;
        best = now;
        hint = row_at(table, i)->name;
    }
    return FAIL(SODA_ERR_USAGE, "%s: unknown option %.*s%s%s; see soda %s --help", table->verb,
                (int)length, word, *hint ? ": did you mean --" : "", hint, table->verb);
}

soda_status options_read(const option_table *table, int argc, char **argv, const char **operand,
                         bool *help)
{
    struct option known[MAX_ROWS + 2] = {{0}};
    list_known(table, known);
    *help = false;
    opterr = 0;
    optind = 0; /* from the start, also where an earlier reading stopped inside a word */
    for (int found; (found = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (found == MAX_ROWS || found == 'h') {
            *help = true;
            return SODA_OK;
        }
        if (found == ':')
            return FAIL(SODA_ERR_USAGE, "%s: %s needs a value", table->verb, argv[optind - 1]);
        if (found == '?') return refuse_option(table, argc, argv);
        TRY(read_row(row_at(table, found), optarg));
    }
    const bool none = table->operands_optional && argc == optind;
    if (argc - optind != table->operands && !none)
        return FAIL(SODA_ERR_USAGE, "%s: expected %d operand%s, found %d\nusage: soda %s",
                    table->verb, table->operands, table->operands == 1 ? "" : "s", argc - optind,
                    table->synopsis);
    for (int i = 0; i < table->operands && !none; i++) {
        operand[i] = argv[optind + i];
        if (!operand[i][0]) /* every operand is a path */
            return FAIL(SODA_ERR_USAGE, "%s: expected a path, found ''", table->verb);
    }
    return check_given(table);
}

/* Words of the text from column `column` on; lines after the first begin there. */
static void print_wrapped(const char *text, int column)
{
    enum { WIDTH = 100 };
    int at = column;
    for (const char *word = text; *word;) {
        const int length = (int)strcspn(word, " ");
        if (at > column && at + 1 + length > WIDTH) printf("\n%*s", at = column, "");
        at += printf("%s%.*s", at > column ? " " : "", length, word);
        word += length + (word[length] == ' ');
    }
    putchar('\n');
}

void options_print_help(const option_table *table)
{
    enum { COLUMN = 24 };
    printf("soda %s\n\n%s\n\nusage: soda %s\n\n", table->verb, table->summary, table->synopsis);
    for (int i = 0; i < row_total(table); i++) {
        const option_row *row = row_at(table, i);
        const char *kind = row->fallback == options_required ? "" : "default: ";
        char left[64], text[400];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument ? " " : "",
                 row->argument ? row->argument : "");
        snprintf(text, sizeof text, "%s%s%s%s%s", row->help, row->fallback ? " [" : "",
                 row->fallback ? kind : "", row->fallback ? row->fallback : "",
                 row->fallback ? "]" : "");
        printf("  %-*s ", COLUMN - 3, left);
        print_wrapped(text, COLUMN);
    }
    printf("  %-*s show this\n\nexample: %s\n", COLUMN - 3, "--help", table->example);
}
