/* Layers found in whole networks: how many, their parameters, their place in the graph. */
#include "support/check.h"

#include <stdlib.h>
#include <string.h>

#include "adapter/layers.h"
#include "app/archs.h"
#include "backend/prices.h"
#include "model/clip.h"
#include "model/random_weights.h"
#include "model/unet.h"

static const char *const ATTN[] = {"attn"};

typedef struct {
    soda_targets *targets;
    soda_layers *layers;
    soda_weight_source *source;
} collection;

static void collection_create(collection *c, const soda_method *method, factors_rule rule)
{
    const method_options options = {.factors = {.rule = rule}};
    CHECK_OK(targets_create(ATTN, 1, &c->targets));
    CHECK_OK(layers_create(method, c->targets, &options, &c->layers));
    CHECK_OK(random_weights_create(0.02f, 1, &c->source));
}

static void collection_destroy(collection *c)
{
    layers_destroy(c->layers);
    targets_destroy(c->targets);
    random_weights_destroy(c->source);
}

/* Builds the U-Net of `arch` once, with `hook`; returns the number of params in its graph. */
static int build_unet(collection *c, const char *arch, builder_adapt hook, soda_status want)
{
    soda_unet_config config;
    layers_place place = {c->layers, "unet.", true, prices_host()};
    soda_builder b = {.source = c->source, .adapt = hook, .adapt_context = &place};
    CHECK_OK(arch_find(arch, &config));
    CHECK_OK(graph_create(SODA_F32, &b.graph));
    unet_build(&b, &config, (unet_size){.batch = 1, .h = 32, .w = 32, .tokens = 77});
    CHECK_FAILS(graph_status(b.graph), want);
    int params = 0;
    for (soda_id v = 0; v < graph_value_count(b.graph); v++)
        params += graph_value(b.graph, v)->kind == VALUE_PARAM;
    graph_destroy(b.graph);
    return params;
}

static void collect_clip(collection *c, const char *prefix, soda_clip_config config)
{
    layers_place place = {c->layers, prefix, true, prices_host()};
    soda_builder b = {.source = c->source, .adapt = layers_collect, .adapt_context = &place};
    CHECK_OK(graph_create(SODA_F32, &b.graph));
    CHECK_OK(clip_build(&b, &config, 1, 77, CLIP_PENULTIMATE | CLIP_TEXT_EMBEDS));
    graph_destroy(b.graph);
}

/* Trainable numbers as files store them. */
static int64_t stored(soda_layers *layers)
{
    int64_t sum = 0;
    for (int i = 0; i < layers_count(layers); i++)
        for (int t = 0; t < method_tensors(layers_method(layers)); t++) {
            const soda_shape shape = method_tensor_shape(layers_at(layers, i), t);
            sum += shape_count(&shape);
        }
    return sum;
}

/* Counted from the shapes of SDXL's attention layers and adapter.factors: paper. */
static void sdxl_counts_are_the_published_ones(void **state)
{
    (void)state;
    collection c;
    collection_create(&c, &method_soda_svd, FACTORS_PAPER);
    assert_int_equal(build_unet(&c, "sdxl", layers_collect, SODA_OK), 0); /* nothing is changed */
    assert_int_equal(layers_count(c.layers), 560);
    assert_int_equal(stored(c.layers), 1505840);
    int64_t delta = 0;
    for (int i = 0; i < 560; i++) {
        const soda_shape shape = method_tensor_shape(layers_at(c.layers, i), 3);
        delta += shape_count(&shape);
    }
    assert_int_equal(delta, 665600);
    /* degrees of freedom: sum n (n - 1) / 2, by hand for 4 16 20, 8 8 10 and 4 8 64 */
    const int64_t r1280 = 6 + 120 + 190, r640 = 28 + 28 + 45, r2048 = 6 + 28 + 2016;
    assert_int_equal(layers_freedom(c.layers),
                     delta + 60 * (6 * r1280 + 2 * r2048) + 10 * (6 * r640 + 2 * r2048));

    const soda_clip_config clip_l = {.vocabulary = 49408,
                                     .positions = 77,
                                     .width = 768,
                                     .inner = 3072,
                                     .layers = 12,
                                     .heads = 12,
                                     .projection = 768,
                                     .eps = 1e-5f,
                                     .eos_token = 2};
    const soda_clip_config clip_g = {.vocabulary = 49408,
                                     .positions = 77,
                                     .width = 1280,
                                     .inner = 5120,
                                     .layers = 32,
                                     .heads = 20,
                                     .projection = 1280,
                                     .eps = 1e-5f,
                                     .eos_token = 2};
    collect_clip(&c, "text_encoder.", clip_l);
    collect_clip(&c, "text_encoder_2.", clip_g);
    assert_int_equal(layers_count(c.layers), 560 + 176);
    assert_int_equal(stored(c.layers) - 1505840, 303808);
    collection_destroy(&c);
}

