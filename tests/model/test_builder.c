/* Where an adapter may take over, and how networks are cut into units of recomputation. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "support/check.h"
#include "support/component.h"

enum { MOST_PATHS = 256 };

typedef struct {
    char path[MOST_PATHS][128];
    int count;
    bool twice, refuse; /* what to do with each layer; neither: leave it plain */
} recorder;

static soda_id record(void *context, soda_graph *graph, const char *path, soda_id x, soda_id w,
                      soda_id b)
{
    recorder *r = context;
    assert_true(r->count < MOST_PATHS);
    snprintf(r->path[r->count++], sizeof r->path[0], "%s", path);
    if (r->refuse)
        return graph_fail(graph, FAIL(SODA_ERR_NUMERIC, "no adapter for %s today", path));
    return r->twice ? graph_scale(graph, graph_linear(graph, x, w, b), 2) : NO_VALUE;
}

static void build_unet(component_run *run, const component_model *model, recorder *r)
{
    const unet_size size = {.batch = 2, .h = 8, .w = 12, .tokens = 19}; /* case unet.0 */
    component_start(run, model, FOLDER_UNET);
    if (r) {
        run->builder.adapt = record;
        run->builder.adapt_context = r;
    }
    unet_build(&run->builder, &model->folder->unet, size);
}

static bool has_path(const recorder *r, const char *path, size_t length)
{
    int times = 0;
    for (int i = 0; i < r->count; i++)
        times += strlen(r->path[i]) == length && !strncmp(r->path[i], path, length);
    assert_true(times <= 1);
    return times == 1;
}

/* Modules with a two-dimensional weight are the Linear ones: sd1's proj_in is a convolution. */
static void check_offers(const char *family)
{
    component_model model;
    component_run run;
    recorder r = {0};
    component_open(&model, family, backend_ref(), SODA_F32);
    build_unet(&run, &model, &r);
    CHECK_OK(graph_status(run.graph));
    const int plain_nodes = graph_node_count(run.graph);
    int linears = 0;
    for (int i = 0; i < safetensors_count(run.file.set); i++) {
        const safetensors_tensor *t = safetensors_at(run.file.set, i);
        const size_t stem = strlen(t->name) - strlen(".weight");
        const bool is_weight = t->rank >= 1 && !strcmp(t->name + stem, ".weight");
        if (!is_weight) continue;
        linears += t->rank == 2;
        assert_int_equal(has_path(&r, t->name, stem), t->rank == 2);
    }
    assert_int_equal(r.count, linears);
    component_end(&run);

    build_unet(&run, &model, NULL);
    assert_int_equal(graph_node_count(run.graph), plain_nodes);
    component_end(&run);
    component_close(&model);
}

static void every_linear_layer_is_offered_once_by_its_path(void **state)
{
    (void)state;
    check_offers("sd1");
    check_offers("sd2");
    check_offers("sdxl");
}

/* Every layer doubled is another network: the adapter's values reach the prediction. */
static void what_the_adapter_returns_is_used(void **state)
{
    (void)state;
    component_model model;
    component_run run;
    recorder r = {.twice = true};
    component_open(&model, "sd2", backend_ref(), SODA_F32);
    build_unet(&run, &model, &r);
    CHECK_OK(graph_status(run.graph));
    int scales = 0;
    for (int i = 0; i < graph_node_count(run.graph); i++)
        scales += graph_node(run.graph, i)->op == OP_scale;
    assert_int_equal(scales, r.count);
    for (int i = 0; i < graph_node_count(run.graph); i++) { /* every scaled value has a reader */
        if (graph_node(run.graph, i)->op != OP_scale) continue;
        const soda_id y = graph_node(run.graph, i)->out[0];
        bool read = false;
        for (int j = i + 1; j < graph_node_count(run.graph); j++)
            for (int k = 0; k < SODA_MAX_INPUTS; k++) {
                soda_id in = graph_node(run.graph, j)->in[k];
                while (in != NO_VALUE && graph_value(run.graph, in)->view_of != NO_VALUE)
                    in = graph_value(run.graph, in)->view_of;
                read = read || in == y;
            }
        assert_true(read);
    }
    component_end(&run);
    component_close(&model);
}

