/* adapters.h: adapters with random rotations and spectra for the layers of a small model. Failures
 * fail the test. */
#pragma once

#include "adapter/bases.h"
#include "interop/adapter_file.h"
#include "model/folder.h"
#include "train/params_adapter.h"

typedef struct {
    const soda_folder *folder;
    const soda_method *method;
    folder_weights files[3]; /* unet, text_encoder, text_encoder_2 */
    soda_targets *targets;
    soda_layers *layers; /* W0 lies in files; no bases */
    soda_params params;
} test_adapter;

/* The attention layers of the U-Net, and with `text` of the text encoders. At the identity. */
void test_adapter_open(test_adapter *t, const soda_folder *folder, const soda_method *method,
                       bool text);
void test_adapter_close(test_adapter *t);

/* Rotations by angles of about `angle` in every plane, orthogonal to fp32; delta of about
 * `shift`. */
void test_adapter_randomize(test_adapter *t, uint32_t seed, double angle, double shift);

/* The values as an adapter; and as a file that knows its base. */
soda_adapter *test_adapter_make(const test_adapter *t);
void test_adapter_write(const test_adapter *t, const char *path);
