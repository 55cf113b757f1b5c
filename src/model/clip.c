/* clip.c: transformers, models/clip/modeling_clip.py. */
#include "model/clip.h"

#include <stdlib.h>

/* The name of an input or output. */
static soda_path named(const char *scope, const char *name)
{
    return path_join("%s%s", scope ? scope : "", name);
}

static soda_id attention(soda_builder *b, const char *path, soda_id x, int64_t heads)
{
    const int64_t width = builder_columns(b, x);
    const soda_id q = builder_linear(b, path_join("%s.q_proj", path).text, x, width, true);
    const soda_id k = builder_linear(b, path_join("%s.k_proj", path).text, x, width, true);
    const soda_id v = builder_linear(b, path_join("%s.v_proj", path).text, x, width, true);
    const soda_id o = graph_attention(b->graph, q, k, v, heads, true);
    return builder_linear(b, path_join("%s.out_proj", path).text, o, width, true);
}

static soda_id layer(soda_builder *b, const soda_clip_config *c, const char *path, soda_id x)
{
    graph_next_segment(b->graph);
    soda_id h = builder_layer_norm(b, path_join("%s.layer_norm1", path).text, x, c->eps);
    h = attention(b, path_join("%s.self_attn", path).text, h, c->heads);
    x = graph_add(b->graph, x, h);
    h = builder_layer_norm(b, path_join("%s.layer_norm2", path).text, x, c->eps);
    h = builder_linear(b, path_join("%s.mlp.fc1", path).text, h, c->inner, true);
    h = graph_activation(b->graph, h, c->activation);
    h = builder_linear(b, path_join("%s.mlp.fc2", path).text, h, c->width, true);
    return graph_add(b->graph, x, h);
}

static soda_id embed(soda_builder *b, const soda_clip_config *c, const char *prefix, int64_t batch,
                     int64_t tokens)
{
    soda_graph *g = b->graph;
    const soda_shape shape = SHAPE(batch, tokens);
    const soda_id ids = graph_input(g, named(b->scope, "input_ids").text, SODA_I32, shape);
    const soda_id positions = graph_input(g, named(b->scope, "position_ids").text, SODA_I32, shape);
    const soda_id words = builder_weight(b, path_join("%sembeddings.token_embedding", prefix).text,
                                         "weight", SHAPE(c->vocabulary, c->width));
    const soda_id places =
        builder_weight(b, path_join("%sembeddings.position_embedding", prefix).text, "weight",
                       SHAPE(c->positions, c->width));
    return graph_add(g, graph_embedding(g, ids, words), graph_embedding(g, positions, places));
}

static void output(const soda_builder *b, soda_id value, const char *name)
{
    const soda_dtype wide = graph_wide_dtype(b->graph);
    graph_output(b->graph, graph_cast(b->graph, value, wide), named(b->scope, name).text);
}

static void pool(soda_builder *b, const soda_clip_config *c, soda_id last, int64_t batch,
                 int64_t tokens, unsigned outputs)
{
    soda_graph *g = b->graph;
    const soda_id rows =
        graph_input(g, named(b->scope, "pooled_rows").text, SODA_I32, SHAPE(batch));
    const soda_id table = graph_view(g, last, SHAPE(batch * tokens, c->width));
    const soda_id pooled = graph_embedding(g, rows, table);
    if (outputs & CLIP_POOLED) output(b, pooled, "pooled");
    if (outputs & CLIP_TEXT_EMBEDS)
        output(b, builder_linear(b, "text_projection", pooled, c->projection, false),
               "text_embeds");
}

soda_status clip_build(soda_builder *b, const soda_clip_config *c, int64_t batch, int64_t tokens,
                       unsigned outputs)
{
    soda_graph *g = b->graph;
    if (tokens > c->positions)
        return FAIL(SODA_ERR_INPUT, "text encoder: %lld tokens, expected at most %lld",
                    (long long)tokens, (long long)c->positions);
    const char *probe = "text_model.embeddings.token_embedding.weight";
    const char *prefix = b->source->has(b->source, probe) ? "text_model." : "";
    const bool pooled = outputs & (CLIP_POOLED | CLIP_TEXT_EMBEDS);

    graph_next_segment(g);
    soda_id x = embed(b, c, prefix, batch, tokens);
    for (int i = 0; i < (int)c->layers; i++) {
        const bool is_last = i + 1 == (int)c->layers;
        if (is_last && (outputs & CLIP_PENULTIMATE)) output(b, x, "penultimate");
        if (is_last && !pooled && !(outputs & CLIP_LAST)) return graph_status(g);
        x = layer(b, c, path_join("%sencoder.layers.%d", prefix, i).text, x);
    }
    graph_next_segment(g);
    x = builder_layer_norm(b, path_join("%sfinal_layer_norm", prefix).text, x, c->eps);
    if (outputs & CLIP_LAST) output(b, x, "last_hidden_state");
    if (pooled) pool(b, c, x, batch, tokens, outputs);
    return graph_status(g);
}

void clip_pooled_rows(const soda_clip_config *c, const int32_t *ids, int64_t batch, int64_t tokens,
                      int32_t *rows)
{
    for (int64_t n = 0; n < batch; n++) {
        const int32_t *id = ids + n * tokens;
        int64_t best = 0;
        if (c->eos_token == 2) {
            for (int64_t t = 1; t < tokens; t++)
                if (id[t] > id[best]) best = t;
        } else {
            while (best < tokens && id[best] != c->eos_token) best++;
            if (best == tokens) best = 0;
        }
        rows[n] = (int32_t)(n * tokens + best);
    }
}

static soda_status write_if_there(soda_exec *exec, const soda_graph *graph, const char *scope,
                                  const char *name, const int32_t *data, int64_t count)
{
    const soda_id id = graph_find(graph, named(scope, name).text);
    return id == NO_VALUE ? SODA_OK : exec_write(exec, id, data, (size_t)count * sizeof *data);
}

soda_status clip_write(soda_exec *exec, const soda_graph *graph, const char *scope,
                       const soda_clip_config *c, const int32_t *ids, int64_t batch, int64_t tokens)
{
    const int64_t count = batch * tokens;
    for (int64_t i = 0; i < count; i++)
        if (ids[i] < 0 || ids[i] >= c->vocabulary)
            return FAIL(SODA_ERR_INPUT,
                        "text encoder: token id %d, expected below vocab_size (%lld)", ids[i],
                        (long long)c->vocabulary);
    int32_t *positions = malloc((size_t)(count + batch) * sizeof *positions);
    if (!positions)
        return FAIL(SODA_ERR_MEMORY, "out of memory for %lld token ids", (long long)count);
    int32_t *rows = positions + count;
    for (int64_t i = 0; i < count; i++) positions[i] = (int32_t)(i % tokens);
    clip_pooled_rows(c, ids, batch, tokens, rows);
    soda_status s = SODA_OK;
    TRY_TO(done, write_if_there(exec, graph, scope, "input_ids", ids, count));
    TRY_TO(done, write_if_there(exec, graph, scope, "position_ids", positions, count));
    TRY_TO(done, write_if_there(exec, graph, scope, "pooled_rows", rows, batch));
done:
    free(positions);
    return s;
}
