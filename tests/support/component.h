/* component.h: runs a network of a tiny model on the inputs that tests/golden/make_golden.py
 * stored, and compares its outputs with what PyTorch computed. */
#pragma once

#include "exec/exec.h"
#include "model/clip.h"
#include "model/folder.h"
#include "model/unet.h"
#include "model/vae.h"

typedef struct {
    const soda_backend *backend;
    soda_dtype dtype;
    soda_folder *folder;
    soda_safetensors *golden;
} component_model;

/* Opens tests/golden/tiny-FAMILY and FAMILY-components.safetensors. Failures fail the test. */
void component_open(component_model *model, const char *family, const soda_backend *backend,
                    soda_dtype dtype);
void component_close(component_model *model);

/* One graph, ready to run. */
typedef struct {
    const component_model *model;
    folder_weights file;
    soda_residency *residency;
    soda_graph *graph;
    soda_exec *exec;
    soda_builder builder;
} component_run;

/* Opens the component's weights for `run->builder`, which the caller then builds with. */
void component_start(component_run *run, const component_model *model, folder_component component);

/* Plans the graph that was built. */
void component_ready(component_run *run);
void component_end(component_run *run);

/* Tensor CASE.NAME of the golden file; fails the test if there is none. */
const safetensors_tensor *component_tensor(const component_model *model, const char *at,
                                           const char *name);

/* Writes input NAME from CASE.NAME; rank 4 goes from [N,C,H,W] to [N,H,W,C]. */
void component_write(component_run *run, const char *at, const char *name);

/* Fails unless the relative L2 distance of output NAME from CASE.NAME is within the bound of the
 * graph's type: fp32 3e-5, bf16 1.5 times what PyTorch's own bf16 was off. */
void component_check(component_run *run, const char *at, const char *name);
