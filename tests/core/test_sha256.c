/* sha256: published vectors, pieces, and files longer than one read. */
#include "support/check.h"
#include "support/files.h"

#include <stdlib.h>
#include <string.h>

#include "core/sha256.h"

static void hex_of(const void *data, size_t bytes, size_t piece, char hex[SHA256_HEX])
{
    soda_sha256 *hash;
    uint8_t digest[SHA256_BYTES];
    CHECK_OK(sha256_create(&hash));
    for (size_t at = 0; at < bytes; at += piece)
        CHECK_OK(
            sha256_update(hash, (const char *)data + at, bytes - at < piece ? bytes - at : piece));
    CHECK_OK(sha256_finish(hash, digest));
    sha256_destroy(hash);
    sha256_hex(digest, hex);
}

static void matches_fips_180_vectors(void **state)
{
    (void)state;
    char hex[SHA256_HEX];
    hex_of("", 0, 1, hex);
    assert_string_equal(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
    hex_of("abc", 3, 1, hex);
    assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
    uint8_t digest[SHA256_BYTES];
    CHECK_OK(sha256_memory("abc", 3, digest));
    assert_string_equal(sha256_hex(digest, hex),
                        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void a_file_hashes_like_its_bytes(void **state)
{
    const size_t bytes = (3 << 20) + 17; /* several reads, the last one short */
    char *data = malloc(bytes), want[SHA256_HEX], got[SHA256_HEX];
    uint8_t digest[SHA256_BYTES];
    assert_non_null(data);
    for (size_t i = 0; i < bytes; i++) data[i] = (char)(i * 2654435761u >> 13);
    hex_of(data, bytes, 1000003, want);
    CHECK_OK(sha256_file(files_write(*state, "f", data, bytes), digest));
    assert_string_equal(sha256_hex(digest, got), want);
    free(data);
    CHECK_FAILS(sha256_file(files_path(*state, "none"), digest), SODA_ERR_IO);
    check_message_has("none: cannot open");
    CHECK_FAILS(sha256_file(*state, digest), SODA_ERR_IO);
    check_message_has("cannot read");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(matches_fips_180_vectors),
        cmocka_unit_test_setup_teardown(a_file_hashes_like_its_bytes, files_setup, files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
