#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "app/adapters.h"
#include "app/common.h"
#include "app/prompts.h"
#include "app/verbs.h"
#include "core/arena.h"
#include "core/log.h"
#include "core/path.h"
#include "diffusion/sampler.h"
#include "io/newfile.h"
#include "io/png.h"
#include "io/safetensors.h"
#include "pipeline/sampling.h"
#include "pipeline/vae_decoder.h"

typedef struct {
    const char *model, *prompt_file, *out, *scheduler, *negative, *latents, *save_latents;
    const char *dtype;
    option_list prompts, adapters;
    int64_t steps, width, height, seed, n;
    double guidance;
} sample_options;

static soda_status read_options(int argc, char **argv, sample_options *o, bool *help)
{
    *o = (sample_options){.dtype = "fp32", .steps = 25, .guidance = 7.5, .n = 1};
    const option_row rows[] = {
        {"model", OPTION_TEXT, &o->model, "DIR", options_required,
         "model folder in the diffusers layout", 0, 0},
        {"adapter", OPTION_LIST, &o->adapters, "FILE[:W]", NULL,
         "adapter file and its weight (default 1); may be repeated", 0, 0},
        {"prompt", OPTION_LIST, &o->prompts, "TEXT", NULL, "what to draw; may be repeated", 0, 0},
        {"prompts", OPTION_TEXT, &o->prompt_file, "FILE", NULL,
         "text file with one prompt per line", 0, 0},
        {"out", OPTION_TEXT, &o->out, "DIR", options_required,
         "folder for 0000.png, 0001.png, ...; numbering continues after files that exist", 0, 0},
        {"scheduler", OPTION_TEXT, &o->scheduler, "NAME", "the model's", sampler_names(), 0, 0},
        {"steps", OPTION_INT, &o->steps, "N", "25", "sampling steps", 1, 100000},
        {"guidance", OPTION_FLOAT, &o->guidance, "G", "7.5", "classifier-free guidance scale", 0,
         1000},
        {"negative", OPTION_TEXT, &o->negative, "TEXT", NULL, "negative prompt: what not to draw",
         0, 0},
        {"width", OPTION_INT, &o->width, "PIXELS", "the model's", "width of the pictures", 1,
         16384},
        {"height", OPTION_INT, &o->height, "PIXELS", "the model's", "height of the pictures", 1,
         16384},
        {"seed", OPTION_INT, &o->seed, "N", "0", "seed of the starting noise", 0, 9e15},
        {"n", OPTION_INT, &o->n, "N", "1", "number of pictures per prompt", 1, 10000},
        {"latents", OPTION_TEXT, &o->latents, "FILE", NULL,
         "safetensors file with the starting noise: 'latents' [n,4,h,w]", 0, 0},
        {"save-latents", OPTION_TEXT, &o->save_latents, "FILE", NULL,
         "also write the final latents, before VAE decoding", 0, 0},
        {"dtype", OPTION_TEXT, &o->dtype, "TYPE", "fp32",
         "type of weights and activations: fp32 or bf16", 0, 0},
    };
    option_table table = {
        .verb = "sample",
        .summary = "Draws pictures from prompts with a diffusers model.",
        .synopsis = "sample --model DIR [--adapter FILE[:W]]... --prompt TEXT|--prompts FILE "
                    "--out DIR [OPTION]...",
        .example = "soda sample --model configs/quickstart/model --prompt 'fox, noto emoji' "
                   "--out pictures",
        .rows = rows,
        .row_count = sizeof rows / sizeof *rows};
    TRY(common_options(&table, argc, argv, NULL, help));
    if (*help) return SODA_OK;
    if (!o->prompts.count == !o->prompt_file)
        return FAIL(SODA_ERR_USAGE, "sample: give either --prompt TEXT or --prompts FILE");
    return SODA_OK;
}

static soda_status read_prompts(const sample_options *o, prompt_list *prompts)
{
    if (o->prompt_file) return prompts_read(o->prompt_file, prompts);
    prompts->count = o->prompts.count;
    prompts->list = calloc((size_t)o->prompts.count, sizeof *prompts->list);
    if (!prompts->list) return FAIL(SODA_ERR_MEMORY, "out of memory");
    memcpy(prompts->list, o->prompts.value, (size_t)prompts->count * sizeof *prompts->list);
    return SODA_OK;
}

