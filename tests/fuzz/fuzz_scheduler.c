/* libFuzzer harness of scheduler_config.json. The first byte chooses sampler and number of steps,
 * the rest is the file. */
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
    if (sampler_create(&config, names[data[0] % 5], steps[data[0] / 5 % 8], 3, &sampler) ==
        SODA_OK) {
        draw(sampler);
        sampler_destroy(sampler);
    }
    soda_json_free(&config);
    return 0;
}
