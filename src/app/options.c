#include "app/options.h"

#include <errno.h>
#include <getopt.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { MAX_ROWS = 48 };

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

static soda_status read_row(const option_row *row, const char *text)
{
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

soda_status options_read(const option_table *table, int argc, char **argv, const char **operand,
                         bool *help)
{
    struct option known[MAX_ROWS + 2] = {{0}};
    for (int i = 0; i < table->row_count; i++) {
        const option_row *row = &table->rows[i];
        known[i] = (struct option){
            row->name, row->kind == OPTION_FLAG ? no_argument : required_argument, NULL, i};
    }
    known[table->row_count] = (struct option){"help", no_argument, NULL, MAX_ROWS};
    *help = false;
    opterr = 0;
    optind = 1;
    for (int found; (found = getopt_long(argc, argv, ":h", known, NULL)) != -1;) {
        if (found == MAX_ROWS || found == 'h') {
            *help = true;
            return SODA_OK;
        }
        if (found == ':')
            return FAIL(SODA_ERR_USAGE, "%s: %s needs a value", table->verb, argv[optind - 1]);
        if (found == '?')
            return FAIL(SODA_ERR_USAGE, "%s: unknown option %s; see soda %s --help", table->verb,
                        argv[optind - 1], table->verb);
        TRY(read_row(&table->rows[found], optarg));
    }
    if (argc - optind != table->operands)
        return FAIL(SODA_ERR_USAGE, "%s: expected %d operand%s, found %d\nusage: soda %s",
                    table->verb, table->operands, table->operands == 1 ? "" : "s", argc - optind,
                    table->synopsis);
    for (int i = 0; i < table->operands; i++) operand[i] = argv[optind + i];
    return SODA_OK;
}

void options_print_help(const option_table *table)
{
    printf("soda %s\n\n%s\n\nusage: soda %s\n\n", table->verb, table->summary, table->synopsis);
    for (int i = 0; i < table->row_count; i++) {
        const option_row *row = &table->rows[i];
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", row->name, row->argument ? " " : "",
                 row->argument ? row->argument : "");
        printf("  %-26s %s%s%s%s\n", left, row->help, row->fallback ? " [" : "",
               row->fallback ? row->fallback : "", row->fallback ? "]" : "");
    }
    printf("  %-26s %s\n\nexample: %s\n", "--help", "show this", table->example);
}
