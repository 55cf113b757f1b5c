#include "model/folder.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "core/log.h"
#include "core/path.h"
#include "model/clip.h"
#include "model/folder_check.h"
#include "model/unet.h"
#include "model/vae.h"
#include "model/weight_files.h"

enum { PATH_SIZE = 4096 };

const char *folder_component_name(folder_component component)
{
    static const char *const names[] = {"unet", "vae", "text_encoder", "text_encoder_2"};
    /* NOLINTNEXTLINE(clang-analyzer-core.uninitialized.UndefReturn): there are four */
    return names[component];
}

soda_status folder_path(const soda_folder *folder, const char *part, const char *file, char *path,
                        size_t size)
{
    return path_in(path, size, folder->root, "%s/%s", part, file);
}

/* Entry KEY is ["library", "Class"]: the class, which must be `wanted` or `also` (NULL: none). */
static soda_status read_class(const soda_json *index, const char *key, const char *wanted,
                              const char *also, const char **found)
{
    const char *entry[2];
    int count = 0;
    TRY(soda_json_require(index, key));
    TRY(soda_json_strings(index, key, entry, 2, &count));
    if (count == 2 && (!wanted || !strcmp(entry[1], wanted) || (also && !strcmp(entry[1], also)))) {
        *found = entry[1];
        return SODA_OK;
    }
    char expected[160];
    snprintf(expected, sizeof expected, "a library and %s%s%s", wanted ? wanted : "a class",
             also ? " or " : "", also ? also : "");
    return soda_json_refuse(index, key, expected);
}

/* safety_checker, feature_extractor and image_encoder change no picture: they are not looked at. */
static soda_status read_index(const soda_json *index, soda_folder *f)
{
    static const char plain[] = "CLIPTextModel", projected[] = "CLIPTextModelWithProjection";
    const char *name;
    TRY(soda_json_require(index, "_class_name"));
    TRY(soda_json_string(index, "_class_name", NULL, &name));
    f->xl = !strcmp(name, "StableDiffusionXLPipeline");
    if (!f->xl && strcmp(name, "StableDiffusionPipeline") != 0)
        return soda_json_refuse(index, "_class_name",
                                "\"StableDiffusionPipeline\" or \"StableDiffusionXLPipeline\"");
    TRY(read_class(index, "unet", "UNet2DConditionModel", NULL, &name));
    TRY(read_class(index, "vae", "AutoencoderKL", NULL, &name));
    TRY(read_class(index, "tokenizer", "CLIPTokenizer", "CLIPTokenizerFast", &name));
    TRY(read_class(index, "text_encoder", plain, f->xl ? projected : NULL, &name));
    f->text_projection[0] = !strcmp(name, projected);
    f->texts = f->xl ? 2 : 1;
    if (f->xl) {
        TRY(read_class(index, "tokenizer_2", "CLIPTokenizer", "CLIPTokenizerFast", &name));
        TRY(read_class(index, "text_encoder_2", projected, NULL, &name));
        f->text_projection[1] = true;
        TRY(soda_json_bool(index, "force_zeros_for_empty_prompt", true, &f->zero_empty_negative));
    }
    TRY(read_class(index, "scheduler", NULL, NULL, &name));
    snprintf(f->scheduler, sizeof f->scheduler, "%s", name);
    return SODA_OK;
}

static soda_status read_configs(soda_folder *f)
{
    char path[PATH_SIZE];
    TRY(folder_path(f, "unet", "config.json", path, sizeof path));
    TRY(config_read_unet(path, &f->unet));
    TRY(folder_path(f, "vae", "config.json", path, sizeof path));
    TRY(config_read_vae(path, &f->vae));
    for (int i = 0; i < f->texts; i++) {
        const char *part = folder_component_name(FOLDER_TEXT_ENCODER + i);
        TRY(folder_path(f, part, "config.json", path, sizeof path));
        TRY(config_read_clip(path, &f->text[i]));
    }
    return SODA_OK;
}

static soda_status want(const soda_folder *f, const char *key, int64_t found, int64_t wanted,
                        const char *why)
{
    if (found == wanted) return SODA_OK;
    return FAIL(SODA_ERR_INPUT, "%s/unet/config.json: %s: expected %lld (%s), found %lld", f->root,
                key, (long long)wanted, why, (long long)found);
}

/* What the pipelines rely on when they hand one component's result to the next. */
static soda_status check_fit(const soda_folder *f)
{
    const soda_unet_config *u = &f->unet;
    const int64_t latent = f->vae.latent_channels;
    TRY(want(f, "in_channels", u->in_channels, latent, "latent_channels of vae"));
    TRY(want(f, "out_channels", u->out_channels, latent, "latent_channels of vae"));
    if (u->text_time != f->xl)
        return FAIL(SODA_ERR_INPUT, "%s/unet/config.json: addition_embed_type: expected %s in %s",
                    f->root, f->xl ? "\"text_time\"" : "null",
                    f->xl ? "a StableDiffusionXLPipeline" : "a StableDiffusionPipeline");
    if (!f->xl)
        return want(f, "cross_attention_dim", u->context, f->text[0].width,
                    "hidden_size of text_encoder");
    TRY(want(f, "cross_attention_dim", u->context, f->text[0].width + f->text[1].width,
             "hidden_size of both text encoders"));
    return want(f, "projection_class_embeddings_input_dim",
                u->text_embeds + UNET_TIME_IDS * u->time_id_width,
                f->text[1].projection + UNET_TIME_IDS * u->time_id_width,
                "projection_dim of text_encoder_2 and 6 addition_time_embed_dim");
}

