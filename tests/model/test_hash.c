/* A component's hash follows its weights and its configuration, not the files that hold them. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model/hash.h"
#include "support/check.h"
#include "support/files.h"

static char earlier[MODEL_HASH_VERSIONS][SHA256_HEX]; /* of the last call */

static const char *hash_of(const char *path, folder_component component)
{
    static char hex[8][SHA256_HEX];
    static int next;
    soda_folder *folder;
    char *to = hex[next++ % 8];
    CHECK_OK(folder_open(path, &folder));
    CHECK_OK(model_hash(folder, component, MODEL_HASH, to));
    for (model_hash_version v = MODEL_HASH_WHOLE; v < MODEL_HASH_VERSIONS; v++)
        CHECK_OK(model_hash(folder, component, v, earlier[v]));
    folder_close(folder);
    return to;
}

/* By hashlib in Python, from the definition in the header. The first U-Net lies in four shards. */
static void hashes_are_as_defined(void **state)
{
    (void)state;
    assert_string_equal(hash_of(SODA_TEST_DIR "/golden/tiny-sdxl", FOLDER_UNET),
                        "06ad0ef9baae62a57581cc96b0fb7f1aad10ccc66876e556aeb8329b1b300b6f");
    assert_string_equal(earlier[MODEL_HASH_WHOLE],
                        "05798c8a0b46d067eb3353990a973b1768c0976eff3861b49c88c59b22333293");
    assert_string_equal(earlier[MODEL_HASH_0_1],
                        "741f8bcd89537886795a34ba39101313bb3aa7f9bf09ae80bc78dc4ff2708ce7");
    assert_string_equal(hash_of(SODA_TEST_DIR "/golden/tiny-sd1", FOLDER_TEXT_ENCODER),
                        "b79535c29febdb41bf86e36a4d7c286860b58b9415cee5da047eed4b1e17ec44");
    assert_string_equal(earlier[MODEL_HASH_WHOLE],
                        "22135da6335e47433a25e8ff1f8b331f2204fa85d73d98cec643d673b56d711f");
    assert_string_equal(earlier[MODEL_HASH_0_1],
                        "0b1436e609731168c14c915e4b11b6ccf8dea09f7e33190dbff1e47de835da3a");
}

static void run(const char *format, const char *a, const char *b)
{
    char command[2200];
    snprintf(command, sizeof command, format, a, b);
    assert_int_equal(system(command), 0);
}

static void shards_do_not_matter_but_weights_do(void **state)
{
    const char *model = files_path(*state, "model");
    soda_folder *folder;
    soda_safetensors *set;
    run("cp -r '%s' '%s'", SODA_TEST_DIR "/golden/tiny-sdxl", model);
    const char *sharded = hash_of(model, FOLDER_UNET);
    CHECK_OK(folder_open(model, &folder));
    CHECK_OK(folder_tensors_open(folder, FOLDER_UNET, &set));
    folder_close(folder);
    const char *whole = files_path(model, "unet/diffusion_pytorch_model.safetensors");
    CHECK_OK(safetensors_write(whole, safetensors_at(set, 0), safetensors_count(set), NULL, 0));
    safetensors_close(set);
    run("rm '%s'/unet/*-of-* '%s'/unet/*.index.json", model, model);
    assert_string_equal(hash_of(model, FOLDER_UNET), sharded);

    size_t bytes;
    char *file = files_read(whole, &bytes);
    file[bytes - 1] ^= 1;
    files_write(model, "unet/diffusion_pytorch_model.safetensors", file, bytes);
    assert_string_not_equal(hash_of(model, FOLDER_UNET), sharded);
    file[bytes - 1] ^= 1;
    files_write(model, "unet/diffusion_pytorch_model.safetensors", file, bytes);
    free(file);
    run("echo >> '%s/%s'", model, "unet/config.json"); /* no value changes */
    assert_string_equal(hash_of(model, FOLDER_UNET), sharded);
    run("sed -i 's/\"norm_eps\": 1e-05/\"norm_eps\": 1e-04/' '%s/%s'", model, "unet/config.json");
    assert_string_not_equal(hash_of(model, FOLDER_UNET), sharded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(hashes_are_as_defined),
        cmocka_unit_test_setup_teardown(shards_do_not_matter_but_weights_do, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
