/* The program as its user meets it: exit codes, one message that names file and key, and no partial
 * picture. Every case runs the built program. */
#include "support/check.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "app/verbs.h"
#include "app/waiting.h"

#define MODEL SODA_SOURCE_DIR "/configs/quickstart/model"

static char folder[200];
static char output[1 << 16]; /* stdout and stderr of the last run */

/* Runs a shell line in the test's folder; returns the exit code. */
static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));
static int shell(const char *format, ...)
{
    char line[8192];
    int used = snprintf(line, sizeof line, "cd %s && ", folder);
    va_list args;
    va_start(args, format);
    used += vsnprintf(line + used, sizeof line - (size_t)used, format, args);
    va_end(args);
    snprintf(line + used, sizeof line - (size_t)used, " 2>&1");
    FILE *pipe = popen(line, "r");
    assert_non_null(pipe);
    const size_t n = fread(output, 1, sizeof output - 1, pipe);
    output[n] = '\0';
    const int status = pclose(pipe);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
}

static void expect(int code, int want, const char *part)
{
    if (code == want && strstr(output, part)) return;
    fail_msg("exit %d, wanted %d with \"%s\":\n%s", code, want, part, output);
}

static int make_folder(void **state)
{
    (void)state;
    const char *base = getenv("TMPDIR");
    snprintf(folder, sizeof folder, "%s/soda-cli-XXXXXX", base ? base : "/tmp");
    return mkdtemp(folder) ? 0 : 1;
}

static int remove_folder(void **state)
{
    (void)state;
    return shell("rm -rf %s", folder);
}

/* GNU's OpenMP library: what it shows is what it read before main. Other libraries show nothing. */
static void threads_spin_for_a_short_time(void **state)
{
    (void)state;
    long count = 0;
    const char *show =
        "OMP_DISPLAY_ENV=verbose " SODA_PROGRAM " --version | grep SPINCOUNT | tail -n 1";
    shell("env -u OMP_WAIT_POLICY -u GOMP_SPINCOUNT %s", show);
    if (strstr(output, "SPINCOUNT")) {
        /* 0 on a busy machine, else 20 us of 1 to 200 ns */
        assert_int_equal(sscanf(output, " GOMP_SPINCOUNT = '%ld'", &count), 1);
        assert_true(count == 0 || (count >= 100 && count <= 20000));
    }
    expect(shell("env GOMP_SPINCOUNT=77 %s", show), 0, strstr(output, "SPINCOUNT") ? "'77'" : "");
}

static void a_busy_machine_is_recognised(void **state)
{
    (void)state;
    assert_false(waiting_is_shared("0.35 3.01 2.44 2/345 4711\n", 2));
    assert_true(waiting_is_shared("0.35 3.01 2.44 3/345 4711\n", 2));
    assert_false(waiting_is_shared("", 2));
}

static void help_and_version_work(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " --help"), 0, "usage: soda VERB");
    expect(shell(SODA_PROGRAM " --version"), 0, "backend cpu: ");
    expect(shell(SODA_PROGRAM " --version | grep '^libraries: .*MPI.*, HDF5 [1-9]'"), 0,
           "libraries");
}

static void every_verb_of_the_table_has_help(void **state)
{
    (void)state;
    for (int i = 0; i < VERBS; i++) {
        const char *name = verbs[i].name;
        char text[100];
        expect(shell(SODA_PROGRAM " --help"), 0, verbs[i].help);
        snprintf(text, sizeof text, "soda %s\n", name);
        expect(shell(SODA_PROGRAM " help %s", name), 0, text);
        expect(shell(SODA_PROGRAM " %s --help", name), 0, text);
        assert_non_null(strstr(output, "example: "));
        if (!strstr(output, "--threads N") != !(verbs[i].flags & VERB_COMPUTES))
            fail_msg("%s: what its row says about computing is not what it takes:\n%s", name,
                     output);
        expect(shell(SODA_PROGRAM " %s --no-such-option", name), 2, "unknown option");
    }
}

