#include "train/training_targets.h"

#include <ctype.h>
#include <stdio.h>
#include <string.h>

#include "core/log.h"

/* Where the part of a module's name begins that many layers share: behind the last numbered block,
 * "unet.down_blocks.0.attentions.1.transformer_blocks.0.attn1.to_q" at "attn1.to_q". Lists of
 * blocks have names in the plural; "net.0" and "to_out.0" are parts of one. */
static const char *shared_part(const char *name)
{
    const char *part = strchr(name, '.') + 1;
    for (const char *p = part; *p; p++) {
        if (p[0] != 's' || p[1] != '.' || !isdigit((unsigned char)p[2])) continue;
        const char *end = p + 2 + strspn(p + 2, "0123456789");
        if (*end == '.') part = end + 1;
    }
    return part;
}

/* Appends ", PART" unless the list has it, or ", ..." in the end if it is full. */
static void list_part(char *list, size_t size, const char *part)
{
    const size_t used = strlen(list), length = strlen(part);
    for (const char *at = list; (at = strstr(at, part)) != NULL; at += length)
        if ((at == list || at[-1] == ' ') && (at[length] == ',' || !at[length])) return;
    if (used + length + 8 < size)
        snprintf(list + used, size - used, "%s%s", used ? ", " : "", part);
    else if (used + 6 < size && strcmp(list + used - 3, "...") != 0)
        snprintf(list + used, size - used, ", ...");
}

static soda_status no_sizes(void *context, soda_layer *layer)
{
    (void)context, (void)layer;
    return SODA_OK;
}

/* The names of all linear layers, each shared part once. */
static soda_status list_names(const training_model *model, const run_config *config, char *list,
                              size_t size)
{
    static const char *const every = ".";
    training_model all = *model;
    soda_targets *targets = NULL;
    soda_status s = SODA_OK;
    all.layers = NULL;
    list[0] = '\0';
    TRY_TO(done, targets_create(&every, 1, &targets));
    TRY_TO(done,
           layers_create(config->adapter.method, targets, &config->adapter.options, &all.layers));
    layers_size_by(all.layers, no_sizes, NULL);
    TRY_TO(done, training_model_collect(&all));
    for (int i = 0; i < layers_count(all.layers); i++)
        list_part(list, size, shared_part(layers_at(all.layers, i)->name));
done:
    layers_destroy(all.layers);
    targets_destroy(targets);
    return s;
}

static bool matches_some(const training_model *model, int target)
{
    for (int i = 0; i < layers_count(model->layers); i++)
        if (targets_match_one(model->targets, target, layers_at(model->layers, i)->name))
            return true;
    return false;
}

soda_status training_targets_check(const training_model *model, const run_config *config, bool warn)
{
    const char *text =
        config->adapter.text_encoder ? "" : "; text encoders only with adapter.text_encoder";
    const int count = config->adapter.targets.count;
    char names[800];
    int first = 0;
    while (first < count && matches_some(model, first)) first++;
    if (first == count || (layers_count(model->layers) > 0 && !warn)) return SODA_OK;
    TRY(list_names(model, config, names, sizeof names));
    if (layers_count(model->layers) == 0)
        return FAIL(SODA_ERR_INPUT,
                    "%s: adapter.targets: no linear layer of %s matches; their names end in %s%s",
                    config->file, model->folder->root, names, text);
    for (int i = first; i < count; i++)
        if (!matches_some(model, i))
            log_warning("%s: adapter.targets[%d]: \"%s\" matches no linear layer of %s; their "
                        "names end in %s%s",
                        config->file, i, config->adapter.targets.list[i], model->folder->root,
                        names, text);
    return SODA_OK;
}
