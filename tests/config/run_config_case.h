/* run_config_case.h: a configuration from a text. */
#pragma once

#include "support/check.h"

#include <string.h>

#include "config/run_config.h"

enum { MOST_SETS = 4 };

/* Parses TEXT as run.yaml, with sets up to the first NULL. */
static inline run_config *parse(const char *text, const char *const sets[MOST_SETS])
{
    run_config *c;
    int count = 0;
    while (sets && count < MOST_SETS && sets[count]) count++;
    CHECK_OK(run_config_parse(text, strlen(text), "run.yaml", sets, count, &c));
    return c;
}
