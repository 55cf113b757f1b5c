#include "backend/cpu/onednn.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

#include "backend/cpu/onednn_versions.h"
#include "core/isa.h"

static const int name_of[ONEDNN_ARGS] = {
    [ONEDNN_SRC] = DNNL_ARG_SRC,
    [ONEDNN_WEIGHTS] = DNNL_ARG_WEIGHTS,
    [ONEDNN_BIAS] = DNNL_ARG_BIAS,
    [ONEDNN_DST] = DNNL_ARG_DST,
    [ONEDNN_SCRATCH] = DNNL_ARG_SCRATCHPAD,
};

/* One CPU engine and one in-order stream serve the process; they hold no memory to speak of. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_status_t start_status;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

/* Holds oneDNN to the level of core/isa.h; it refuses once it has generated code. Its least is
 * SSE4.1. */
static dnnl_status_t limit(void)
{
#if defined(__x86_64__)
    static const dnnl_cpu_isa_t most[ISA_LEVELS] = {
        dnnl_cpu_isa_sse41, dnnl_cpu_isa_avx2, dnnl_cpu_isa_avx512_core,
        dnnl_cpu_isa_avx512_core_bf16, dnnl_cpu_isa_avx512_core_amx};
    return dnnl_set_max_cpu_isa(most[isa_now()]);
#else
    return dnnl_success;
#endif
}

