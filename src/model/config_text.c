#include "model/config_text.h"

#include <stdarg.h>
#include <stdio.h>

typedef struct {
    char *text;
    size_t used;
} writer;

/* Every configuration fits: at most 8 blocks of numbers with at most 20 digits. */
static void put(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void put(writer *w, const char *format, ...)
{
    va_list values;
    va_start(values, format);
    const int bytes = vsnprintf(w->text + w->used, CONFIG_TEXT_BYTES - w->used, format, values);
    va_end(values);
    if (bytes > 0 && w->used + (size_t)bytes < CONFIG_TEXT_BYTES) w->used += (size_t)bytes;
}

static void put_list(writer *w, const char *name, const int64_t *values, int count)
{
    put(w, "%s", name);
    for (int i = 0; i < count; i++) put(w, " %lld", (long long)values[i]);
    put(w, "\n");
}

static void put_flags(writer *w, const char *name, const bool *values, int count)
{
    put(w, "%s", name);
    for (int i = 0; i < count; i++) put(w, " %d", values[i]);
    put(w, "\n");
}

void config_text_unet(const soda_unet_config *c, char text[CONFIG_TEXT_BYTES])
{
    writer w = {.text = text};
    put(&w, "unet %lld %lld\n", (long long)c->in_channels, (long long)c->out_channels);
    put_list(&w, "channels", c->channels, c->blocks);
    put_list(&w, "layers", c->layers, c->blocks);
    put_list(&w, "heads", c->heads, c->blocks);
    put_list(&w, "depth", c->depth, c->blocks);
    put_flags(&w, "down_attention", c->down_attention, c->blocks);
    put_flags(&w, "up_attention", c->up_attention, c->blocks);
    put(&w, "context %lld groups %lld eps %.9g padding %lld kernels %lld %lld\n",
        (long long)c->context, (long long)c->groups, (double)c->eps,
        (long long)c->downsample_padding, (long long)c->kernel_in, (long long)c->kernel_out);
    put(&w, "linear %d time %lld cos_first %d shift %.9g\n", c->linear_projection,
        (long long)c->time_width, c->cos_first, (double)c->shift);
    if (c->text_time)
        put(&w, "text_time %lld %lld\n", (long long)c->text_embeds, (long long)c->time_id_width);
}

void config_text_vae(const soda_vae_config *c, char text[CONFIG_TEXT_BYTES])
{
    writer w = {.text = text};
    put(&w, "vae %lld %lld %lld\n", (long long)c->in_channels, (long long)c->out_channels,
        (long long)c->latent_channels);
    put_list(&w, "channels", c->channels, c->blocks);
    put(&w, "layers %lld groups %lld\n", (long long)c->layers, (long long)c->groups);
    put(&w, "quant %d %d mid_attention %d force_upcast %d scaling_factor %.17g\n", c->quant_conv,
        c->post_quant_conv, c->mid_attention, c->force_upcast, c->scaling_factor);
}

void config_text_clip(const soda_clip_config *c, bool projection, char text[CONFIG_TEXT_BYTES])
{
    writer w = {.text = text};
    put(&w, "clip %lld %lld %lld %lld %lld %lld\n", (long long)c->vocabulary,
        (long long)c->positions, (long long)c->width, (long long)c->inner, (long long)c->layers,
        (long long)c->heads);
    put(&w, "activation %d eps %.9g eos %lld\n", (int)c->activation, (double)c->eps,
        (long long)c->eos_token);
    if (projection) put(&w, "projection %lld\n", (long long)c->projection);
}
