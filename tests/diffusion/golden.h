/* golden.h: tests/golden/samplers.json, what diffusers 0.42.1 computed (golden/make_samplers.py).
 */
#pragma once

#include "core/json.h"
#include "support/check.h"

static soda_json golden;

static int load_golden(void **state)
{
    (void)state;
    CHECK_OK(soda_json_load(SODA_TEST_DIR "/golden/samplers.json", &golden));
    return 0;
}

static int free_golden(void **state)
{
    (void)state;
    soda_json_free(&golden);
    return 0;
}

static const json_t *part(const char *name)
{
    const json_t *list = json_object_get(golden.object, name);
    assert_true(json_array_size(list) > 0);
    return list;
}

static int fill(const json_t *list, float *x, int room)
{
    const int count = (int)json_array_size(list);
    assert_in_range(count, 1, room);
    for (int i = 0; i < count; i++)
        x[i] = (float)json_number_value(json_array_get(list, (size_t)i));
    return count;
}

static soda_json config_of(const json_t *row)
{
    return (soda_json){
        .file = "scheduler_config.json", .within = "", .object = json_object_get(row, "config")};
}