static void usage_errors_exit_with_2(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " help samp"), 2, "unknown verb 'samp': did you mean sample");
    expect(shell(SODA_PROGRAM), 2, "no verb given");
    expect(shell(SODA_PROGRAM " paint"), 2, "unknown verb 'paint'; see");
    expect(shell(SODA_PROGRAM " trian"), 2, "unknown verb 'trian': did you mean train; see");
    expect(shell(SODA_PROGRAM " sample --out o"), 2, "--model DIR is missing");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --out o"), 2, "--prompt");
    expect(shell(SODA_PROGRAM " sample --stepz 3"), 2,
           "unknown option --stepz: did you mean --steps; see");
    expect(shell(SODA_PROGRAM " sample --thick=3"), 2, "unknown option --thick; see");
    expect(shell(SODA_PROGRAM " train run.yaml -set train.steps=3"), 2,
           "unknown option -set: did you mean --set");
    expect(shell(SODA_PROGRAM " train -x run.yaml"), 2, "unknown option -x;");
    expect(shell(SODA_PROGRAM " train --set a=b -seed=3 run.yaml"), 2, "unknown option -seed;");
    expect(shell(SODA_PROGRAM " sample --overwrite=1"), 2, "--overwrite takes no value, found '1'");
    expect(shell(SODA_PROGRAM " sample --help=all"), 2, "--help takes no value, found 'all'");
    expect(shell(SODA_PROGRAM " sample --steps many"), 2, "--steps: expected an integer");
    expect(shell(SODA_PROGRAM " sample --steps"), 2, "--steps needs a value");
    expect(shell(SODA_PROGRAM " inspect"), 2, "expected 1 operand");
    expect(shell(SODA_PROGRAM " bench --dtype fp8"), 2, "expected fp32 or bf16, found 'fp8'");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt x --out o --width 62"), 2,
           "--width: expected a multiple of 4, found 62");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt x --out o --scheduler plms"), 2,
           "plms");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt x --out o --steps 1001"), 2,
           "1000");
}

/* Each verb that computes refuses a level that no CPU has, on the command line or from SODA_ISA,
 * before it opens anything; the least one computes what it should. */
static void instruction_sets_are_chosen_by_option_and_environment(void **state)
{
    (void)state;
    static const char *const calls[] = {"train r.yaml",
                                        "sample --model m --prompt x --out o",
                                        "replay r.yaml --batch b --out new",
                                        "export c --to adapter --out new",
                                        "bench",
                                        "selftest"};
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        expect(shell(SODA_PROGRAM " %s --isa mmx", calls[i]), 2,
               "--isa: expected an instruction set of this CPU (base");
        expect(shell("SODA_ISA=mmx " SODA_PROGRAM " %s", calls[i]), 2, "SODA_ISA: expected");
    }
    expect(shell("SODA_ISA=mmx " SODA_PROGRAM " --version"), 2, "found 'mmx'");
    expect(shell("SODA_ISA=base " SODA_PROGRAM " --version"), 0, ", instruction set base");
    expect(shell("SODA_ISA=mmx " SODA_PROGRAM " selftest --isa base"), 0, "all checks passed");
}

static void pictures_and_latents_come_out(void **state)
{
    (void)state;
    struct stat info;
    char path[256];
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt 'fox, noto emoji' --n 2 --steps 2"
                              " --out deep/pictures --save-latents l.safetensors"),
           0, "2 pictures of 64x64");
    snprintf(path, sizeof path, "%s/deep/pictures/0001.png", folder);
    assert_int_equal(stat(path, &info), 0);
    expect(shell(SODA_PROGRAM " inspect l.safetensors"), 0, "F32   [2,4,16,16]  latents");
    expect(
        shell(SODA_PROGRAM " sample --model " MODEL " --prompt x --latents l.safetensors --out o"),
        1, "l.safetensors: latents: expected F32 [1,4,16,16] (prompts x n), found F32 [2,4,16,16]");
    /* the last number of the file becomes NaN */
    expect(shell("truncate -s -4 l.safetensors && printf '\\377\\377\\377\\177' >> l.safetensors "
                 "&& " SODA_PROGRAM " sample --model " MODEL
                 " --prompt x --n 2 --latents l.safetensors --out o"),
           1, "l.safetensors: latents: element 2047 is not finite");
    expect(shell(SODA_PROGRAM " sample --model " MODEL
                              " --prompt x --negative y --guidance 1 --steps 1 --out o"),
           0, "--negative has no effect with --guidance 1: guidance begins above 1");
    expect(shell(SODA_PROGRAM " inspect " MODEL), 0, "8788228 parameters");
}

