/* export.h: a trained adapter in forms that other programs read. Adapters fit the folder
 * (adapter_fit_check). */
#pragma once

#include "interop/adapter_file.h"

/* A complete copy of the model folder with the adapter folded in. Components that it adapts get one
 * safetensors file, every tensor in its old type (adapted fp64 ones in fp32), rounded once, and
 * lose whatever other weights lie there; weight files beside the components' folders (whole models
 * in one file) are left out; a warning names each of these files. All else is copied byte for byte.
 * Made beside `out` and renamed when it is whole: what fails leaves nothing behind. SODA_ERR_INPUT
 * if `out` is there and not an empty folder, or lies within the model. */
soda_status export_diffusers(const soda_folder *folder, const soda_adapter *adapter,
                             const char *out);

/* A file of full differences, as LyCORIS writes them and A1111, ComfyUI and stable-diffusion.cpp
 * load them: KEY.diff = W - W0, fp32, in the shape of the weight. KEY: export_diff_key. */
soda_status export_diff(const soda_folder *folder, const soda_adapter *adapter, const char *out);

/* The key, with ".diff", of weight `name` ("unet. ... .to_q.weight"), cut to `size`: kohya's names.
 *
 *     lora_unet_PATH    the module path with _ for each dot; SDXL: the path in the first
 *                       implementation's naming (input_blocks.4.1. ... for
 *                       down_blocks.1.attentions.0. ...)
 *     lora_te_PATH      text encoder; SDXL: lora_te1_PATH and lora_te2_PATH
 */
void export_diff_key(const soda_folder *folder, const char *name, char *key, size_t size);
