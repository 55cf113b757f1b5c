/* folder.h: a model folder in the diffusers layout: model_index.json says which pipeline it is and
 * of which classes its components are; every component has a folder with its config.json. */
#pragma once

#include "core/sha256.h"
#include "graph/weight.h"
#include "io/safetensors.h"
#include "model/builder.h"
#include "model/config.h"

typedef enum {
    FOLDER_UNET,
    FOLDER_VAE,
    FOLDER_TEXT_ENCODER,
    FOLDER_TEXT_ENCODER_2, /* StableDiffusionXLPipeline only */
} folder_component;

/* "unet", "vae", ...: the name of the folder; with a dot behind it, the prefix of weight names. */
const char *folder_component_name(folder_component component);

enum { FOLDER_COMPONENTS = FOLDER_TEXT_ENCODER_2 + 1 };

/* What hash.h computed for a component, by model_hash_version: "" until it was asked. */
enum { FOLDER_IDENTITIES = 3 };
typedef struct {
    char sha256[FOLDER_IDENTITIES][SHA256_HEX];
} folder_identity;

typedef struct {
    char *root;
    bool xl;                  /* StableDiffusionXLPipeline, else StableDiffusionPipeline */
    bool zero_empty_negative; /* XL: force_zeros_for_empty_prompt */
    char scheduler[64];       /* class name, e.g. "PNDMScheduler" */
    soda_unet_config unet;
    soda_vae_config vae;
    int texts;                 /* 1, or 2 for XL */
    soda_clip_config text[2];  /* text_encoder, text_encoder_2 */
    bool text_projection[2];   /* CLIPTextModelWithProjection */
    folder_identity *identity; /* [FOLDER_COMPONENTS], or NULL: hash.h keeps nothing */
} soda_folder;

/* Reads model_index.json and all configurations, and checks that the components fit each other.
 * SODA_ERR_INPUT names file and key. No weights are opened. */
soda_status folder_open(const char *path, soda_folder **folder);
void folder_close(soda_folder *folder);

/* Only PATH/unet/config.json: a folder for those who need the U-Net alone. */
soda_status folder_open_unet(const char *path, soda_folder **folder);

/* "ROOT/PART/FILE", e.g. of "tokenizer" and "merges.txt", to path[size]. */
soda_status folder_path(const soda_folder *folder, const char *part, const char *file, char *path,
                        size_t size);

/* The files with the weights of one component, unchecked but for their form. */
soda_status folder_tensors_open(const soda_folder *folder, folder_component component,
                                soda_safetensors **set);

/* Builds the component's graphs with everything a pipeline may want of them, for latents [h,w] and
 * `tokens` tokens of text: this asks the source for every weight. */
soda_status folder_build(const soda_folder *folder, folder_component component,
                         soda_builder *builder, int64_t h, int64_t w, int64_t tokens);

/* The weights of one component. */
typedef struct {
    soda_safetensors *set;
    soda_weight_source *source;
} folder_weights;

/* Opens them and checks that every tensor that the configuration asks for is there with its shape;
 * tensors that it does not ask for are a warning. Names get the prefix "unet." and so on. */
soda_status folder_weights_open(const soda_folder *folder, folder_component component,
                                folder_weights *weights);
void folder_weights_close(folder_weights *weights);
