/* verbs.h: the rows of verbs.def. argv[0] is the verb; failures come back as status. */
#pragma once

#include <stdbool.h>

#include "core/status.h"

enum { /* flags of a row */
       VERB_COLLECTIVE = 1,
       VERB_COMPUTES = 2,
       VERB_WRITES = 4,
       VERB_STOPS = 8,
};

typedef struct {
    const char *name, *help;
    unsigned flags;
    bool (*gathers)(int argc, char **argv);
    double (*timeout)(int argc, char **argv);
    soda_status (*run)(int argc, char **argv);
} app_verb;

enum {
#define VERB(...) +1
    VERBS = 0
#include "app/verbs.def"
#undef VERB
};
extern const app_verb verbs[VERBS];

#define VERB(name, flags, gathers, timeout, help) soda_status cmd_##name(int argc, char **argv);
#include "app/verbs.def"
#undef VERB

bool cmd_train_gathers(int argc, char **argv);
bool cmd_bench_gathers(int argc, char **argv);
double cmd_train_timeout(int argc, char **argv);

/* The row called `name`; NULL if there is none. */
const app_verb *verbs_find(const char *name);

/* The name of a verb that `name` is probably meant for; NULL if none is like it. */
const char *verbs_nearest(const char *name);