static void names_factors_and_shapes_are_those_of_the_layer(void **state)
{
    (void)state;
    collection c;
    collection_create(&c, &method_soda_svd, FACTORS_BALANCED);
    build_unet(&c, "sd15", layers_collect, SODA_OK);
    build_unet(&c, "sd15", layers_collect, SODA_OK); /* met twice, noted once */
    assert_int_equal(layers_count(c.layers), 128);
    const soda_layer *l =
        layers_find(c.layers, "unet.down_blocks.1.attentions.0.transformer_blocks.0.attn2.to_k");
    assert_non_null(l);
    assert_true(l->m == 640 && l->n == 768 && l->rows == 77);
    assert_true(l->factor[0] == 8 && l->factor[1] == 8 && l->factor[2] == 12);
    assert_string_equal(l->basis[2].name, "unet.down_blocks.1.attentions.0.transformer_blocks.0."
                                          "attn2.to_k.soda.Vh");
    assert_true(shape_equal(&l->basis[0].source.shape, &SHAPE(640, 640)));
    assert_true(shape_equal(&l->basis[1].source.shape, &SHAPE(640)));
    assert_true(shape_equal(&l->basis[2].source.shape, &SHAPE(640, 768)));
    assert_int_equal(l->route.kind, ROUTE_FACTORED);
    l = layers_find(c.layers,
                    "unet.down_blocks.0.attentions.0.transformer_blocks.0.attn1.to_out.0");
    assert_true(l && l->rows == 32 * 32);
    assert_null(layers_find(c.layers, "unet.mid_block.attentions.0.proj_in"));
    collection_destroy(&c);
}

static void every_collected_layer_gets_four_params(void **state)
{
    (void)state;
    static float zeros[1280 * 1280];
    for (int svd = 0; svd < 2; svd++) {
        collection c;
        collection_create(&c, svd ? &method_soda_svd : &method_soda_lq, FACTORS_PAPER);
        build_unet(&c, "sd15", layers_collect, SODA_OK);
        build_unet(&c, "sd15", layers_append, SODA_ERR_INTERNAL); /* bases are missing */
        check_message_has(svd ? ".to_q.soda.U" : ".to_q.soda.Q");
        for (int i = 0; i < layers_count(c.layers); i++) {
            soda_layer *l = layers_at(c.layers, i);
            for (int basis = 0; basis < method_bases(l->method); basis++)
                l->basis[basis].source.data = zeros;
        }
        assert_int_equal(build_unet(&c, "sd15", layers_append, SODA_OK), 4 * 128);
        collection_destroy(&c);
    }
}

/* A map whose factors do not multiply fails the build, with the error of factors_check. */
static void wrong_factors_fail_the_build(void **state)
{
    (void)state;
    const factors_entry map[] = {{320, {8, 8, 8}}};
    const method_options options = {.factors = {FACTORS_PAPER, map, 1}};
    collection c;
    collection_create(&c, &method_soda_svd, FACTORS_PAPER);
    layers_destroy(c.layers);
    CHECK_OK(layers_create(&method_soda_svd, c.targets, &options, &c.layers));
    build_unet(&c, "sd15", layers_collect, SODA_ERR_INPUT);
    check_message_has("factors for width 320");
    collection_destroy(&c);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(sdxl_counts_are_the_published_ones),
        cmocka_unit_test(names_factors_and_shapes_are_those_of_the_layer),
        cmocka_unit_test(every_collected_layer_gets_four_params),
        cmocka_unit_test(wrong_factors_fail_the_build),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
