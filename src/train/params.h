/* params.h: the trainable tensors of a run, with gradients and optimizer state, and one step.
 *
 * Flat fp32 arrays in the memory of the backend's device, tensor after tensor in the order of the
 * layers (those of a layer as its method lists them), zeros between them where the device wants
 * tensors aligned: what is reduced over ranks, clipped, stepped and stored is one range. Networks
 * read and write these arrays where they lie. */
#pragma once

#include "adapter/layers.h"
#include "backend/recorded.h"
#include "exec/exec.h"
#include "optim/adamw.h"
#include "optim/stiefel.h"

typedef struct {
    char *name; /* "unet. ... .to_q.soda.R1" */
    soda_shape shape;
    int64_t offset, count; /* into the arrays below */
    method_class class;    /* which optimizer moves it */
} params_tensor;

typedef struct {
    float *value;    /* [length] */
    float *gradient; /* [length + 1] of the loss, and behind it the loss itself */
    float *first;    /* [length] rotation: the skew momentum Y; spectrum: AdamW's m */
    float *second;   /* [length] second moments; stays zero under rotation SGD */
} params_arrays;

/* What a step finds. */
typedef struct {
    double gradient_norm; /* before clipping; not finite: the step changed nothing */
    double orthogonality; /* largest ||R'R - I||_F of all factors, after the step */
    float loss;           /* behind the gradients */
} params_report;

/* Checksums of the arrays that steps change: core/checksum.h. */
typedef struct {
    uint64_t value, first, second;
} params_sums;

typedef struct {
    params_tensor *tensors;
    int count, each; /* of all layers, of one */
    int64_t total;   /* trainable numbers */
    int64_t length;  /* of the arrays */
    const soda_backend *backend;
    params_arrays at;   /* on the device */
    params_arrays host; /* the same memory if it is the host's, else a copy: see params_fetch */
    update_rotations *rotations;
    update_vectors *spectra;
    update_rules *rules;    /* on the device */
    params_report *report;  /* of the step that is recorded */
    recorded_work recorded; /* the step */
} soda_params;

/* The tensors of `layers` (kept only during the call), as their method starts them. */
soda_status params_create(soda_layers *layers, const method_options *options,
                          const soda_backend *backend, soda_params *params);
void params_destroy(soda_params *params); /* accepts a zeroed struct */

/* Bytes of all arrays on the device. */
size_t params_bytes(const soda_params *params);

/* Copies all arrays from the device to `host`, after a step or a run; and back, after the caller
 * wrote to `host`. */
soda_status params_fetch(soda_params *params);
soda_status params_push(soda_params *params);

/* What of `graph` lies in the arrays: its params, and with `gradients` also their gradients and its
 * output "loss". *list is malloc'ed. fp64 values have no place in them and are left out.
 * SODA_ERR_INTERNAL if the graph has a param that is not one of these tensors. The networks want
 * exec_params_changed after each change of values. */
soda_status params_bind(const soda_params *params, const soda_graph *graph, bool gradients,
                        exec_binding **list, int *count);

/* The values on the host of layer `layer`, in the order of its method's tensors. */
void params_layer(const soda_params *params, int layer, const float *values[METHOD_TENSORS]);

/* The tensor called `name`, NULL if there is none. */
const params_tensor *params_find(const soda_params *params, const char *name);

/* The tensor that holds element `index` of the flat arrays. */
const params_tensor *params_at(const soda_params *params, int64_t index);

typedef struct {
    stiefel_options rotation;
    adamw_options spectrum;
    double clip; /* 0: off */
} params_options;

/* Step t = 1, 2, ...: clips the gradients to one norm, then moves every tensor; both learning
 * rates are times lr_factor. Local to a rank: gradients are already summed. The report is on the
 * device, and nothing waits. */
soda_status params_step(soda_params *params, const params_options *options, int64_t t,
                        double lr_factor, params_report *report);

/* The sums are on the device, and nothing waits. */
soda_status params_sum(const soda_params *params, params_sums *sums);

/* SODA_ERR_NUMERIC names the first tensor whose gradient was not finite in the last step; SODA_OK
 * if its report, here on the host, has a norm. */
soda_status params_check(soda_params *params, const params_report *report);
