/* cmd_selftest.c: does this installation compute what it should? A small U-Net with weights and
 * inputs from Philox, on the backend in use, against numbers that are part of the program. */
#include <stdio.h>
#include <string.h>

#include "app/common.h"
#include "app/selftest.h"
#include "app/verbs.h"
#include "core/philox.h"
#include "core/sha256.h"

static soda_status report(const char *what, double error, double bound)
{
    const bool good = error <= bound;
    printf("%-28s %s  error %.2e, allowed %.2e\n", what, good ? "ok    " : "FAILED", error, bound);
    return good ? SODA_OK
                : FAIL(SODA_ERR_NUMERIC, "selftest: %s: error %.2e, allowed %.2e", what, error,
                       bound);
}

static soda_status check_unet(const soda_backend *backend, soda_dtype dtype, const char *what,
                              double bound)
{
    float prediction[SELFTEST_VALUES];
    TRY(selftest_predict(backend, dtype, prediction));
    return report(what, selftest_error(prediction), bound);
}

static soda_status check_philox(void)
{
    const uint32_t want[4] = {0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}; /* Random123's own */
    uint32_t got[4];
    philox_bits((philox_key){{0, 0}}, (philox_counter){{0}}, got, 4);
    return report("philox4x32-10", memcmp(got, want, sizeof want) == 0 ? 0 : 1, 0);
}

static soda_status check_sha256(void)
{
    static const char abc[] = /* FIPS 180-4, the message "abc" */
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad";
    uint8_t digest[SHA256_BYTES];
    char hex[SHA256_HEX];
    soda_sha256 *hash;
    TRY(sha256_create(&hash));
    soda_status s = sha256_update(hash, "abc", 3);
    if (s == SODA_OK) s = sha256_finish(hash, digest);
    sha256_destroy(hash);
    TRY(s);
    return report("sha-256", strcmp(sha256_hex(digest, hex), abc) == 0 ? 0 : 1, 0);
}

soda_status cmd_selftest(int argc, char **argv)
{
    bool help;
    option_table table = {.verb = "selftest",
                          .summary = "Checks this installation against built-in vectors.",
                          .synopsis = "selftest [OPTION]...",
                          .example = "soda selftest"};
    const soda_backend *backend;
    TRY(common_options(&table, argc, argv, NULL, &help));
    if (help) return SODA_OK;
    TRY(common_backend(&backend));
    TRY(check_philox());
    TRY(check_sha256());
    /* fp32: the bound of one U-Net call; bf16: 2^-8 a rounding, some hundred of them in a row */
    TRY(check_unet(backend, SODA_F32, "U-Net, fp32", 3e-5));
    TRY(check_unet(backend, SODA_BF16, "U-Net, bf16", 3e-2));
    printf("all checks passed\n");
    return SODA_OK;
}
