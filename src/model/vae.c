/* vae.c: diffusers, models/autoencoders/vae.py and autoencoder_kl.py. */
#include "model/vae.h"

static const float EPS = 1e-6f; /* of every group norm here; not a key */

static soda_id resnet(soda_builder *b, const soda_vae_config *c, const char *path, soda_id x,
                      int64_t out)
{
    graph_next_segment(b->graph);
    return builder_resnet(b, path, x, NO_VALUE, out, c->groups, EPS);
}

/* Files from before diffusers 0.15 name the four projections otherwise. */
static soda_id project(soda_builder *b, const char *path, const char *name, const char *old_name,
                       soda_id x)
{
    soda_path at = path_join("%s.%s", path, name);
    const soda_path old = path_join("%s.%s", path, old_name);
    if (b->source->has(b->source, path_join("%s.weight", old.text).text)) at = old;
    return builder_linear(b, at.text, x, builder_columns(b, x), true);
}

/* Self attention over all positions with one head of full width, with a residual. */
static soda_id attention(soda_builder *b, const soda_vae_config *c, const char *path, soda_id x)
{
    graph_next_segment(b->graph);
    const soda_shape s = builder_shape(b, x);
    soda_id h =
        builder_group_norm(b, path_join("%s.group_norm", path).text, x, c->groups, EPS, false);
    h = builder_tokens(b, h);
    const soda_id q = project(b, path, "to_q", "query", h);
    const soda_id k = project(b, path, "to_k", "key", h);
    const soda_id v = project(b, path, "to_v", "value", h);
    h = graph_attention(b->graph, q, k, v, 1, false);
    h = project(b, path, "to_out.0", "proj_attn", h);
    return graph_add(b->graph, x, builder_picture(b, h, s.dim[1], s.dim[2]));
}

static soda_id mid_block(soda_builder *b, const soda_vae_config *c, const char *path, soda_id x)
{
    const int64_t width = c->channels[c->blocks - 1];
    x = resnet(b, c, path_join("%s.resnets.0", path).text, x, width);
    if (c->mid_attention) x = attention(b, c, path_join("%s.attentions.0", path).text, x);
    return resnet(b, c, path_join("%s.resnets.1", path).text, x, width);
}

static soda_id head(soda_builder *b, const soda_vae_config *c, const char *path, soda_id x,
                    int64_t out)
{
    graph_next_segment(b->graph);
    x = builder_group_norm(b, path_join("%s.conv_norm_out", path).text, x, c->groups, EPS, true);
    return builder_conv(b, path_join("%s.conv_out", path).text, x, out, 3);
}

soda_status vae_build_encoder(soda_builder *b, const soda_vae_config *c, int64_t batch,
                              int64_t height, int64_t width)
{
    soda_graph *g = b->graph;
    const int64_t latent = c->latent_channels;
    graph_next_segment(g);
    soda_id x = graph_input(g, "pixels", SODA_F32, SHAPE(batch, height, width, c->in_channels));
    x = graph_cast(g, x, graph_compute_dtype(g));
    x = builder_conv(b, "encoder.conv_in", x, c->channels[0], 3);
    for (int i = 0; i < c->blocks; i++) {
        const soda_path block = path_join("encoder.down_blocks.%d", i);
        for (int j = 0; j < (int)c->layers; j++)
            x = resnet(b, c, path_join("%s.resnets.%d", block.text, j).text, x, c->channels[i]);
        if (i + 1 == c->blocks) break;
        graph_next_segment(g);
        x = builder_downsample(b, path_join("%s.downsamplers.0.conv", block.text).text, x, 0);
    }
    x = mid_block(b, c, "encoder.mid_block", x);
    x = head(b, c, "encoder", x, 2 * latent);
    if (c->quant_conv) x = builder_conv1x1(b, "quant_conv", x, 2 * latent);
    x = graph_cast(g, x, SODA_F32);
    graph_output(g, graph_slice(g, x, 0, latent), "mean");
    graph_output(g, graph_slice(g, x, latent, latent), "logvar");
    return graph_status(g);
}

void vae_clamp_logvar(float *logvar, int64_t count)
{
    for (int64_t i = 0; i < count; i++) {
        if (logvar[i] < -30) logvar[i] = -30;
        if (logvar[i] > 20) logvar[i] = 20;
    }
}

soda_status vae_build_decoder(soda_builder *b, const soda_vae_config *c, int64_t batch,
                              int64_t height, int64_t width)
{
    soda_graph *g = b->graph;
    graph_next_segment(g);
    soda_id x =
        graph_input(g, "latents", SODA_F32, SHAPE(batch, height, width, c->latent_channels));
    x = graph_cast(g, x, graph_compute_dtype(g));
    if (c->post_quant_conv) x = builder_conv1x1(b, "post_quant_conv", x, c->latent_channels);
    x = builder_conv(b, "decoder.conv_in", x, c->channels[c->blocks - 1], 3);
    x = mid_block(b, c, "decoder.mid_block", x);
    for (int i = 0; i < c->blocks; i++) {
        const soda_path block = path_join("decoder.up_blocks.%d", i);
        const int64_t out = c->channels[c->blocks - 1 - i];
        for (int j = 0; j < (int)c->layers + 1; j++)
            x = resnet(b, c, path_join("%s.resnets.%d", block.text, j).text, x, out);
        if (i + 1 == c->blocks) break;
        graph_next_segment(g);
        height *= 2;
        width *= 2;
        x = builder_upsample(b, path_join("%s.upsamplers.0.conv", block.text).text, x, height,
                             width);
    }
    x = head(b, c, "decoder", x, c->out_channels);
    graph_output(g, graph_cast(g, x, SODA_F32), "image");
    return graph_status(g);
}
