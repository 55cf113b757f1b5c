/* libFuzzer harness of a model folder: model_index.json and whether its components fit each other.
 * An input is model_index.json and the config.json of unet, vae, text_encoder and text_encoder_2,
 * separated by bytes 0xFF; an empty part is a file that is not there. What is accepted is built,
 * and what one component hands to the next has the width that the next one reads. */
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "model/clip.h"
#include "model/folder.h"
#include "model/unet.h"
#include "model/vae.h"
#include "shape_source.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { PARTS = 5, PART_BYTES = 1 << 16 };

static const char *const files[PARTS] = {"model_index.json", "unet/config.json", "vae/config.json",
                                         "text_encoder/config.json", "text_encoder_2/config.json"};
static const char root[] = "fuzz-folder"; /* in the current folder: no random name to learn */

static const char *path_of(const char *name)
{
    static char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    return path;
}

static void remove_folder(void)
{
    for (int i = 0; i < PARTS; i++) unlink(path_of(files[i]));
    for (int i = FOLDER_UNET; i <= FOLDER_TEXT_ENCODER_2; i++)
        rmdir(path_of(folder_component_name((folder_component)i)));
    rmdir(root);
}

static void make_folder(void)
{
    want(mkdir(root, 0700) == 0);
    for (int i = FOLDER_UNET; i <= FOLDER_TEXT_ENCODER_2; i++)
        want(mkdir(path_of(folder_component_name((folder_component)i)), 0700) == 0);
    atexit(remove_folder);
}

/* Writes part `i` unless the file holds just that already. */
static void put(int i, const uint8_t *text, size_t bytes)
{
    static struct {
        uint8_t text[PART_BYTES];
        size_t bytes;
    } now[PARTS];
    if (bytes > PART_BYTES) bytes = PART_BYTES;
    if (bytes == now[i].bytes && memcmp(text, now[i].text, bytes) == 0) return;
    memcpy(now[i].text, text, bytes);
    now[i].bytes = bytes;
    unlink(path_of(files[i]));
    if (bytes == 0) return;
    FILE *file = fopen(path_of(files[i]), "wb");
    want(file != NULL);
    want(fwrite(text, 1, bytes, file) == bytes);
    want(fclose(file) == 0);
}

static bool is_large(const soda_folder *f)
{
    int64_t layers = 2 * f->vae.layers * f->vae.blocks + f->unet.depth[f->unet.blocks - 1];
    for (int i = 0; i < f->unet.blocks; i++)
        layers += (2 * f->unet.layers[i] + 1) * (f->unet.depth[i] + 1);
    for (int i = 0; i < f->texts; i++) layers += f->text[i].layers;
    return layers > 2 * MOST_LAYERS;
}

static int64_t build_text(const soda_folder *f, int i, soda_builder *b, int64_t *pooled)
{
    unsigned outputs = CLIP_LAST | CLIP_PENULTIMATE;
    if (f->text_projection[i]) outputs |= CLIP_TEXT_EMBEDS;
    want(clip_build(b, &f->text[i], 1, 1, outputs) == SODA_OK);
    if (f->text_projection[i]) *pooled = f->text[i].projection;
    return f->text[i].width;
}

static void build(const soda_folder *f)
{
    int64_t width = 0, pooled = 0;
    want(f->texts == (f->xl ? 2 : 1));
    for (int part = 0; part < 2 + f->texts; part++) {
        soda_weight_source source = shape_source();
        soda_builder b = {.source = &source};
        want(graph_create(SODA_F32, &b.graph) == SODA_OK);
        if (part < f->texts) {
            width += build_text(f, part, &b, &pooled);
        } else if (part == f->texts) {
            const int64_t side = 1LL << (f->unet.blocks - 1); /* all levels can halve it */
            unet_build(&b, &f->unet,
                       (unet_size){.batch = 1, .h = side, .w = side + 1, .tokens = 1});
            want(graph_status(b.graph) == SODA_OK);
        } else {
            want(vae_build_decoder(&b, &f->vae, 1, 2, 3) == SODA_OK);
        }
        graph_destroy(b.graph);
    }
    want(f->unet.context == width);
    want(f->unet.in_channels == f->vae.latent_channels);
    want(f->unet.out_channels == f->vae.latent_channels);
    want(f->unet.text_time == f->xl && (!f->xl || f->unet.text_embeds == pooled));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static bool ready;
    if (!ready) make_folder();
    ready = true;
    for (int i = 0; i < PARTS; i++) {
        const uint8_t *end = i < PARTS - 1 && size ? memchr(data, 0xFF, size) : NULL;
        const size_t bytes = end ? (size_t)(end - data) : size;
        put(i, data, bytes);
        data += end ? bytes + 1 : bytes;
        size -= end ? bytes + 1 : bytes;
    }
    soda_folder *folder;
    const soda_status s = folder_open(root, &folder);
    if (s != SODA_OK) {
        want(folder == NULL && strstr(status_message(), root) != NULL); /* the file is named */
        return 0;
    }
    if (!is_large(folder)) build(folder);
    folder_close(folder);
    return 0;
}