static void a_failing_adapter_fails_the_graph(void **state)
{
    (void)state;
    component_model model;
    component_run run;
    recorder r = {.refuse = true};
    component_open(&model, "sd1", backend_ref(), SODA_F32);
    build_unet(&run, &model, &r);
    CHECK_FAILS(graph_status(run.graph), SODA_ERR_NUMERIC);
    check_message_has("time_embedding.linear_1");
    assert_int_equal(r.count, 1);
    component_end(&run);
    component_close(&model);
}

/* A ResNet block holds two convolutions, a transformer block two attentions: never more, or less
 * could be recomputed at a time than the plan needs. */
static void a_segment_is_at_most_one_block(void **state)
{
    (void)state;
    component_model model;
    component_run run;
    component_open(&model, "sdxl", backend_ref(), SODA_F32);
    build_unet(&run, &model, NULL);
    CHECK_OK(graph_status(run.graph));
    int convolutions = 0, attentions = 0, segment = -1;
    for (int i = 0; i < graph_node_count(run.graph); i++) {
        const soda_node *node = graph_node(run.graph, i);
        assert_true(node->segment >= segment);
        if (node->segment != segment) convolutions = attentions = 0;
        segment = node->segment;
        convolutions += node->op == OP_conv2d;
        attentions += node->op == OP_attention;
        assert_true(convolutions <= 2 && attentions <= 2 && !(convolutions && attentions));
    }
    component_end(&run);
    component_close(&model);
}

/* ids [2,5]; by hand from transformers' modeling_clip.py */
static void texts_are_pooled_at_their_end(void **state)
{
    (void)state;
    const int32_t ids[] = {7, 3, 9, 9, 0, 7, 9, 2, 4, 5};
    int32_t rows[2];
    clip_pooled_rows(&(soda_clip_config){.eos_token = 2}, ids, 2, 5, rows);
    assert_int_equal(rows[0], 2); /* the first of the largest, not id 2 */
    assert_int_equal(rows[1], 6);
    clip_pooled_rows(&(soda_clip_config){.eos_token = 4}, ids, 2, 5, rows);
    assert_int_equal(rows[0], 0); /* none: transformers takes the argmax of all false */
    assert_int_equal(rows[1], 8);
}

static void token_ids_and_lengths_that_do_not_fit_are_refused(void **state)
{
    (void)state;
    component_model model;
    component_run run;
    component_open(&model, "sd1", backend_ref(), SODA_F32);
    const soda_clip_config *c = &model.folder->text[0];
    component_start(&run, &model, FOLDER_TEXT_ENCODER);
    CHECK_FAILS(clip_build(&run.builder, c, 1, c->positions + 1, CLIP_LAST), SODA_ERR_INPUT);
    check_message_has("21");
    CHECK_OK(clip_build(&run.builder, c, 1, 3, CLIP_LAST));
    component_ready(&run);
    const int32_t high[] = {0, 640, 1}, low[] = {0, -1, 1};
    CHECK_FAILS(clip_write(run.exec, run.graph, NULL, c, high, 1, 3), SODA_ERR_INPUT);
    check_message_has("640");
    CHECK_FAILS(clip_write(run.exec, run.graph, NULL, c, low, 1, 3), SODA_ERR_INPUT);
    component_end(&run);
    component_close(&model);
}

static void logvar_is_clamped_like_diffusers(void **state)
{
    (void)state;
    float x[] = {-31, -30, 0.5f, 20, 21};
    const float want[] = {-30, -30, 0.5f, 20, 20};
    vae_clamp_logvar(x, 5);
    assert_memory_equal(x, want, sizeof want);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_linear_layer_is_offered_once_by_its_path),
        cmocka_unit_test(what_the_adapter_returns_is_used),
        cmocka_unit_test(a_failing_adapter_fails_the_graph),
        cmocka_unit_test(a_segment_is_at_most_one_block),
        cmocka_unit_test(texts_are_pooled_at_their_end),
        cmocka_unit_test(token_ids_and_lengths_that_do_not_fit_are_refused),
        cmocka_unit_test(logvar_is_clamped_like_diffusers),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
