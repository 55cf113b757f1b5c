#include "app/inspect_files.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "app/prompts.h"
#include "config/run_config.h"
#include "config/run_config_diff.h"
#include "io/spectra.h"
#include "pipeline/text.h"

/* The keys whose values are not the defaults. */
static soda_status print_set_keys(const run_config *config)
{
    run_config *defaults;
    char *text = NULL, *default_text = NULL;
    run_config_diff set = {0};
    soda_status s = SODA_OK;
    TRY(run_config_parse("{}", 2, "defaults", NULL, 0, &defaults));
    TRY_TO(done, run_config_text(defaults, &default_text));
    TRY_TO(done, run_config_text(config, &text));
    TRY_TO(done, run_config_diff_find(default_text, text, &set));
    for (int i = 0; i < set.count; i++) printf("  %s: %s\n", set.list[i].name, set.list[i].after);
    printf("all other keys have their defaults (soda train --keys)\n");
done:
    run_config_diff_free(&set);
    free(default_text);
    free(text);
    run_config_destroy(defaults);
    return s;
}

soda_status inspect_run(const char *path)
{
    run_config *c;
    TRY(run_config_read(path, NULL, 0, &c));
    printf("%s: configuration of a run, every key is valid\n", path);
    const soda_status s = print_set_keys(c);
    const struct {
        const char *key, *value;
        bool needed;
    } folders[] = {{"model", c->model, true},
                   {"data.path", c->data.path, true},
                   {"data.prior.path", c->data.prior_path, false},
                   {"validation.path", c->validation.path, false},
                   {"output", c->output, true}};
    for (size_t i = 0; s == SODA_OK && i < sizeof folders / sizeof *folders; i++) {
        const bool is_output = strcmp(folders[i].key, "output") == 0;
        if (!folders[i].value && folders[i].needed)
            printf("%s is missing: soda train needs it\n", folders[i].key);
        else if (folders[i].value && !is_output && access(folders[i].value, F_OK) != 0)
            printf("%s: there is no folder %s\n", folders[i].key, folders[i].value);
    }
    run_config_destroy(c);
    return s;
}

soda_status inspect_spectra(const char *path)
{
    spectra_about about;
    TRY(spectra_describe(path, &about));
    printf("%s: spectra of %d layers, %lld record%s", path, about.layers, (long long)about.records,
           about.records == 1 ? "" : "s");
    if (about.records)
        printf(" from step %lld to %lld\n"
               "mean effective rank: %.2f at first, %.2f at last; largest rotation at last: %.3g "
               "rad",
               (long long)about.first_step, (long long)about.last_step, about.first_rank,
               about.last_rank, about.largest_angle);
    printf("\n");
    return SODA_OK;
}

static soda_status print_tokens(const prompt_list *prompts, const char *path, const char *model)
{
    soda_folder *folder;
    soda_tokens tokens = {0};
    int cut = 0;
    TRY(folder_open(model, &folder));
    soda_status s = text_tokenize(folder, prompts->list, prompts->count, &tokens);
    for (int i = 0; s == SODA_OK && i < prompts->count; i++) {
        if (tokens.is_cut[i] && !cut++)
            s = text_warn_cut(folder, &tokens, "prompts", prompts->list[i], path);
    }
    if (s == SODA_OK)
        printf("%d of %d are longer than the %lld tokens that %s reads\n", cut, prompts->count,
               (long long)tokens.tokens - 2, model);
    text_tokens_free(&tokens);
    folder_close(folder);
    return s;
}

soda_status inspect_prompts(const char *path, const char *model)
{
    prompt_list prompts;
    int empty = 0;
    size_t longest = 0;
    soda_status s = SODA_OK;
    TRY_TO(done, prompts_read(path, &prompts));
    for (int i = 0; i < prompts.count; i++) {
        const size_t length = strlen(prompts.list[i]);
        empty += length == 0;
        if (length > longest) longest = length;
    }
    printf("%s: text, read by soda sample --prompts as %d prompt%s, %d empty, longest %zu bytes\n",
           path, prompts.count, prompts.count == 1 ? "" : "s", empty, longest);
    if (model) s = print_tokens(&prompts, path, model);
done:
    prompts_free(&prompts);
    return s;
}
