/* cmd_selftest.c: does this installation compute what it should? A small U-Net with weights and
 * inputs from Philox, on the backend in use, against numbers that are part of the program; with
 * --gpu all of gpu_checks.h. */
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/common.h"
#include "app/gpu_report.h"
#include "app/selftest.h"
#include "app/verbs.h"
#include "core/philox.h"
#include "core/sha256.h"

/* On rank 0. */
static __attribute__((format(printf, 1, 2))) void say(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    if (common_comm()->rank == 0) vprintf(format, args);
    va_end(args);
}

static soda_status report(const char *what, double error, double bound)
{
    const bool good = error <= bound;
    say("%-28s %s  error %.2e, allowed %.2e\n", what, good ? "ok    " : "FAILED", error, bound);
    return good ? SODA_OK
                : FAIL(SODA_ERR_NUMERIC, "selftest: %s: error %.2e, allowed %.2e", what, error,
                       bound);
}

static soda_status check_unet(const soda_backend *backend, const selftest_type *type)
{
    float prediction[SELFTEST_VALUES];
    TRY(selftest_predict(backend, type->dtype, prediction));
    return report(type->what, selftest_error(prediction), type->bound);
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

static soda_status check_here(void)
{
    const soda_backend *backend;
    TRY(common_backend(&backend));
    TRY(check_philox());
    TRY(check_sha256());
    for (int i = 0; i < SELFTEST_TYPES; i++) TRY(check_unet(backend, &selftest_types[i]));
    say("all checks passed\n");
    return SODA_OK;
}

static soda_status check_gpu(bool quick, bool json)
{
    const soda_backend *backend;
    TRY(common_backend_named("cuda", &backend));
    gpu_results *results = calloc(1, sizeof *results);
    soda_status s = results ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    s = comm_agree(common_comm(), s);
    if (s == SODA_OK && results) {
        gpu_checks_run(backend, common_comm(), quick, results);
        s = gpu_report(results, json);
    }
    free(results);
    return s;
}

soda_status cmd_selftest(int argc, char **argv)
{
    bool help, gpu = false, quick = false, json = false;
    const option_row rows[] = {
        {"gpu", OPTION_FLAG, &gpu, NULL, NULL,
         "check this rank's GPU in full: kernels, libraries, sums over ranks, training steps, and "
         "rates",
         0, 0},
        {"quick", OPTION_FLAG, &quick, NULL, NULL,
         "with --gpu: small cases alone, for a simulated GPU; its rates say nothing", 0, 0},
        {"json", OPTION_FLAG, &json, NULL, NULL,
         "with --gpu: print one JSON object instead of tables", 0, 0},
    };
    option_table table = {.verb = "selftest",
                          .summary = "Checks this installation against built-in vectors.",
                          .synopsis = "selftest [--gpu [--quick] [--json]] [OPTION]...",
                          .example = "mpirun -n 4 soda selftest --gpu --json > report.json",
                          .rows = rows,
                          .row_count = sizeof rows / sizeof *rows};
    soda_status s = common_options(&table, argc, argv, NULL, &help);
    if (s == SODA_OK && (quick || json) && !gpu)
        s = FAIL(SODA_ERR_USAGE, "--%s: expected --gpu with it", quick ? "quick" : "json");
    TRY(comm_agree(common_comm(), s));
    if (help) return SODA_OK;
    return gpu ? check_gpu(quick, json) : comm_agree(common_comm(), check_here());
}