static void start(void)
{
    start_status = limit();
    if (start_status == dnnl_success) start_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (start_status == dnnl_success)
        start_status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

/* SODA_OK, or a failure that names `what` was tried. */
static soda_status status_of(dnnl_status_t status, const char *what)
{
    switch (status) {
    case dnnl_success: return SODA_OK;
    case dnnl_out_of_memory: return FAIL(SODA_ERR_MEMORY, "out of memory: oneDNN %s", what);
    case dnnl_unimplemented:
        return FAIL(SODA_ERR_UNSUPPORTED, "oneDNN has no %s for these shapes on this CPU", what);
    default: return FAIL(SODA_ERR_INTERNAL, "oneDNN %s: status %d", what, (int)status);
    }
}

/* oneDNN 2.6 generates code through a null pointer when there is no memory for it (256 KiB for each
 * of a primitive's kernels): whether there is some is asked first. Its matrix product without
 * AVX-512 generates when it first runs. */
static soda_status want_room(void)
{
    enum { ROOM = 8 << 20 };
    void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return FAIL(SODA_ERR_MEMORY, "out of memory: oneDNN primitive");
    munmap(room, ROOM);
    return SODA_OK;
}

static soda_status begin(onednn_op *op, onednn_setting *set)
{
    memset(op, 0, sizeof *op);
    pthread_once(&once, start);
    TRY(status_of(start_status, "engine"));
    TRY(want_room());
    set->engine = engine;
    TRY(status_of(dnnl_primitive_attr_create(&set->attr), "attributes"));
    const dnnl_scratchpad_mode_t mode = dnnl_scratchpad_mode_user;
    const dnnl_status_t d = dnnl_primitive_attr_set_scratchpad_mode(set->attr, mode);
    if (d != dnnl_success) dnnl_primitive_attr_destroy(set->attr);
    return status_of(d, "attributes");
}

/* `described`: how describing op->desc went. */
static soda_status finish(onednn_op *op, onednn_setting *set, onednn_md *md,
                          dnnl_status_t described)
{
    dnnl_status_t d = described;
    if (d == dnnl_success) d = dnnl_primitive_create(&op->primitive, op->desc);
    dnnl_primitive_attr_destroy(set->attr);
    for (int i = 0; i < MDS; i++) md_free(&md[i]);
    return status_of(d, "primitive");
}

static dnnl_data_type_t type_of(soda_dtype dtype)
{
    return dtype == SODA_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_data_type_t bias_type(onednn_bias bias)
{
    return bias == ONEDNN_BIAS_BF16 ? dnnl_bf16 : dnnl_f32;
}

static dnnl_status_t set_matrix(onednn_md *md, int64_t rows, int64_t columns, soda_dtype dtype,
                                onednn_order order)
{
    static const dnnl_format_tag_t tag[] = {
        [ONEDNN_ROWS] = dnnl_ab, [ONEDNN_COLUMNS] = dnnl_ba, [ONEDNN_ANY] = dnnl_format_tag_any};
    const dnnl_dims_t dims = {rows, columns};
    return md_set(md, 2, dims, type_of(dtype), tag[order]);
}

soda_status onednn_create_matmul(onednn_op *op, const onednn_matmul *a)
{
    onednn_setting set;
    onednn_md md[MDS] = {0};
    TRY(begin(op, &set));
    dnnl_status_t d = set_matrix(&md[MD_SRC], a->m, a->k, a->in, a->x);
    if (d == dnnl_success) d = set_matrix(&md[MD_WEIGHTS], a->k, a->n, a->in, a->w);
    if (d == dnnl_success) d = set_matrix(&md[MD_DST], a->m, a->n, a->out, ONEDNN_ROWS);
    if (d == dnnl_success && a->bias != ONEDNN_NO_BIAS)
        d = md_set(&md[MD_BIAS], 2, (dnnl_dims_t){1, a->n}, bias_type(a->bias), dnnl_ab);
    if (d == dnnl_success) d = matmul_describe(&op->desc, md, &set);
    return finish(op, &set, md, d);
}

static dnnl_status_t set_picture(onednn_md *md, int64_t n, int64_t c, int64_t h, int64_t w,
                                 soda_dtype dtype)
{
    return md_set(md, 4, (dnnl_dims_t){n, c, h, w}, type_of(dtype), dnnl_nhwc);
}

soda_status onednn_create_convolution(onednn_op *op, const conv2d_form *f, onednn_bias bias)
{
    const dnnl_dims_t kernel = {f->out, f->in, f->kh, f->kw};
    const conv_window window = {.strides = {f->stride, f->stride},
                                .before = {f->top, f->left},
                                .after = {f->bottom, f->right}};
    onednn_setting set;
    onednn_md md[MDS] = {0};
    TRY(begin(op, &set));
    dnnl_status_t d = set_picture(&md[MD_SRC], f->n, f->in, f->h, f->w, f->dtype);
    if (d == dnnl_success) d = set_picture(&md[MD_DST], f->n, f->out, f->oh, f->ow, f->dtype);
    if (d == dnnl_success)
        d = md_set(&md[MD_WEIGHTS], 4, kernel, type_of(f->dtype), dnnl_format_tag_any);
    if (d == dnnl_success && bias != ONEDNN_NO_BIAS)
        d = md_set(&md[MD_BIAS], 1, (dnnl_dims_t){f->out}, bias_type(bias), dnnl_a);
    if (d == dnnl_success) d = conv_describe(&op->desc, md, &window, &set);
    return finish(op, &set, md, d);
}

static const_dnnl_memory_desc_t md_of(const onednn_op *op, onednn_arg arg)
{
    return dnnl_primitive_desc_query_md(op->desc, dnnl_query_exec_arg_md, name_of[arg]);
}

soda_status onednn_layout_of(const onednn_op *op, onednn_arg arg, onednn_layout *layout)
{
    const const_dnnl_memory_desc_t md = md_of(op, arg);
    md_fields f;
    if (!md) return FAIL(SODA_ERR_INTERNAL, "oneDNN has no argument %d", (int)arg);
    TRY(status_of(md_read(md, &f), "layout"));
    if (f.kind != dnnl_blocked || f.rank > SODA_MAX_RANK || f.blocks > ONEDNN_MAX_BLOCKS)
        return FAIL(SODA_ERR_INTERNAL, "oneDNN chose a layout of kind %d", (int)f.kind);
    *layout = (onednn_layout){.dtype = f.type == dnnl_f32 ? SODA_F32 : SODA_BF16,
                              .rank = f.rank,
                              .blocks = f.blocks,
                              .bytes = dnnl_memory_desc_get_size(md)};
    for (int i = 0; i < f.rank; i++) {
        layout->dim[i] = (*f.dims)[i];
        layout->stride[i] = (*f.strides)[i];
    }
    for (int i = 0; i < f.blocks; i++) {
        layout->block[i] = (*f.block)[i];
        layout->block_axis[i] = (*f.axis)[i];
    }
    return SODA_OK;
}

size_t onednn_scratch_bytes(const onednn_op *op)
{
    const const_dnnl_memory_desc_t md = md_of(op, ONEDNN_SCRATCH);
    return md ? dnnl_memory_desc_get_size(md) : 0;
}

soda_status onednn_bind(onednn_op *op, onednn_arg arg, void *data)
{
    const const_dnnl_memory_desc_t md = md_of(op, arg);
    if (op->memory[arg] || !md)
        return FAIL(SODA_ERR_INTERNAL, "oneDNN argument %d cannot be bound", (int)arg);
    return status_of(dnnl_memory_create(&op->memory[arg], md, engine, data), "memory");
}

soda_status onednn_point(const onednn_op *op, onednn_arg arg, void *data)
{
    return status_of(dnnl_memory_set_data_handle(op->memory[arg], data), "memory");
}

soda_status onednn_run(onednn_op *op)
{
    if (!op->ran) TRY(want_room());
    op->ran = true;
    dnnl_exec_arg_t args[ONEDNN_ARGS];
    int n = 0;
    for (int i = 0; i < ONEDNN_ARGS; i++)
        if (op->memory[i])
            args[n++] = (dnnl_exec_arg_t){.arg = name_of[i], .memory = op->memory[i]};
    TRY(status_of(dnnl_primitive_execute(op->primitive, stream, n, args), "run"));
    return status_of(dnnl_stream_wait(stream), "run");
}

void onednn_destroy(onednn_op *op)
{
    for (int i = 0; i < ONEDNN_ARGS; i++) dnnl_memory_destroy(op->memory[i]);
    dnnl_primitive_destroy(op->primitive);
    dnnl_primitive_desc_destroy(op->desc);
    memset(op, 0, sizeof *op);
}

uint64_t onednn_form(const onednn_layout *layout)
{
    uint64_t words[2 * SODA_MAX_RANK + 2 * ONEDNN_MAX_BLOCKS + 3];
    uint64_t h = 0xcbf29ce484222325u; /* FNV-1a */
    int n = 0;
    words[n++] = (uint64_t)layout->dtype;
    words[n++] = (uint64_t)layout->blocks;
    words[n++] = layout->bytes;
    for (int i = 0; i < layout->rank; i++) {
        words[n++] = (uint64_t)layout->dim[i];
        words[n++] = (uint64_t)layout->stride[i];
    }
    for (int i = 0; i < layout->blocks; i++) {
        words[n++] = (uint64_t)layout->block[i];
        words[n++] = (uint64_t)layout->block_axis[i];
    }
    for (int i = 0; i < n; i++)
        for (int byte = 0; byte < 8; byte++)
            h = (h ^ (words[i] >> 8 * byte & 0xff)) * 0x100000001b3u;
    return h;
}

void onednn_text(char *text, size_t size)
{
    const dnnl_version_t *version = dnnl_version();
    snprintf(text, size, "oneDNN %d.%d.%d", version->major, version->minor, version->patch);
}
