/* The model that an adapter was trained on is known by its tensors and values, and by the names
 * that earlier versions gave it. */
#include <string.h>

#include "interop/adapter_file.h"
#include "support/check.h"

static void check(bool text_encoders)
{
    static char module[] = "text_encoder.x";
    soda_folder *folder;
    adapter_layer layer = {.name = module};
    soda_adapter adapter = {.file = "a", .layers = &layer, .count = text_encoders};
    char hex[SHA256_HEX], before[SHA256_HEX] = "";
    CHECK_OK(folder_open(SODA_TEST_DIR "/golden/tiny-sdxl", &folder));
    for (model_hash_version v = MODEL_HASH; v < MODEL_HASH_VERSIONS; v++) {
        CHECK_OK(adapter_base_hash(folder, text_encoders, v, hex));
        assert_string_not_equal(hex, before);
        memcpy(before, hex, SHA256_HEX);
        memcpy(adapter.base_sha256, hex, SHA256_HEX);
        CHECK_OK(adapter_check_base(&adapter, folder));
    }
    adapter.base_sha256[0] = hex[0] == '0' ? '1' : '0';
    CHECK_FAILS(adapter_check_base(&adapter, folder), SODA_ERR_INPUT);
    check_message_has("a: base_model_sha256: expected");
    folder_close(folder);
}

static void the_base_is_known_by_all_names(void **state)
{
    (void)state;
    check(false);
    check(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(the_base_is_known_by_all_names)};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
