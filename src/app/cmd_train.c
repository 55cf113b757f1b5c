#include <stdio.h>
#include <string.h>

#include "app/common.h"
#include "app/verbs.h"
#include "config/run_keys.h"
#include "core/log.h"
#include "core/pulse.h"
#include "plan/device_room.h"
#include "run/trainer.h"

typedef struct {
    const char *yaml;
    option_list sets;
    bool keys;
} train_options;

/* The methods that do not have this key. */
static void print_exclusions(const run_key *key)
{
    const char *joint = " (not where adapter.method is ", *end = "";
    const soda_method *method;
    for (int i = 0; (method = method_at(i)); i++) {
        if (method_has_key(method, key->name)) continue;
        printf("%s%s", joint, method->name);
        joint = " or ";
        end = ")";
    }
    printf("%s", end);
}

/* Markdown: docs/configuration.md is this page. */
static void print_keys(void)
{
    printf(
        "# Configuration\n\n"
        "Every key of a run, as `soda train --keys` prints it. Keys that a file leaves out have\n"
        "their defaults. `--set KEY=VALUE` overrides a key. Relative paths start at the folder of\n"
        "the file; `~` is the home folder, and `$NAME` is replaced by the environment variable.\n"
        "An unknown key is an error that names the nearest known one.\n\n"
        "| key | default | allowed | meaning |\n|---|---|---|---|\n");
    for (int i = 0; i < RUN_KEYS; i++) {
        const run_key *key = &run_keys[i];
        printf("| `%s` | `%s` | ", key->name, key->fallback);
        for (const char *c = key->allowed; *c; c++) printf(*c == '|' ? "\\|" : "%c", *c);
        printf(" | %s", key->help);
        if (key->condition) printf(" (only where %s is %s)", key->condition, key->words);
        print_exclusions(key);
        printf(" |\n");
    }
}

static soda_status read_options(int argc, char **argv, train_options *o, bool *help)
{
    *o = (train_options){0};
    const option_row rows[] = {
        {"set", OPTION_LIST, &o->sets, "KEY=VALUE", NULL,
         "override a key, e.g. train.steps=200; may be repeated", 0, 0},
        {"keys", OPTION_FLAG, &o->keys, NULL, NULL,
         "print every key of RUN.yaml with its default and meaning, then exit", 0, 0},
    };
    option_table table = {
        .verb = "train",
        .summary =
            "Fine-tunes a model with a SODA adapter, or resumes from the newest checkpoint of the "
            "run.\nRuns as one process or under mpirun or srun; the result does not depend on the "
            "number "
            "of ranks.\nAfter SIGUSR1, or near the time limit, it saves a checkpoint and ends with "
            "exit code 75.",
        .synopsis = "train RUN.yaml [--set KEY=VALUE]... [OPTION]...",
        .example = "mpirun -n 2 soda train configs/quickstart/train.yaml",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    *help = argc == 2 && strcmp(argv[1], "--keys") == 0;
    if (*help && common_comm()->rank == 0) print_keys();
    return *help ? SODA_OK : common_options(&table, argc, argv, &o->yaml, help);
}

static soda_status read_config(const train_options *o, run_config **config)
{
    pulse_phase("reading the configuration", -1);
    TRY(run_config_read(o->yaml, o->sets.value, o->sets.count, config));
    return run_config_make_absolute(*config);
}

/* Before ranks can agree on errors, which are left for cmd_train; nor is anything printed. */
static bool read_early(int argc, char **argv, train_options *o)
{
    bool help = false;
    for (int i = 1; i < argc; i++)
        if (strcmp(argv[i], "--help") == 0 || strcmp(argv[i], "--keys") == 0) return false;
    return read_options(argc, argv, o, &help) == SODA_OK && !help;
}

bool cmd_train_gathers(int argc, char **argv)
{
    train_options o;
    run_config *config = NULL;
    const bool gathers = read_early(argc, argv, &o) && read_config(&o, &config) == SODA_OK &&
                         config->parallel.weights == WEIGHTS_SHARD;
    run_config_destroy(config);
    status_clear();
    return gathers;
}

/* parallel.timeout as --set gives it, else its default: to read the file may take for ever. */
double cmd_train_timeout(int argc, char **argv)
{
    static const char key[] = "parallel.timeout=";
    train_options o;
    run_config *config = NULL;
    const char *set = NULL;
    if (read_early(argc, argv, &o))
        for (int i = 0; i < o.sets.count; i++)
            if (strncmp(o.sets.value[i], key, sizeof key - 1) == 0) set = o.sets.value[i];
    if (run_config_parse("{}", 2, "", &set, set != NULL, &config) != SODA_OK)
        (void)run_config_parse("{}", 2, "", NULL, 0, &config);
    const double limit_s = config ? config->parallel.timeout_s : 0;
    run_config_destroy(config);
    status_clear();
    return limit_s;
}

/* Whether the GPUs have room for the run. Collective. */
static soda_status check_room(const run_config *config, const soda_backend *backend)
{
    soda_comm *comm = common_comm();
    if (backend->device->host) return SODA_OK;
    log_set_quiet(true); /* what is to be warned of the run warns of */
    const soda_status s = device_room_check(config, backend, comm->size);
    log_set_quiet(comm->rank != 0);
    return comm_agree(comm, s);
}

soda_status cmd_train(int argc, char **argv)
{
    train_options o;
    const soda_backend *backend;
    run_config *config = NULL;
    bool help;
    soda_comm *comm = common_comm();
    TRY(comm_agree(comm, read_options(argc, argv, &o, &help)));
    if (help) return SODA_OK;
    pulse_phase("opening the backend", -1);
    TRY(common_backend(&backend));
    soda_status s = SODA_OK;
    TRY_TO(done, comm_agree(comm, read_config(&o, &config)));
    watchdog_limit(common_watchdog(), config->parallel.timeout_s);
    TRY_TO(done, check_room(config, backend));
    TRY_TO(done, trainer_run(config, common_overwrite(), backend, comm));
done:
    run_config_destroy(config);
    return s;
}