static void prompt_files_are_lines(void **state)
{
    (void)state;
    expect(shell("printf 'fox\\nhouse\\n' > p.txt; " SODA_PROGRAM " sample --model " MODEL
                 " --prompts p.txt --steps 1 --out lines"),
           0, "2 pictures");
    expect(shell(": > empty.txt; " SODA_PROGRAM " sample --model " MODEL
                 " --prompts empty.txt --steps 1 --out o"),
           1, "empty.txt: expected one prompt per line");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompts none.txt --out o"), 1,
           "none.txt");
    expect(shell(SODA_PROGRAM " sample --model " MODEL
                              " --prompt \"$(printf 'a\\377b')\" --out notutf8 --steps 1"),
           1, "UTF-8");
    expect(shell("ls notutf8/*.png"), 2, "");
}

/* Damages a copy of the model with a shell line, then draws: exit 1, the message names `part`. */
static void damaged(const char *damage, const char *part)
{
    expect(shell("rm -rf m bad && cp -r " MODEL " m && chmod -R u+w m && cd m && %s", damage), 0,
           "");
    expect(shell(SODA_PROGRAM " sample --model m --prompt fox --steps 1 --out bad"), 1, part);
    assert_non_null(strstr(output, "soda: error: "));
    expect(shell("ls bad/*.png"), 2, "");
}

static void damaged_models_are_named(void **state)
{
    (void)state;
    damaged("rm model_index.json", "model_index.json");
    damaged("rm -r vae", "vae/config.json");
    damaged("echo '{' > unet/config.json", "unet/config.json");
    damaged("sed -i 's/UNet2DConditionModel/UNetMotionModel/' model_index.json", "UNetMotionModel");
    damaged("sed -i 's/\"silu\"/\"mish\"/' unet/config.json", "act_fn");
    damaged("sed -i 's/\"cross_attention_dim\": 128/\"cross_attention_dim\": \"wide\"/' "
            "unet/config.json",
            "cross_attention_dim");
    damaged("truncate -s 1000000 unet/diffusion_pytorch_model.safetensors",
            "unet/diffusion_pytorch_model.safetensors");
    damaged("truncate -s 5 vae/diffusion_pytorch_model.safetensors",
            "vae/diffusion_pytorch_model.safetensors");
    damaged("sed -i 's/\"block_out_channels\": \\[/\"x\": [/' vae/config.json", "vae/");
    damaged("sed -i '40s/.*/zzz qqq/' tokenizer/merges.txt", "merges.txt");
    damaged("rm tokenizer/vocab.json", "vocab.json");
    damaged("echo '{\"fox\": 2048}' > tokenizer/added_tokens.json",
            "m/tokenizer/: token id 2048, expected below vocab_size (2048) of "
            "m/text_encoder/config.json");
    damaged("sed -i 's/scaled_linear/cosine/' scheduler/scheduler_config.json", "beta_schedule");
    damaged(
        "sed -i 's/DDIMScheduler/HeunScheduler/' scheduler/scheduler_config.json model_index.json",
        "HeunScheduler");
}

static void outputs_that_cannot_be_written_are_named(void **state)
{
    (void)state;
    expect(shell("echo > file; " SODA_PROGRAM " sample --model " MODEL
                 " --prompt fox --steps 1 --out file/pictures"),
           1, "file");
    expect(shell("mkdir latents; " SODA_PROGRAM " sample --model " MODEL
                 " --prompt fox --steps 1 --out drawn --save-latents latents --overwrite"),
           1, "latents: expected the name of a file, found a folder");
    expect(shell("test ! -e drawn"), 0, ""); /* said before the work is done */
    expect(shell("{ " SODA_PROGRAM " --help > /dev/full; }"), 1, "standard output");
}

/* What is opened must not take the place of a standard file, into which messages go. */
static void closed_standard_files_harm_no_file(void **state)
{
    (void)state;
    expect(shell("echo '{model: " SODA_TEST_DIR "/golden/tiny-sd1, data: {path: " SODA_SOURCE_DIR
                 "/configs/quickstart/images/train, resolution: 64}, train: {steps: 2}}' > r.yaml; "
                 "{ " SODA_PROGRAM " train r.yaml --set output=closed <&- >&- 2>&-; }"),
           0, "");
    expect(shell("test -s closed/adapter.safetensors && grep -vc '^{.*}$' closed/metrics.jsonl"), 1,
           "0\n");
    expect(shell(SODA_PROGRAM " inspect closed"), 0, "2");
    expect(shell("{ " SODA_PROGRAM " --version >&-; }"), 1, "standard output: write failed");
}

