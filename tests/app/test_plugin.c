/* --backend cuda where its plugin cannot be loaded: one message that says what was expected and
 * found, exit code 1. No GPU and no CUDA is needed here; tests/cusim/plugin_test.sh goes on from
 * there. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/files.h"
#include "support/program.h"

#define LAPACK SODA_TEST_MODULES "/libsoda_lapack.so" /* a shared library that is no plugin */

/* `plugin`: the value of SODA_CUDA_PLUGIN. */
static void refused(const char *folder, const char *plugin, const char *part)
{
    const int code =
        program_run(folder, "export SODA_CUDA_PLUGIN=%s; soda selftest --backend cuda", plugin);
    program_expect(code, 1, part);
    const char *first = strstr(program_output, "soda: error:");
    assert_non_null(first);
    assert_null(strstr(first + 1, "soda: error:"));
}

static void a_missing_plugin_is_refused(void **state)
{
    refused(*state, "./none.so", "SODA_CUDA_PLUGIN: expected the file of a backend, found none at");
    refused(*state, "none.so", "found none at none.so");
    /* the program alone in a folder */
    program_expect(program_run(*state, "unset SODA_CUDA_PLUGIN; mkdir bin; cp " SODA_PROGRAM
                                       " bin; bin/soda selftest --backend cuda"),
                   1, "this soda was built without CUDA (-DSODA_CUDA=ON builds it");
}

static void a_plugin_of_another_build_is_refused(void **state)
{
    refused(*state, SODA_TEST_MODULES "/tests/libsoda_test_build.so",
            "of another build than this program: expected build ");
    assert_non_null(strstr(program_output, "found another (interface 1)"));
    refused(*state, SODA_TEST_MODULES "/tests/libsoda_test_abi.so",
            "found an unknown one (interface 99)");
}

static void other_files_are_refused(void **state)
{
    refused(*state, LAPACK, "undefined symbol: soda_backend_plugin");
    refused(*state, files_write(*state, "text.so", "not a library", 13), "text.so");
    refused(*state, files_write(*state, "empty.so", "", 0), "empty.so");
    refused(*state, "/proc/self", "/proc/self");
}

/* Wherever it was cut: no crash. */
static void a_plugin_that_was_cut_is_refused(void **state)
{
    size_t bytes;
    char *whole = files_read(LAPACK, &bytes);
    for (size_t part = 1; part < 16; part += 2)
        refused(*state, files_write(*state, "cut.so", whole, bytes * part / 16),
                "cut.so: damaged: expected ");
    refused(*state, files_write(*state, "cut.so", whole, 20), "cut.so");
    refused(*state, files_write(*state, "cut.so", whole, bytes - 1), "cut.so: damaged: expected ");
    free(whole);
}

static void version_says_why_there_is_no_cuda(void **state)
{
    program_expect(program_run(*state, "export SODA_CUDA_PLUGIN=./none.so; soda --version"), 0,
                   "backend cuda: not here: --backend cuda: SODA_CUDA_PLUGIN: expected");
}

static void an_unknown_backend_is_a_usage_error(void **state)
{
    program_expect(program_run(*state, "soda selftest --backend cudda"), 2,
                   "--backend: expected one of cpu, cuda");
    program_expect(2, 2, ", found 'cudda'");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(a_missing_plugin_is_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_plugin_of_another_build_is_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(other_files_are_refused, files_setup, files_teardown),
        cmocka_unit_test_setup_teardown(a_plugin_that_was_cut_is_refused, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(version_says_why_there_is_no_cuda, files_setup,
                                        files_teardown),
        cmocka_unit_test_setup_teardown(an_unknown_backend_is_a_usage_error, files_setup,
                                        files_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
