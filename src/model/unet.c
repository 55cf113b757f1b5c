/* unet.c: diffusers, models/unets/unet_2d_condition.py and unet_2d_blocks.py. */
#include "model/unet.h"

#include "model/transformer.h"

/* What the way down leaves for the way up, last in first out. */
typedef struct {
    soda_id value[MODEL_MAX_BLOCKS * (MODEL_MAX_LAYERS + 1) + 1];
    int count;
} skip_stack;

/* What all blocks are given. */
typedef struct {
    soda_builder *b;
    const soda_unet_config *config;
    soda_id time;    /* silu of the embedding, [N,time_width] */
    soda_id context; /* encoder_hidden_states in the compute type */
    skip_stack skips;
} unet_state;

static void push(unet_state *u, soda_id value) { u->skips.value[u->skips.count++] = value; }

static soda_id pop(unet_state *u) { return u->skips.value[--u->skips.count]; }

static soda_id resnet(unet_state *u, const char *path, soda_id x, int64_t out)
{
    return builder_resnet(u->b, path, x, u->time, out, u->config->groups, u->config->eps);
}

static soda_id attend(unet_state *u, const char *path, soda_id x, int level)
{
    const transformer_shape shape = {
        .heads = u->config->heads[level],
        .depth = u->config->depth[level],
        .groups = u->config->groups,
        .linear_projection = u->config->linear_projection,
    };
    return transformer_build(u->b, path, x, u->context, shape);
}

static soda_id down_block(unet_state *u, int level, soda_id x)
{
    const soda_unet_config *c = u->config;
    for (int j = 0; j < (int)c->layers[level]; j++) {
        graph_next_segment(u->b->graph);
        x = resnet(u, path_join("down_blocks.%d.resnets.%d", level, j).text, x, c->channels[level]);
        if (c->down_attention[level])
            x = attend(u, path_join("down_blocks.%d.attentions.%d", level, j).text, x, level);
        push(u, x);
    }
    if (level + 1 < c->blocks) {
        graph_next_segment(u->b->graph);
        x = builder_downsample(u->b, path_join("down_blocks.%d.downsamplers.0.conv", level).text, x,
                               c->downsample_padding);
        push(u, x);
    }
    return x;
}

static soda_id mid_block(unet_state *u, soda_id x)
{
    const int level = u->config->blocks - 1;
    const int64_t width = u->config->channels[level];
    graph_next_segment(u->b->graph);
    x = resnet(u, "mid_block.resnets.0", x, width);
    x = attend(u, "mid_block.attentions.0", x, level);
    graph_next_segment(u->b->graph);
    return resnet(u, "mid_block.resnets.1", x, width);
}

/* up_blocks.i mirrors level blocks - 1 - i. The hidden state comes first in the concatenation. */
static soda_id up_block(unet_state *u, int i, soda_id x)
{
    const soda_unet_config *c = u->config;
    const int level = c->blocks - 1 - i;
    for (int j = 0; j < (int)c->layers[level] + 1; j++) {
        graph_next_segment(u->b->graph);
        x = graph_concat(u->b->graph, x, pop(u));
        x = resnet(u, path_join("up_blocks.%d.resnets.%d", i, j).text, x, c->channels[level]);
        if (c->up_attention[i])
            x = attend(u, path_join("up_blocks.%d.attentions.%d", i, j).text, x, level);
    }
    if (level == 0) return x;
    /* Twice the size, or less by one where the size was odd on the way down: that of the skip. */
    const soda_shape to = builder_shape(u->b, u->skips.value[u->skips.count - 1]);
    graph_next_segment(u->b->graph);
    return builder_upsample(u->b, path_join("up_blocks.%d.upsamplers.0.conv", i).text, x, to.dim[1],
                            to.dim[2]);
}