/* Quotes keep the shell from it, and "--out=~/x" does as well. */
static void a_tilde_that_the_shell_left_is_refused(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt fox --steps 1 --out='~/x'"), 2,
           "--out: expected a path, found '~/x', in which the shell did not replace ~: write "
           "$HOME/x");
    expect(shell("SODA_CACHE='~/c' " SODA_PROGRAM " sample --model " MODEL
                 " --prompt fox --steps 1 --out o"),
           2, "SODA_CACHE: expected a path, found '~/c'");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt '~/x' --steps 1 --out tilde"), 0,
           "tilde");
    expect(shell("test ! -e '~'"), 0, "");
}

/* As "--out=$OUT" is with OUT unset. */
static void an_empty_path_is_refused(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt fox --steps 1 --out=''"), 2,
           "--out: expected a path, found ''");
    expect(shell(SODA_PROGRAM " sample --model " MODEL " --prompt fox --out o --cache ''"), 2,
           "--cache: expected a path, found ''");
    expect(shell(SODA_PROGRAM " inspect ''"), 2, "inspect: expected a path, found ''");
    expect(shell("SODA_CACHE= " SODA_PROGRAM " bench --arch " MODEL " --latent 8 --repeat 1"), 0,
           "forward");
}

static void selftest_passes(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " selftest"), 0, "all checks passed");
}

static void bench_speaks_json(void **state)
{
    (void)state;
    expect(shell(SODA_PROGRAM " bench --arch " MODEL " --latent 8 --repeat 1 --json"), 0,
           "\"forward_s\"");
    assert_non_null(strstr(output, "\"peak_rss_bytes\""));
    expect(shell(SODA_PROGRAM " bench --arch " MODEL " --latent 8 --repeat 1 --dump-dot g.dot"), 0,
           "conv2d");
    expect(shell("grep -c attention g.dot"), 0, "");
}

/* One run fills the cache, the next one empties it at its end. */
static void the_cache_is_shown_and_limited(void **state)
{
    (void)state;
    const char *replay = "replay " SODA_TEST_DIR "/golden/training/sd1-svd.yaml --overwrite"
                         " --batch " SODA_TEST_DIR "/golden/training/sd1-svd.batch.safetensors"
                         " --out replayed --cache kept";
    expect(shell(SODA_PROGRAM " %s", replay), 0, "");
    expect(shell(SODA_PROGRAM " inspect kept"), 0, "rm -r 'kept'");
    assert_non_null(strstr(output, "factors"));
    assert_non_null(strstr(output, "(limit 50 GiB)"));
    expect(shell(SODA_PROGRAM " %s --cache-limit 0", replay), 0, "that were used least recently");
    assert_non_null(strstr(output, "--cache-limit"));
    expect(shell("ls kept/factors | wc -l"), 0, "0\n");
    expect(shell(SODA_PROGRAM " %s --cache-limit 5GB", replay), 2, "'5GB'");
    expect(shell("SODA_CACHE_LIMIT=no " SODA_PROGRAM " %s", replay), 2, "SODA_CACHE_LIMIT");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(help_and_version_work),
        cmocka_unit_test(the_cache_is_shown_and_limited),
        cmocka_unit_test(threads_spin_for_a_short_time),
        cmocka_unit_test(a_busy_machine_is_recognised),
        cmocka_unit_test(every_verb_of_the_table_has_help),
        cmocka_unit_test(usage_errors_exit_with_2),
        cmocka_unit_test(instruction_sets_are_chosen_by_option_and_environment),
        cmocka_unit_test(pictures_and_latents_come_out),
        cmocka_unit_test(prompt_files_are_lines),
        cmocka_unit_test(damaged_models_are_named),
        cmocka_unit_test(outputs_that_cannot_be_written_are_named),
        cmocka_unit_test(closed_standard_files_harm_no_file),
        cmocka_unit_test(a_tilde_that_the_shell_left_is_refused),
        cmocka_unit_test(an_empty_path_is_refused),
        cmocka_unit_test(selftest_passes),
        cmocka_unit_test(bench_speaks_json),
    };
    return cmocka_run_group_tests(tests, make_folder, remove_folder);
}
