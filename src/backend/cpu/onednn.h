/* onednn.h: the one door to oneDNN, 2.6 to 3.x: its status as ours, and a primitive together with
 * the memories it is run on. Only onednn.c knows <dnnl.h>, and only onednn_versions.h that versions
 * differ. Types are F32 or BF16 throughout. */
#pragma once

#include "backend/cpu/conv2d.h"
#include "core/status.h"
#include "core/tensor.h"

/* What a primitive reads and writes. */
typedef enum {
    ONEDNN_SRC,
    ONEDNN_WEIGHTS,
    ONEDNN_BIAS,
    ONEDNN_DST,
    ONEDNN_SCRATCH,
    ONEDNN_ARGS
} onednn_arg;

/* A primitive and the arguments that were bound to it. All zero is empty. */
typedef struct {
    struct dnnl_primitive_desc *desc;
    struct dnnl_primitive *primitive;
    struct dnnl_memory *memory[ONEDNN_ARGS]; /* NULL: not bound */
    bool ran;
} onednn_op;

/* Where the elements of an argument lie. Index i of an axis is cut by the blocks of that axis, the
 * last block first: i % block is a place within the block, i / block goes on to the next one, and
 * what is left counts strides. An element's offset is the sum over axes. */
enum { ONEDNN_MAX_BLOCKS = 12 };
typedef struct {
    soda_dtype dtype;
    int rank, blocks;
    size_t bytes; /* with padding */
    int64_t dim[SODA_MAX_RANK], stride[SODA_MAX_RANK];
    int64_t block[ONEDNN_MAX_BLOCKS], block_axis[ONEDNN_MAX_BLOCKS];
} onednn_layout;

/* How a matrix [rows, columns] is stored. */
typedef enum {
    ONEDNN_ROWS,    /* row after row */
    ONEDNN_COLUMNS, /* column after column */
    ONEDNN_ANY      /* as oneDNN likes it best */
} onednn_order;

typedef enum { ONEDNN_NO_BIAS, ONEDNN_BIAS_F32, ONEDNN_BIAS_BF16 } onednn_bias;

/* y [m,n] = x [m,k] w [k,n] + bias [n]; y is stored by rows. */
typedef struct {
    int64_t m, k, n;
    soda_dtype in, out; /* type of x and w, of y */
    onednn_order x, w;
    onednn_bias bias;
} onednn_matmul;

/* Creates a primitive; its scratch comes from the caller. Creating one of the same shape again is
 * cheap: oneDNN keeps what it generated. Whatever fails, op can be destroyed. */
soda_status onednn_create_matmul(onednn_op *op, const onednn_matmul *matmul);

/* The convolution of f in type f->dtype; pictures are channels-last, the kernel is as oneDNN likes
 * it best, with axes [out,in,kh,kw]. */
soda_status onednn_create_convolution(onednn_op *op, const conv2d_form *f, onednn_bias bias);

/* The layout that the primitive chose for one of its arguments. */
soda_status onednn_layout_of(const onednn_op *op, onednn_arg arg, onednn_layout *layout);

/* Bytes of scratch that a run needs. */
size_t onednn_scratch_bytes(const onednn_op *op);

/* Binds `arg`, in the layout the primitive chose, to `data`, which may be set later. */
soda_status onednn_bind(onednn_op *op, onednn_arg arg, void *data);

/* Points an argument that was bound at `data`. */
soda_status onednn_point(const onednn_op *op, onednn_arg arg, void *data);

/* Runs the primitive and waits for it. */
soda_status onednn_run(onednn_op *op);

/* Frees what op holds; accepts an empty op. */
void onednn_destroy(onednn_op *op);

/* "oneDNN 2.6.3": the library that is loaded, not the one that was compiled against. */
void onednn_text(char *text, size_t size);

/* A number that tells layouts apart: a form of the weight store. */
uint64_t onednn_form(const onednn_layout *layout);
