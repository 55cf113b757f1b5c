#include "backend/cpu/onednn.h"

#include <pthread.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>

/* One CPU engine and one in-order stream serve the process; they hold no memory to speak of. */
static pthread_once_t once = PTHREAD_ONCE_INIT;
static dnnl_status_t start_status;
static dnnl_engine_t engine;
static dnnl_stream_t stream;

static void start(void)
{
    start_status = dnnl_engine_create(&engine, dnnl_cpu, 0);
    if (start_status == dnnl_success)
        start_status = dnnl_stream_create(&stream, engine, dnnl_stream_default_flags);
}

soda_status onednn_status(dnnl_status_t status, const char *what)
{
    switch (status) {
    case dnnl_success: return SODA_OK;
    case dnnl_out_of_memory: return FAIL(SODA_ERR_MEMORY, "out of memory: oneDNN %s", what);
    case dnnl_unimplemented:
        return FAIL(SODA_ERR_UNSUPPORTED, "oneDNN has no %s for these shapes on this CPU", what);
    default: return FAIL(SODA_ERR_INTERNAL, "oneDNN %s: status %d", what, (int)status);
    }
}

bool onednn_allows(dnnl_cpu_isa_t isa)
{
    return ((int)dnnl_get_effective_cpu_isa() & (int)isa) == (int)isa;
}

/* oneDNN 2.6 generates code through a null pointer when there is no memory for it (256 KiB for each
 * of a primitive's kernels): whether there is some is asked first. */
static soda_status want_room(void)
{
    enum { ROOM = 8 << 20 };
    void *room = mmap(NULL, ROOM, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (room == MAP_FAILED) return FAIL(SODA_ERR_MEMORY, "out of memory: oneDNN primitive");
    munmap(room, ROOM);
    return SODA_OK;
}

soda_status onednn_create(onednn_op *op, const_dnnl_op_desc_t descriptor)
{
    memset(op, 0, sizeof *op);
    pthread_once(&once, start);
    TRY(onednn_status(start_status, "engine"));
    TRY(want_room());
    dnnl_primitive_attr_t attr;
    TRY(onednn_status(dnnl_primitive_attr_create(&attr), "attributes"));
    dnnl_status_t d = dnnl_primitive_attr_set_scratchpad_mode(attr, dnnl_scratchpad_mode_user);
    if (d == dnnl_success)
        d = dnnl_primitive_desc_create(&op->desc, descriptor, attr, engine, NULL);
    if (d == dnnl_success) d = dnnl_primitive_create(&op->primitive, op->desc);
    dnnl_primitive_attr_destroy(attr);
    return onednn_status(d, "primitive");
}

const dnnl_memory_desc_t *onednn_layout(const onednn_op *op, int arg)
{
    return dnnl_primitive_desc_query_md(op->desc, dnnl_query_exec_arg_md, arg);
}

size_t onednn_scratch_bytes(const onednn_op *op)
{
    const dnnl_memory_desc_t *md = onednn_layout(op, DNNL_ARG_SCRATCHPAD);
    return md ? dnnl_memory_desc_get_size(md) : 0;
}

soda_status onednn_bind(onednn_op *op, int arg, void *data)
{
    dnnl_memory_t memory;
    const dnnl_memory_desc_t *md = onednn_layout(op, arg);
    if (op->args == ONEDNN_MAX_ARGS || !md)
        return FAIL(SODA_ERR_INTERNAL, "oneDNN argument %d cannot be bound", arg);
    TRY(onednn_status(dnnl_memory_create(&memory, md, engine, data), "memory"));
    op->arg[op->args++] = (dnnl_exec_arg_t){.arg = arg, .memory = memory};
    return SODA_OK;
}

soda_status onednn_point(const onednn_op *op, int index, void *data)
{
    return onednn_status(dnnl_memory_set_data_handle(op->arg[index].memory, data), "memory");
}

soda_status onednn_run(const onednn_op *op)
{
    TRY(onednn_status(dnnl_primitive_execute(op->primitive, stream, op->args, op->arg), "run"));
    return onednn_status(dnnl_stream_wait(stream), "run");
}

void onednn_destroy(onednn_op *op)
{
    for (int i = 0; i < op->args; i++) dnnl_memory_destroy(op->arg[i].memory);
    dnnl_primitive_destroy(op->primitive);
    dnnl_primitive_desc_destroy(op->desc);
    memset(op, 0, sizeof *op);
}

uint64_t onednn_form(const dnnl_memory_desc_t *layout)
{
    const dnnl_blocking_desc_t *b = &layout->format_desc.blocking;
    uint64_t words[4 * DNNL_MAX_NDIMS + 3], h = 0xcbf29ce484222325u; /* FNV-1a */
    int n = 0;
    words[n++] = (uint64_t)layout->format_kind;
    words[n++] = (uint64_t)layout->data_type;
    words[n++] = (uint64_t)b->inner_nblks;
    for (int i = 0; i < layout->ndims; i++) {
        words[n++] = (uint64_t)layout->padded_dims[i];
        words[n++] = (uint64_t)b->strides[i];
    }
    for (int i = 0; i < b->inner_nblks; i++) {
        words[n++] = (uint64_t)b->inner_blks[i];
        words[n++] = (uint64_t)b->inner_idxs[i];
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
