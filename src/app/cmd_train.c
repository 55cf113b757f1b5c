#include "app/common.h"
#include "app/verbs.h"
#include "run/trainer.h"

typedef struct {
    const char *yaml;
    option_list sets;
} train_options;

static soda_status read_options(int argc, char **argv, train_options *o, bool *help)
{
    *o = (train_options){0};
    const option_row rows[] = {
        {"set", OPTION_LIST, &o->sets, "KEY=VALUE", NULL,
         "override a key, e.g. train.steps=200; may be repeated", 0, 0},
    };
    option_table table = {
        .verb = "train",
        .summary =
            "Fine-tunes a model with a SODA adapter, or goes on from the newest checkpoint of the "
            "run.\nAlone or under mpirun or srun. With as many threads a rank, any number of ranks "
            "gives "
            "the same bits.\n"
            "SIGUSR1 and the time limit stop it with a checkpoint and exit code 75.",
        .synopsis = "train RUN.yaml [--set KEY=VALUE]... [OPTION]...",
        .example = "mpirun -n 2 soda train configs/quickstart/train.yaml",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    return common_options(&table, argc, argv, &o->yaml, help);
}

static soda_status read_config(const train_options *o, run_config **config)
{
    TRY(run_config_read(o->yaml, o->sets.value, o->sets.count, config));
    return run_config_make_absolute(*config);
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
    TRY(comm_agree(comm, common_backend(&backend)));
    soda_status s = SODA_OK;
    TRY_TO(done, comm_agree(comm, read_config(&o, &config)));
    TRY_TO(done, trainer_run(config, common_overwrite(), backend, comm));
done:
    run_config_destroy(config);
    return s;
}
