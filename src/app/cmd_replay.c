#include "app/common.h"
#include "app/verbs.h"
#include "core/log.h"
#include "train/replay.h"

typedef struct {
    const char *yaml, *batch, *out;
    option_list sets;
    int64_t steps;
} replay_options;

static soda_status read_options(int argc, char **argv, replay_options *o, bool *help)
{
    *o = (replay_options){.steps = 1};
    const option_row rows[] = {
        {"batch", OPTION_TEXT, &o->batch, "FILE", options_required,
         "safetensors file with sample, timestep, encoder_hidden_states, target, ...", 0, 0},
        {"out", OPTION_TEXT, &o->out, "FILE", options_required,
         "safetensors file to write: prediction, loss, grad.NAME, updated.NAME", 0, 0},
        {"steps", OPTION_INT, &o->steps, "K", "1", "training steps on the same batch", 1, 1000000},
        {"set", OPTION_LIST, &o->sets, "KEY=VALUE", NULL, "override a key of RUN.yaml", 0, 0},
    };
    option_table table = {
        .verb = "replay",
        .summary = "Runs training steps on given tensors, to compare the results with those of "
                   "other programs.",
        .synopsis = "replay RUN.yaml --batch FILE --out FILE [--steps K] [OPTION]...",
        .example = "soda replay run.yaml --batch step.safetensors --out mine.safetensors",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows,
        .operands = 1};
    return common_options(&table, argc, argv, &o->yaml, help);
}

soda_status cmd_replay(int argc, char **argv)
{
    replay_options o;
    const soda_backend *backend;
    run_config *config = NULL;
    bool help;
    TRY(read_options(argc, argv, &o, &help));
    if (help) return SODA_OK;
    TRY(common_check_new(o.out));
    TRY(common_check_folder(o.out));
    TRY(common_backend(&backend));
    TRY(run_config_read(o.yaml, o.sets.value, o.sets.count, &config));
    soda_status s = SODA_OK;
    TRY_TO(done, replay_run(config, backend, o.batch, o.steps, o.out));
done:
    run_config_destroy(config);
    return s;
}