/* TimestepEmbedding: linear_2(silu(linear_1 x)) */
static soda_id embedding_mlp(soda_builder *b, const char *path, soda_id x, int64_t width)
{
    x = builder_linear(b, path_join("%s.linear_1", path).text, x, width, true);
    x = graph_activation(b->graph, x, ACT_SILU);
    return builder_linear(b, path_join("%s.linear_2", path).text, x, width, true);
}

/* text_time: six numbers, each as a sinusoid, behind the pooled text. [N,time_width] */
static soda_id text_time_embedding(soda_builder *b, const soda_unet_config *c, unet_size size)
{
    soda_graph *g = b->graph;
    const int64_t batch = size.batch;
    const soda_id text =
        size.text ? size.text->pooled
                  : graph_input(g, "text_embeds", SODA_F32, SHAPE(batch, c->text_embeds));
    const soda_id ids = graph_input(g, "time_ids", SODA_F32, SHAPE(batch, UNET_TIME_IDS));
    const soda_id waves = graph_timestep_embedding(
        g, graph_view(g, ids, SHAPE(batch * UNET_TIME_IDS)),
        (timestep_embedding_attr){
            .width = c->time_id_width, .cos_first = c->cos_first, .shift = c->shift});
    const soda_id sizes = graph_view(g, waves, SHAPE(batch, UNET_TIME_IDS * c->time_id_width));
    const soda_dtype wide = graph_wide_dtype(g);
    soda_id all = graph_concat(g, graph_cast(g, text, wide), graph_cast(g, sizes, wide));
    all = graph_cast(g, all, graph_compute_dtype(g));
    return embedding_mlp(b, "add_embedding", all, c->time_width);
}

static soda_id time_embedding(soda_builder *b, const soda_unet_config *c, unet_size size)
{
    soda_graph *g = b->graph;
    const soda_id t = graph_input(g, "timestep", SODA_F32, SHAPE(size.batch));
    const soda_id wave = graph_timestep_embedding(
        g, t,
        (timestep_embedding_attr){
            .width = c->channels[0], .cos_first = c->cos_first, .shift = c->shift});
    soda_id time = embedding_mlp(b, "time_embedding", graph_cast(g, wave, graph_compute_dtype(g)),
                                 c->time_width);
    if (c->text_time) time = graph_add(g, time, text_time_embedding(b, c, size));
    return graph_activation(g, time, ACT_SILU); /* every ResNet block wants it so: once is enough */
}

static soda_id input(soda_builder *b, const char *name, soda_shape shape)
{
    const soda_id x = graph_input(b->graph, name, SODA_F32, shape);
    return graph_cast(b->graph, x, graph_compute_dtype(b->graph));
}

static soda_id run_blocks(unet_state *u, soda_id x)
{
    push(u, x);
    for (int level = 0; level < u->config->blocks; level++) x = down_block(u, level, x);
    x = mid_block(u, x);
    for (int i = 0; i < u->config->blocks; i++) x = up_block(u, i, x);
    return x;
}

soda_id unet_build(soda_builder *b, const soda_unet_config *c, unet_size size)
{
    soda_graph *g = b->graph;
    unet_state u = {.b = b, .config = c};
    graph_next_segment(g);
    soda_id x = input(b, "sample", SHAPE(size.batch, size.h, size.w, c->in_channels));
    const soda_shape context = SHAPE(size.batch, size.tokens, c->context);
    u.context = size.text ? graph_cast(g, size.text->hidden, graph_compute_dtype(g))
                          : input(b, "encoder_hidden_states", context);
    u.time = time_embedding(b, c, size);
    x = run_blocks(&u, builder_conv(b, "conv_in", x, c->channels[0], c->kernel_in));
    graph_next_segment(g);
    x = builder_group_norm(b, "conv_norm_out", x, c->groups, c->eps, true);
    x = builder_conv(b, "conv_out", x, c->out_channels, c->kernel_out);
    x = graph_cast(g, x, graph_wide_dtype(g));
    graph_output(g, x, "prediction");
    return x;
}
