/* libFuzzer harness of scheduler_config.json. The first byte chooses sampler, number of steps and
 * whether the pipeline corrects the file, which is the rest. */
#include <stdint.h>
#include <stdlib.h>

#include "core/json.h"
#include "diffusion/sampler.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Draws with whatever was accepted: indices stay in range, calls are counted right. */
static void draw(soda_sampler *sampler)
{
    float sample[3] = {1, -2, 0.5f}, output[3] = {0.1f, 0.2f, -0.3f};
    if (sampler_calls(sampler) < 1) abort();
    for (int i = 0; i < sampler_calls(sampler); i++) {
        if (!(sampler_timestep(sampler, i) >= 0 && sampler_input_scale(sampler, i) > 0)) abort();
        if (sampler_step(sampler, i, output, sample) != SODA_OK) abort();
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const char *const names[] = {NULL, "ddim", "euler", "dpmpp_2m", "pndm"};
    static const int steps[] = {1, 2, 4, 7, 25, 61, 999, 1000};
    soda_json config;
    soda_sampler *sampler;
    if (size < 1) return 0;
    if (soda_json_parse((const char *)data + 1, size - 1, "config", &config) != SODA_OK) return 0;
    const char *name = names[data[0] % 5];
    const bool plain = data[0] / 40 % 2;
    if ((!plain || sampler_pipeline_config(&config, name) == SODA_OK) &&
        sampler_create(&config, name, steps[data[0] / 5 % 8], 3, &sampler) == SODA_OK) {
        draw(sampler);
        sampler_destroy(sampler);
    }
    soda_json_free(&config);
    return 0;
}
