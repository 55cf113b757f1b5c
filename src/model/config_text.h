/* config_text.h: the values of a configuration that decide what a model computes, as one text: the
 * same for every spelling of config.json that means the same model. Part of a model's identity
 * (hash.h), so a change of these texts is a change of all identities.
 *
 * Sizes of pictures are left out: they are only defaults. */
#pragma once

#include "model/config.h"

enum { CONFIG_TEXT_BYTES = 2048 };

void config_text_unet(const soda_unet_config *config, char text[CONFIG_TEXT_BYTES]);
void config_text_vae(const soda_vae_config *config, char text[CONFIG_TEXT_BYTES]);
void config_text_clip(const soda_clip_config *config, bool projection,
                      char text[CONFIG_TEXT_BYTES]);
