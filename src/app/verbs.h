/* verbs.h: the verbs of the program. argv[0] is the verb; failures come back as status. */
#pragma once

#include "core/status.h"

typedef struct {
    const char *name, *summary;
    soda_status (*run)(int argc, char **argv);
} app_verb;

soda_status cmd_bench(int argc, char **argv);
soda_status cmd_export(int argc, char **argv);
soda_status cmd_inspect(int argc, char **argv);
soda_status cmd_replay(int argc, char **argv);
soda_status cmd_sample(int argc, char **argv);
soda_status cmd_selftest(int argc, char **argv);
soda_status cmd_train(int argc, char **argv);