/* The side of the latents for a picture of `pixels`, or of the model's own size if 0. */
static soda_status latent_side(const char *option, int64_t pixels, int64_t native, int64_t factor,
                               int64_t *side)
{
    *side = pixels ? pixels / factor : native;
    if (pixels % factor)
        return FAIL(SODA_ERR_USAGE, "--%s: expected a multiple of %lld, found %lld", option,
                    (long long)factor, (long long)pixels);
    if (*side < 1)
        return FAIL(SODA_ERR_USAGE, "--%s: the model has no default size: give one", option);
    return SODA_OK;
}

static soda_status load_latents(const char *path, const sampling_request *r, float *values)
{
    soda_safetensors *set;
    char found[192];
    const int64_t want[4] = {(int64_t)r->prompt_count * r->per_prompt, r->folder->unet.in_channels,
                             r->h, r->w};
    TRY(safetensors_open(path, &set));
    soda_status s = SODA_OK;
    const safetensors_tensor *t = safetensors_find(set, "latents");
    if (!t || t->dtype != SAFETENSORS_F32 || t->rank != 4 || memcmp(t->dim, want, sizeof want) != 0)
        s = FAIL(SODA_ERR_INPUT,
                 "%s: latents: expected F32 [%lld,%lld,%lld,%lld] (prompts x n), found %s %s", path,
                 (long long)want[0], (long long)want[1], (long long)want[2], (long long)want[3],
                 t ? safetensors_dtype_name(t->dtype) : "no such",
                 t ? safetensors_shape_text(t, found, sizeof found) : "tensor");
    else
        s = safetensors_read_finite(t, values);
    safetensors_close(set);
    return s;
}

static soda_status save_latents(const char *path, const sampling_request *r, const float *latents)
{
    const int64_t pictures = (int64_t)r->prompt_count * r->per_prompt;
    const safetensors_tensor tensor = {.name = "latents",
                                       .dtype = SAFETENSORS_F32,
                                       .rank = 4,
                                       .dim = {pictures, r->folder->unet.in_channels, r->h, r->w},
                                       .data = latents};
    return safetensors_write(path, &tensor, 1, NULL, 0);
}

/* The folder of the pictures, in which they can be written: found out before any is drawn. */
static soda_status make_out(const char *out)
{
    char path[4096];
    TRY(newfile_make_folder(out));
    TRY(path_in(path, sizeof path, out, "0000.png"));
    return common_check_folder(path);
}

/* The number behind the highest NNNN.png of the folder, so that earlier pictures stay. */
static int first_number(const char *out)
{
    int next = 0;
    DIR *list = common_overwrite() ? NULL : opendir(out);
    for (struct dirent *entry; list && (entry = readdir(list));) {
        const size_t digits = strspn(entry->d_name, "0123456789");
        if (digits < 4 || digits > 9 || strcmp(entry->d_name + digits, ".png") != 0) continue;
        const int number = atoi(entry->d_name);
        if (number >= next) next = number + 1;
    }
    if (list) closedir(list);
    return next;
}

/* Writes a picture under the number `*number`, or the first one behind it that is free: another
 * program may write into the folder as well. */
static soda_status write_picture(const char *out, const uint8_t *rgb, int width, int height,
                                 int *number)
{
    bool taken = false;
    do {
        char path[4096];
        *number += taken;
        TRY(path_in(path, sizeof path, out, "%04d.png", *number));
        TRY(common_overwrite() ? soda_png_write(path, rgb, width, height)
                               : soda_png_write_new(path, rgb, width, height, &taken));
        if (taken) log_info("%s: another program wrote it meanwhile: taking the next number", path);
    } while (taken);
    return SODA_OK;
}

/* Pictures from number *first on; *first and *last become the numbers that the first and the last
 * one got. */
