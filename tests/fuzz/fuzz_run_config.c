/* libFuzzer harness of run configurations. A byte 0x1e, which no YAML holds, ends the file, and
 * then each --set. What is accepted must be written as text that gives the same text again. */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "config/run_config.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { MOST_SETS = 4 };

static void check_text(const run_config *config)
{
    char *text, *again;
    run_config *copy;
    if (run_config_text(config, &text) != SODA_OK) abort();
    if (run_config_parse(text, strlen(text), "again", NULL, 0, &copy) != SODA_OK) abort();
    if (run_config_text(copy, &again) != SODA_OK) abort();
    if (strcmp(text, again) != 0) abort();
    run_config_destroy(copy);
    free(text);
    free(again);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    const char *sets[MOST_SETS];
    int count = 0;
    char *text = malloc(size + 1);
    if (!text) abort();
    memcpy(text, data, size);
    text[size] = '\0';
    size_t bytes = size;
    for (size_t i = 0; i < size && count < MOST_SETS; i++) {
        if (data[i] != 0x1e) continue;
        if (!count) bytes = i;
        text[i] = '\0';
        sets[count++] = text + i + 1;
    }
    run_config *config;
    if (run_config_parse(text, bytes, "run.yaml", sets, count, &config) == SODA_OK) {
        check_text(config);
        run_config_destroy(config);
    }
    free(text);
    return 0;
}
