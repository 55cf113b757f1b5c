/* trainer_sample.c: pictures of a run: of its prompts as it goes, and beside held-out ones at its
 * end. */
#include <stdlib.h>
#include <string.h>

#include "core/file.h"
#include "core/path.h"
#include "data/transform.h"
#include "image/image.h"
#include "io/png.h"
#include "pipeline/sampling.h"
#include "pipeline/vae_decoder.h"
#include "run/trainer_internal.h"
#include "train/params_adapter.h"
#include "train/trained_unet.h"

static bool stops(const void *trainer) { return trainer_must_stop(trainer); }

/* Pictures of the size that was trained on. The U-Net is set by draw. */
static sampling_request request_of(const soda_trainer *t, const char *const *prompts, int count)
{
    const int64_t side = t->config->data.resolution / config_vae_factor(&t->folder->vae);
    return (sampling_request){.folder = t->folder,
                              .backend = t->backend,
                              .dtype = t->config->train.dtype,
                              .prompts = prompts,
                              .prompt_count = count,
                              .per_prompt = 1,
                              .scheduler = t->scheduler,
                              .steps = (int)t->config->sample.steps,
                              .guidance = t->config->sample.guidance,
                              .seed = t->config->sample.seed,
                              .h = side,
                              .w = side,
                              .stops = stops,
                              .stops_context = t};
}

soda_status trainer_choose_sampler(soda_trainer *t)
{
    const run_config *c = t->config;
    if (c->sample.every == 0 && c->validation.pictures == 0) return SODA_OK;
    if (c->sample.scheduler > 0) {
        t->scheduler = sampler_name((int)c->sample.scheduler - 1);
    } else if (!sampler_knows_class(t->folder->scheduler)) {
        t->scheduler = sampler_name(0);
        log_warning("%s/model_index.json: scheduler: soda has no sampler for %s; this run draws "
                    "with %s (sample.scheduler selects another)",
                    t->folder->root, t->folder->scheduler, t->scheduler);
    }
    const sampling_request r = request_of(t, NULL, 0);
    const soda_status s = status_prefix(sampling_check(&r), "%s: sample", c->file);
    return s == SODA_ERR_USAGE ? SODA_ERR_INPUT : s; /* a file is wrong, no option */
}

soda_status trainer_plan_pictures(const soda_trainer *t, bool adapted, soda_network *net)
{
    const sampling_request r = request_of(t, NULL, 0);
    return networks_plan_pictures(&t->model, t->config, r.h, dataset_describe(t->data)->tokens,
                                  adapted, net);
}

/* Receives picture number `index`, [height,width,3]. */
typedef soda_status (*picture_sink)(void *context, int index, const uint8_t *rgb, int64_t width,
                                    int64_t height);

/* What draws the pictures of one request. */
typedef struct {
    sampling_request request;
    denoiser_unet unet;
    turns dealt;
    soda_sampling sampling;
    vae_decoder decoder;
    float *latents;
    uint8_t *rgb;
} drawing;

