/* run_keys.h: the rows of run_config.def, for the files that read and write configurations. */
#pragma once

#include "config/run_config.h"

/* What stands in a row's column `type`: see run_config.def. */
typedef enum {
    RUN_INT,
    RUN_NUMBER,
    RUN_SECONDS,
    RUN_BETAS,
    RUN_BOOL,
    RUN_CHOICE,
    RUN_METHOD,
    RUN_CONSTANT,
    RUN_PATH,
    RUN_STRINGS,
    RUN_TARGETS,
    RUN_FACTORS,
} run_type;

typedef struct {
    const char *name;
    size_t field; /* offset in run_config */
    run_type type;
    const char *fallback, *allowed, *help; /* fallback: the default, as in the file */
    const char *condition, *words;         /* of KEY_IF; NULL: the key always applies */
} run_key;

enum {
#define KEY(...) +1
    RUN_KEYS = 0
#include "config/run_config.def"
#undef KEY
};
extern const run_key run_keys[RUN_KEYS];

/* All defaults, as a YAML file whose keys are whole names. */
extern const char run_keys_defaults[];

/* The row called `name`, -1 if there is none. */
int run_keys_find(const char *name);

/* Whether rows stand below `name`, as below train and train.optimizer. */
bool run_keys_is_section(const char *name);

/* What the key `name` of an earlier version is called now; NULL if it is none of these. */
const char *run_keys_renamed(const char *name);

/* The key whose value leaves `key` without a meaning (adapter.method, or see KEY_IF); NULL: it
 * means something here. */
const char *run_keys_excluded_by(const run_key *key, const run_config *config);

/* The value of a CHOICE. */
void run_keys_choice(const run_key *key, const run_config *config, char *word, size_t size);

/* Copies the word at *list, as "a | b | c", and moves on to the next one; false at the end. */
bool run_keys_word(const char **list, char *word, size_t size);

/* What INT, NUMBER, SECONDS and BETAS allow. */
typedef struct {
    double least, most;
    bool above, below; /* that end itself is not allowed */
    bool null, automatic;
} run_range;
run_range run_keys_range(const run_key *key);
