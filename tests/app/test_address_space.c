/* Every verb, with all its libraries, in less and less address space (ulimit -v, as batch systems
 * set it), with two threads and the defaults of all libraries: it succeeds, or says once why not.
 * No signal, no hang. Steps of 64 MiB from 1 GiB down to 64; SODA_TEST_STEP=8 tries those of 8. */
#include "support/check.h"

#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "support/files.h"

#define MODEL SODA_TEST_DIR "/golden/tiny-sd1"
#define TRAINING SODA_TEST_DIR "/golden/training/sd1-svd"

enum { MOST_MIB = 1024, LEAST_MIB = 64, STEP_MIB = 64, LIMIT_S = 100, MOST_WORDS = 24 };

/* The command line of each verb; relative paths lie in the scratch folder. */
static char *const commands[][MOST_WORDS] = {
    {"soda", "inspect", MODEL},
    {"soda", "sample", "--model", MODEL, "--out", "pictures", "--prompt", "a cat", "--steps=2",
     "--width=16", "--height=8", "--threads=2"},
    {"soda", "train", "run.yaml", "--threads=2"},
    {"soda", "replay", TRAINING ".yaml", "--batch", TRAINING ".batch.safetensors", "--out",
     "replayed", "--threads=2"},
    {"soda", "export", SODA_TEST_DIR "/golden/export/sd1-adapter.safetensors", "--to", "diffusers",
     "--model", MODEL, "--out", "exported", "--threads=2"},
    {"soda", "bench", "--arch", MODEL, "--latent=8", "--repeat=1", "--method=soda_svd",
     "--threads=2"},
    {"soda", "plan", "run.yaml", "--ranks=2", "--threads=1"},
    {"soda", "selftest"},
};
enum { COMMANDS = sizeof commands / sizeof *commands };

static const char run_yaml[] =
    "model: " MODEL "\n"
    "data: {path: " SODA_SOURCE_DIR "/configs/quickstart/images/train, resolution: 16}\n"
    "adapter: {method: soda_svd}\n"
    "train: {steps: 1, global_batch: 1}\n"
    "checkpoint: {time_limit: none}\n"
    "sample: {every: 1, steps: 1, prompts: [a fox]}\n"
    "output: run\n";

static void in_child(char *const *words, const char *scratch, long mib)
{
    const rlim_t bytes = (rlim_t)mib << 20;
    if (chdir(scratch) != 0) _exit(126);
    const int log = open("log", O_WRONLY | O_CREAT | O_TRUNC, 0600);
    dup2(log, STDOUT_FILENO);
    dup2(log, STDERR_FILENO);
    setenv("SODA_CACHE", "cache", 1);
    unsetenv("OMP_WAIT_POLICY");
    setrlimit(RLIMIT_AS, &(struct rlimit){bytes, bytes});
    execv(SODA_PROGRAM, words);
    _exit(126);
}

/* Runs the program, its output in "log"; the status of waitpid, -1 if it had to be killed. */
static int run_within(char *const *words, const char *scratch, long mib)
{
    int status = 0;
    const pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0) in_child(words, scratch, mib);
    for (int tenths = 0; waitpid(child, &status, WNOHANG) == 0; tenths++) {
        if (tenths > LIMIT_S * 100) {
            kill(child, SIGKILL);
            waitpid(child, &status, 0);
            return -1;
        }
        nanosleep(&(struct timespec){.tv_nsec = 10000000}, NULL);
    }
    return status;
}

static void empty(const char *scratch)
{
    char command[1000];
    snprintf(command, sizeof command, "cd '%s' && rm -rf cache pictures run replayed exported",
             scratch);
    assert_int_equal(system(command), 0);
}

/* Whether the program was loaded at all: the system's loader has its own words where it was not. */
static bool ends_in_order(char *const *words, const char *scratch, long mib, bool *succeeded)
{
    empty(scratch);
    const int status = run_within(words, scratch, mib);
    size_t bytes;
    char *text = files_read(files_path(scratch, "log"), &bytes);
    const char *error = strstr(text, "soda: error: ");
    if (status == -1)
        fail_msg("%s, %ld MiB: not done after %d s: %s", words[1], mib, LIMIT_S, text);
    if (!WIFEXITED(status))
        fail_msg("%s, %ld MiB: signal %d: %s", words[1], mib, WTERMSIG(status), text);
    const int code = WEXITSTATUS(status);
    const bool loaded = code != 127 || !strstr(text, "error while loading shared libraries");
    *succeeded = code == 0;
    if (code == 0) {
        if (error) fail_msg("%s, %ld MiB: exit code 0 in spite of: %s", words[1], mib, text);
    } else if (loaded) {
        if (code != 1 || !error || strstr(error + 1, "soda: error: ") || !strstr(error, "memory"))
            fail_msg("%s, %ld MiB: exit code %d: %s", words[1], mib, code, text);
    }
    free(text);
    return loaded;
}

static void every_verb_ends_in_order(void **state)
{
    const char *scratch = *state, *step_text = getenv("SODA_TEST_STEP");
    const char *only = getenv("SODA_TEST_VERB");
    const long step = step_text ? atol(step_text) : STEP_MIB;
    files_write(scratch, "run.yaml", run_yaml, strlen(run_yaml));
    for (int c = 0; c < COMMANDS; c++) {
        bool first = true;
        if (only && strcmp(only, commands[c][1]) != 0) continue;
        for (long mib = MOST_MIB; mib >= LEAST_MIB; mib -= step) {
            bool succeeded;
            if (!ends_in_order(commands[c], scratch, mib, &succeeded)) break;
            if (first) assert_true(succeeded); /* there is something to run out of */
            first = false;
        }
    }
}

/* On a login node: SDXL, whose weights alone take ten times as much. */
static void a_large_model_is_planned_within_a_gib(void **state)
{
    char *const words[] = {"soda",      "plan",          "--arch",           "sdxl",
                           "--ranks=4", "--measure=0.1", "--node-memory=24", "--threads=2",
                           NULL};
    bool succeeded;
    assert_true(ends_in_order(words, *state, 1024, &succeeded));
    assert_true(succeeded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_large_model_is_planned_within_a_gib),
                                       cmocka_unit_test(every_verb_ends_in_order)};
    return cmocka_run_group_tests(tests, files_setup, files_teardown);
}