/* Nothing but the turns on a rank that has none. Local. */
static soda_status drawing_open(const soda_trainer *t, drawing *d)
{
    sampling_request *r = &d->request;
    TRY(trainer_deal(t, NULL, r->prompt_count, 1, &d->dealt));
    if (d->dealt.count == 0) return SODA_OK;
    r->unet = &d->unet;
    TRY(sampling_open(r, &d->sampling));
    TRY(vae_decoder_open(t->folder, t->backend, r->dtype, r->h, r->w, &d->decoder));
    const int64_t factor = d->decoder.factor;
    d->latents = malloc((size_t)sampling_count(r) * sizeof *d->latents);
    d->rgb = calloc((size_t)(r->w * factor * r->h * factor), 3);
    return d->latents && d->rgb ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

static void drawing_close(drawing *d)
{
    turns_free(&d->dealt);
    vae_decoder_close(&d->decoder);
    sampling_close(&d->sampling);
    free(d->latents);
    free(d->rgb);
}

static soda_status draw_one(drawing *d, int picture, picture_sink sink, void *context)
{
    const sampling_request *r = &d->request;
    TRY(sampling_draw(&d->sampling, picture, d->latents, NULL, NULL));
    TRY(vae_decoder_run(&d->decoder, d->latents, d->rgb));
    return sink(context, picture, d->rgb, r->w * d->decoder.factor, r->h * d->decoder.factor);
}

/* This rank's turns. Collective over the ranks of a group, whatever fails. */
static soda_status draw_turns(drawing *d, picture_sink sink, void *context)
{
    soda_exec *exec = d->sampling.denoiser.net.exec;
    soda_status s = SODA_OK;
    for (int64_t i = 0; i < d->dealt.count; i++) {
        const int64_t runs = exec_runs(exec) + sampling_calls(&d->sampling);
        const int picture = (int)d->dealt.list[i].piece;
        if (s == SODA_OK && picture >= 0) s = draw_one(d, picture, sink, context);
        s = trainer_walk(exec, runs, s);
    }
    return s;
}

/* The request's pictures, with `params`, or without adapters (NULL). Collective: ranks share the
 * pictures. */
static soda_status draw(const soda_trainer *t, sampling_request r, const soda_params *params,
                        picture_sink sink, void *context)
{
    const trained_unet trained = {&t->model, params};
    drawing d = {.request = r, .unet = trained_unet_denoiser(&trained)};
    soda_status s = comm_agree(t->comm, drawing_open(t, &d));
    if (s == SODA_OK) s = comm_agree(t->comm, draw_turns(&d, sink, context));
    drawing_close(&d);
    return s;
}

static soda_status open_adapter(soda_trainer *t, soda_adapter **adapter)
{
    TRY(params_fetch(&t->params));
    return params_adapter(&t->params, t->model.layers, t->config->adapter.method, "", adapter);
}

/* The same with the run's adapters; text encoders that are adapted get theirs folded in. */
static soda_status draw_adapted(soda_trainer *t, sampling_request r, picture_sink sink,
                                void *context)
{
    soda_adapter *adapter = NULL;
    adapter_use use = {.weight = 1};
    if (t->model.text_encoder) {
        TRY(comm_agree(t->comm, open_adapter(t, &adapter)));
        use.adapter = adapter;
        r.adapters = (adapter_uses){&use, 1};
    }
    const soda_status s = draw(t, r, &t->params, sink, context);
    adapter_close(adapter);
    return s;
}

/* Tried twice: a sample is not drawn again later. */
static soda_status write_picture(const char *path, const uint8_t *rgb, int64_t width,
                                 int64_t height)
{
    if (soda_png_write(path, rgb, (int)width, (int)height) == SODA_OK) return SODA_OK;
    status_clear();
    return soda_png_write(path, rgb, (int)width, (int)height);
}

static soda_status sample_path(const soda_trainer *t, int index, char *path, size_t size)
{
    return path_in(path, size, t->config->output, "samples/step-%08lld-%d.png",
                   (long long)t->state.step, index);
}

/* The pictures of one sampling that this rank draws. */
typedef struct {
    const soda_trainer *trainer;
    status_slot failure; /* of the first that could not be written */
} sample_files;

/* Those that follow are drawn whatever happens: they may find room. */
static soda_status write_sample(void *context, int index, const uint8_t *rgb, int64_t width,
                                int64_t height)
{
    sample_files *files = context;
    char path[4300];
    TRY(sample_path(files->trainer, index, path, sizeof path));
    const soda_status s = write_picture(path, rgb, width, height);
    files->trainer->drawn[index] = s == SODA_OK;
    status_keep(&files->failure, s);
    if (s != SODA_OK) status_clear();
    return SODA_OK;
}

static soda_status draw_samples(soda_trainer *t)
{
    const run_strings *prompts = &t->config->sample.prompts;
    const sampling_request r = request_of(t, (const char *const *)prompts->list, prompts->count);
    sample_files files = {.trainer = t};
    memset(t->drawn, 0, (size_t)prompts->count * sizeof *t->drawn);
    TRY(draw_adapted(t, r, write_sample, &files));
    return comm_agree(t->comm, status_take(&files.failure));
}

/* The failure of a sampling, which ends no run that is well: a warning with the words of the rank
 * that failed, and no other one until pictures are drawn again; and a line for each picture. */
static soda_status tell_missing(soda_trainer *t)
{
    const int count = t->config->sample.prompts.count;
    char why[COMM_RANK_TEXT + STATUS_MESSAGE], path[4300], rank[COMM_RANK_TEXT];
    comm_describe_rank(t->comm, rank);
    snprintf(why, sizeof why, "%s%s", rank, status_message());
    status_clear();
    TRY(t->comm->broadcast(t->comm, why, sizeof why, t->comm->failed_rank));
    TRY(t->comm->sum_i64(t->comm, t->drawn, count));
    t->comm->failed_rank = -1;
    if (!t->pictures_failing) log_warning("training continues without these pictures: %s", why);
    t->pictures_failing = true;
    for (int i = 0; i < count; i++) {
        if (t->drawn[i]) continue;
        TRY(sample_path(t, i, path, sizeof path));
        log_info("%s is left out", path);
    }
    return SODA_OK;
}

soda_status trainer_sample(soda_trainer *t)
{
    TRY(trainer_check_lock(t));
    const soda_status s = draw_samples(t);
    if (s == SODA_STOPPED) return s;
    if (s != SODA_OK) return tell_missing(t);
    t->pictures_failing = false;
    return SODA_OK;
}

/* The comparison: three rows of `columns` pictures. Each byte is written by one rank and 0 on the
 * others, so ranks add their sheets up as integers of eight bytes: nothing carries. */
typedef struct {
    int columns, row;
    int64_t width, height;
    uint8_t *rgb; /* [3 height, columns width, 3], of a multiple of 8 bytes */
} picture_sheet;

static soda_status place(void *context, int column, const uint8_t *rgb, int64_t width,
                         int64_t height)
{
    const picture_sheet *s = context;
    for (int64_t y = 0; y < height; y++)
        for (int64_t i = 0; i < 3 * width; i++)
            s->rgb[((s->row * height + y) * s->columns + column) * 3 * width + i] =
                rgb[y * 3 * width + i];
    return SODA_OK;
}

/* The real picture, scaled and cut to the size of the drawn ones. */
static soda_status place_real(const soda_trainer *t, picture_sheet *sheet, int column)
{
    char path[8300];
    void *bytes = NULL;
    size_t size = 0;
    soda_image image = {0};
    soda_status s = SODA_OK;
    const int64_t side = sheet->width, count = side * sheet->height * 3;
    const transform_options options = {.resolution = side, .factor = 1};
    float *pixels = malloc((size_t)count * sizeof *pixels);
    uint8_t *rgb = calloc((size_t)count, 1);
    if (!pixels || !rgb) {
        s = FAIL(SODA_ERR_MEMORY, "out of memory");
        goto done;
    }
    TRY_TO(done, path_in(path, sizeof path, t->config->validation.path, "%s",
                         dataset_image_at(t->held_out, column)->file));
    TRY_TO(done, file_read(path, SIZE_MAX, &bytes, &size));
    TRY_TO(done, image_decode(bytes, size, path, &image));
    const transform_view view =
        transform_view_of(&options, (uint64_t)column, image.width, image.height, 0);
    TRY_TO(done, transform_apply(&image, &view, pixels));
    for (int64_t i = 0; i < count; i++) rgb[i] = (uint8_t)(pixels[i] * 127.5f + 128.0f);
    s = place(sheet, column, rgb, side, sheet->height);
done:
    image_free(&image);
    free(bytes);
    free(pixels);
    free(rgb);
    return s;
}

/* Collective. */
static soda_status fill_sheet(soda_trainer *t, picture_sheet *sheet)
{
    const char **texts = calloc((size_t)sheet->columns, sizeof *texts);
    soda_status s =
        texts && sheet->rgb ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory for pictures");
    s = comm_agree(t->comm, s);
    for (sheet->row = 0; sheet->row < 2 && s == SODA_OK && texts; sheet->row++) {
        for (int i = 0; i < sheet->columns; i++) {
            const dataset_image *image = dataset_image_at(t->held_out, i);
            texts[i] =
                dataset_text_at(t->held_out, sheet->row ? image->text : image->class_text).text;
        }
        const sampling_request r = request_of(t, texts, sheet->columns);
        s = sheet->row ? draw_adapted(t, r, place, sheet) : draw(t, r, NULL, place, sheet);
    }
    free(texts);
    sheet->row = 2;
    for (int i = 0; i < sheet->columns && s == SODA_OK && t->comm->rank == 0; i++)
        s = place_real(t, sheet, i);
    return comm_agree(t->comm, s);
}

/* On a disk without room for it the run ends well all the same. */
static void write_sheet(const soda_trainer *t, const picture_sheet *sheet)
{
    char path[4300];
    soda_status s = path_in(path, sizeof path, t->config->output, "samples/validation.png");
    if (s == SODA_OK)
        s = write_picture(path, sheet->rgb, sheet->columns * sheet->width, 3 * sheet->height);
    if (s == SODA_OK) {
        log_info("%s: rows from top: base model, with adapter, real pictures", path);
        return;
    }
    log_warning("the run ends without this picture; rerun the command to draw it again: %s",
                status_message());
    status_clear();
}

soda_status trainer_compare(soda_trainer *t)
{
    const int64_t wanted = t->config->validation.pictures;
    if (wanted == 0) return SODA_OK;
    const int64_t there = dataset_describe(t->held_out)->count;
    const int64_t side = t->config->data.resolution;
    picture_sheet sheet = {
        .columns = (int)(wanted < there ? wanted : there), .width = side, .height = side};
    const int64_t words = (3 * 3 * sheet.height * sheet.width * sheet.columns + 7) / 8;
    sheet.rgb = calloc((size_t)words, 8);
    soda_status s = fill_sheet(t, &sheet);
    if (s == SODA_OK && sheet.rgb) {
        s = t->comm->sum_i64(t->comm, (int64_t *)(void *)sheet.rgb, words);
        if (s == SODA_OK && t->comm->rank == 0) write_sheet(t, &sheet);
        s = comm_agree(t->comm, s);
    }
    free(sheet.rgb);
    return s;
}