static soda_status write_pictures(const sampling_request *r, const char *out, const float *latents,
                                  int *first, int *last)
{
    vae_decoder decoder;
    soda_status s = SODA_OK;
    const int pictures = r->prompt_count * r->per_prompt;
    TRY(vae_decoder_open(r->folder, r->backend, r->dtype, r->h, r->w, &decoder));
    int number = *first;
    const int64_t width = r->w * decoder.factor, height = r->h * decoder.factor;
    uint8_t *rgb = malloc((size_t)(width * height * 3));
    if (!rgb) s = FAIL(SODA_ERR_MEMORY, "out of memory");
    for (int p = 0; p < pictures && s == SODA_OK; p++) {
        TRY_TO(done, vae_decoder_run(&decoder, latents + p * sampling_count(r), rgb));
        TRY_TO(done, write_picture(out, rgb, (int)width, (int)height, &number));
        if (p == 0) *first = number;
        *last = number++;
    }
done:
    free(rgb);
    vae_decoder_close(&decoder);
    return s;
}

static soda_status draw(const sample_options *o, sampling_request *r)
{
    soda_status s = SODA_OK;
    const int64_t factor = config_vae_factor(&r->folder->vae);
    TRY(latent_side("width", o->width, r->folder->unet.sample_w, factor, &r->w));
    TRY(latent_side("height", o->height, r->folder->unet.sample_h, factor, &r->h));
    const int pictures = r->prompt_count * r->per_prompt;
    const int64_t width = r->w * factor, height = r->h * factor;
    const size_t bytes = (size_t)pictures * (size_t)sampling_count(r) * sizeof(float);
    float *latents = malloc(bytes), *initial = o->latents ? malloc(bytes) : NULL;
    if (!latents || (o->latents && !initial)) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    if (initial) TRY_TO(done, load_latents(o->latents, r, initial));
    r->initial = initial;
    const double start_s = log_seconds();
    TRY_TO(done, sampling_run(r, latents));
    if (o->save_latents) TRY_TO(done, save_latents(o->save_latents, r, latents));
    int first = first_number(o->out), last = first;
    TRY_TO(done, write_pictures(r, o->out, latents, &first, &last));
    char rest[32] = "";
    if (last > first) snprintf(rest, sizeof rest, " to %04d.png", last);
    log_info("wrote %d picture%s of %lldx%lld to %s, %04d.png%s, in %.2f s; peak memory %.0f MiB",
             pictures, pictures == 1 ? "" : "s", (long long)width, (long long)height, o->out, first,
             rest, log_seconds() - start_s, (double)arena_peak_rss_bytes() / 1048576);
done:
    free(latents);
    free(initial);
    return s;
}

soda_status cmd_sample(int argc, char **argv)
{
    sample_options o;
    prompt_list prompts = {0};
    app_adapters adapters = {0};
    soda_folder *folder = NULL;
    bool help;
    soda_status s = SODA_OK;
    TRY(read_options(argc, argv, &o, &help));
    if (help) return SODA_OK;
    sampling_request r = {.per_prompt = (int)o.n,
                          .negative = o.negative,
                          .scheduler = o.scheduler,
                          .steps = (int)o.steps,
                          .guidance = o.guidance,
                          .seed = (uint64_t)o.seed};
    if (o.negative && *o.negative && o.guidance <= 1)
        log_warning("--negative has no effect with --guidance %g: guidance begins above 1",
                    o.guidance);
    if (o.save_latents) TRY(common_check_new(o.save_latents));
    TRY(common_dtype(o.dtype, &r.dtype));
    TRY(common_backend(&r.backend));
    TRY_TO(done, read_prompts(&o, &prompts));
    TRY_TO(done, folder_open(o.model, &folder));
    TRY_TO(done, adapters_open(&o.adapters, folder, &adapters));
    TRY_TO(done, make_out(o.out)); /* which may be the folder of the latents, too */
    if (o.save_latents) TRY_TO(done, common_check_folder(o.save_latents));
    r.folder = folder;
    r.adapters = (adapter_uses){adapters.use, adapters.count};
    r.prompts = prompts.list;
    r.prompt_count = prompts.count;
    TRY_TO(done, draw(&o, &r));
done:
    adapters_close(&adapters);
    folder_close(folder);
    prompts_free(&prompts);
    return s;
}