static soda_status create(const char *path, soda_folder **folder)
{
    soda_folder *f = *folder = calloc(1, sizeof *f);
    if (f) {
        f->root = strdup(path);
        f->identity = calloc(FOLDER_COMPONENTS, sizeof *f->identity);
    }
    if (!f || !f->root || !f->identity)
        return FAIL(SODA_ERR_MEMORY, "%s: out of memory while opening the model", path);
    return SODA_OK;
}

soda_status folder_open(const char *path, soda_folder **folder)
{
    soda_status s = SODA_OK;
    soda_json index = {0};
    char file[PATH_SIZE];
    soda_folder *f = NULL;
    *folder = NULL;
    TRY(folder_check(path));
    TRY_TO(done, create(path, &f));
    TRY_TO(done, path_in(file, sizeof file, path, "model_index.json"));
    TRY_TO(done, soda_json_load(file, &index));
    TRY_TO(done, read_index(&index, f));
    TRY_TO(done, read_configs(f));
    TRY_TO(done, check_fit(f));
    *folder = f;
    f = NULL;
done:
    soda_json_free(&index);
    folder_close(f);
    return s;
}

soda_status folder_open_unet(const char *path, soda_folder **folder)
{
    soda_status s = SODA_OK;
    char file[PATH_SIZE];
    TRY_TO(failed, create(path, folder));
    TRY_TO(failed, folder_path(*folder, "unet", "config.json", file, sizeof file));
    TRY_TO(failed, config_read_unet(file, &(*folder)->unet));
    (*folder)->xl = (*folder)->unet.text_time;
    return SODA_OK;
failed:
    folder_close(*folder);
    *folder = NULL;
    return s;
}

void folder_close(soda_folder *folder)
{
    if (!folder) return;
    free(folder->identity);
    free(folder->root);
    free(folder);
}

soda_status folder_build(const soda_folder *f, folder_component component, soda_builder *b,
                         int64_t h, int64_t w, int64_t tokens)
{
    const int text = component == FOLDER_TEXT_ENCODER_2;
    unsigned outputs = CLIP_LAST | CLIP_PENULTIMATE;
    switch (component) {
    case FOLDER_UNET:
        unet_build(b, &f->unet, (unet_size){.batch = 1, .h = h, .w = w, .tokens = tokens});
        return graph_status(b->graph);
    case FOLDER_VAE:
        TRY(vae_build_encoder(b, &f->vae, 1, h * config_vae_factor(&f->vae),
                              w * config_vae_factor(&f->vae)));
        return vae_build_decoder(b, &f->vae, 1, h, w);
    default:
        if (f->text_projection[text]) outputs |= CLIP_TEXT_EMBEDS;
        return clip_build(b, &f->text[text], 1, tokens, outputs);
    }
}

soda_status folder_tensors_open(const soda_folder *f, folder_component component,
                                soda_safetensors **set)
{
    const bool is_text = component == FOLDER_TEXT_ENCODER || component == FOLDER_TEXT_ENCODER_2;
    char path[PATH_SIZE];
    TRY(folder_path(f, folder_component_name(component), "", path, sizeof path));
    path[strlen(path) - 1] = '\0'; /* the slash before the absent file name */
    return safetensors_open_folder(path, is_text ? "model" : "diffusion_pytorch_model", set);
}

soda_status folder_weights_open(const soda_folder *f, folder_component component,
                                folder_weights *weights)
{
    const char *name = folder_component_name(component);
    soda_status s = SODA_OK;
    soda_builder b = {0};
    char prefix[32], unused[512];
    *weights = (folder_weights){0};
    TRY_TO(done, folder_tensors_open(f, component, &weights->set));
    safetensors_warn_of_fp16(weights->set);
    snprintf(prefix, sizeof prefix, "%s.", name);
    TRY_TO(done, weight_files_create(weights->set, prefix, &weights->source));
    TRY_TO(done, graph_create(SODA_F32, &b.graph));
    b.source = weights->source;
    const int64_t side = 1LL << (f->unet.blocks - 1); /* the smallest that all levels can halve */
    TRY_TO(done, folder_build(f, component, &b, side, side, 1));
    /* 0, 1, 2, ...: a constant that transformers before 4.31 wrote */
    safetensors_mark_used(weights->set, "text_model.embeddings.position_ids");
    safetensors_mark_used(weights->set, "embeddings.position_ids");
    if (safetensors_unused(weights->set, unused, sizeof unused) > 0)
        log_warning("%s: ignoring tensors that config.json does not call for: %s",
                    safetensors_path(weights->set), unused);
done:
    graph_destroy(b.graph);
    if (s != SODA_OK) folder_weights_close(weights);
    return s;
}

void folder_weights_close(folder_weights *weights)
{
    weight_files_destroy(weights->source);
    safetensors_close(weights->set);
    *weights = (folder_weights){0};
}
