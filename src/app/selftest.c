#include "app/selftest.h"

#include <math.h>

#include "app/selftest_vectors.h"
#include "core/philox.h"
#include "model/random_weights.h"
#include "model/unet.h"
#include "pipeline/network.h"
#include "verify/small_unet.h"

const selftest_type selftest_types[SELFTEST_TYPES] = {{SODA_F32, "U-Net, fp32", 3e-5},
                                                      {SODA_BF16, "U-Net, bf16", 3e-2}};

static soda_status write_normals(soda_exec *exec, const char *name, uint32_t seed, int64_t count)
{
    float values[SELFTEST_VALUES + SELFTEST_TOKENS * SMALL_UNET_TOKEN_WIDTH];
    philox_normal((philox_key){{seed, 0}}, (philox_counter){{0}}, values, count);
    return exec_write_f32(exec, name, values, count);
}

soda_status selftest_predict(const soda_backend *backend, soda_dtype dtype, float *prediction)
{
    soda_unet_config config;
    soda_weight_source *source = NULL;
    soda_network net = {0};
    const float timestep = 321;
    soda_status s = SODA_OK;
    TRY(small_unet(&config));
    TRY_TO(done, random_weights_create(0.1f, 0.1f, &source));
    TRY_TO(done, network_create(dtype, &net));
    soda_builder builder = {.graph = net.graph, .source = source};
    unet_build(&builder, &config,
               (unet_size){1, SELFTEST_SIDE, SELFTEST_SIDE, SELFTEST_TOKENS, NULL});
    TRY_TO(done, network_ready(&net, backend, NULL));
    TRY_TO(done, write_normals(net.exec, "sample", 11, SELFTEST_VALUES));
    TRY_TO(done, write_normals(net.exec, "encoder_hidden_states", 12,
                               SELFTEST_TOKENS * SMALL_UNET_TOKEN_WIDTH));
    TRY_TO(done, exec_write_f32(net.exec, "timestep", &timestep, 1));
    TRY_TO(done, exec_run(net.exec));
    TRY_TO(done, exec_read_f32(net.exec, "prediction", prediction, SELFTEST_VALUES));
done:
    network_close(&net);
    random_weights_destroy(source);
    return s;
}

double selftest_error(const float *prediction)
{
    double difference = 0, norm = 0;
    for (int i = 0; i < SELFTEST_COUNT; i++) {
        const double want = selftest_prediction[i];
        const double d = (double)prediction[i * SELFTEST_STRIDE] - want;
        difference += d * d;
        norm += want * want;
    }
    return sqrt(difference / norm);
}
