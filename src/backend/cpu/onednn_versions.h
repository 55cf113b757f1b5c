/* onednn_versions.h: what differs between the C interfaces of oneDNN 2.6 and 3.x, for onednn.c
 * alone. In 2.x a memory descriptor is a struct with open fields, and a primitive is described in
 * two steps. In 3.x it is a handle with queries, and the first step is gone. */
#pragma once

#include <dnnl.h>
#include <string.h>

#include "backend/cpu/onednn.h"

/* Memory descriptors of a primitive: md_set fills one, an empty one (all zero) stands for a bias
 * that is not there. */
enum { MD_SRC, MD_WEIGHTS, MD_BIAS, MD_DST, MDS };

typedef struct {
    dnnl_dims_t strides, before, after;
} conv_window;

typedef struct {
    dnnl_engine_t engine;
    dnnl_primitive_attr_t attr;
} onednn_setting;

/* What md_read finds; the arrays belong to the descriptor. */
typedef struct {
    dnnl_format_kind_t kind;
    dnnl_data_type_t type;
    int rank, blocks;
    const dnnl_dims_t *dims, *strides, *block, *axis;
} md_fields;

#if DNNL_VERSION_MAJOR >= 3

typedef struct {
    dnnl_memory_desc_t handle;
} onednn_md;

static inline dnnl_status_t md_set(onednn_md *md, int rank, const dnnl_dims_t dims,
                                   dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_create_with_tag(&md->handle, rank, dims, type, tag);
}

static inline void md_free(onednn_md *md) { dnnl_memory_desc_destroy(md->handle); }

static inline dnnl_status_t matmul_describe(dnnl_primitive_desc_t *desc, const onednn_md *md,
                                            const onednn_setting *set)
{
    return dnnl_matmul_primitive_desc_create(desc, set->engine, md[MD_SRC].handle,
                                             md[MD_WEIGHTS].handle, md[MD_BIAS].handle,
                                             md[MD_DST].handle, set->attr);
}

static inline dnnl_status_t conv_describe(dnnl_primitive_desc_t *desc, const onednn_md *md,
                                          const conv_window *window, const onednn_setting *set)
{
    const dnnl_dims_t dense = {0, 0};
    return dnnl_convolution_forward_primitive_desc_create(
        desc, set->engine, dnnl_forward_inference, dnnl_convolution_direct, md[MD_SRC].handle,
        md[MD_WEIGHTS].handle, md[MD_BIAS].handle, md[MD_DST].handle, window->strides, dense,
        window->before, window->after, set->attr);
}

static inline dnnl_status_t md_read(const_dnnl_memory_desc_t md, md_fields *f)
{
    const struct {
        dnnl_query_t what;
        void *result;
    } query[] = {{dnnl_query_format_kind, &f->kind},       {dnnl_query_data_type, &f->type},
                 {dnnl_query_ndims_s32, &f->rank},         {dnnl_query_dims, &f->dims},
                 {dnnl_query_inner_nblks_s32, &f->blocks}, {dnnl_query_strides, &f->strides},
                 {dnnl_query_inner_blks, &f->block},       {dnnl_query_inner_idxs, &f->axis}};
    dnnl_status_t d = dnnl_success;
    for (size_t i = 0; i < sizeof query / sizeof *query && d == dnnl_success; i++)
        d = dnnl_memory_desc_query(md, query[i].what, query[i].result);
    return d;
}

#else

typedef const dnnl_memory_desc_t *const_dnnl_memory_desc_t;

typedef struct {
    dnnl_memory_desc_t open;
} onednn_md;

static inline dnnl_status_t md_set(onednn_md *md, int rank, const dnnl_dims_t dims,
                                   dnnl_data_type_t type, dnnl_format_tag_t tag)
{
    return dnnl_memory_desc_init_by_tag(&md->open, rank, dims, type, tag);
}

static inline void md_free(onednn_md *md) { memset(md, 0, sizeof *md); }

static inline const dnnl_memory_desc_t *md_bias(const onednn_md *md)
{
    return md[MD_BIAS].open.ndims ? &md[MD_BIAS].open : NULL;
}

static inline dnnl_status_t matmul_describe(dnnl_primitive_desc_t *desc, const onednn_md *md,
                                            const onednn_setting *set)
{
    dnnl_matmul_desc_t op;
    const dnnl_status_t d = dnnl_matmul_desc_init(&op, &md[MD_SRC].open, &md[MD_WEIGHTS].open,
                                                  md_bias(md), &md[MD_DST].open);
    return d == dnnl_success ? dnnl_primitive_desc_create(desc, &op, set->attr, set->engine, NULL)
                             : d;
}

static inline dnnl_status_t conv_describe(dnnl_primitive_desc_t *desc, const onednn_md *md,
                                          const conv_window *window, const onednn_setting *set)
{
    dnnl_convolution_desc_t op;
    const dnnl_status_t d = dnnl_convolution_forward_desc_init(
        &op, dnnl_forward_inference, dnnl_convolution_direct, &md[MD_SRC].open,
        &md[MD_WEIGHTS].open, md_bias(md), &md[MD_DST].open, window->strides, window->before,
        window->after);
    return d == dnnl_success ? dnnl_primitive_desc_create(desc, &op, set->attr, set->engine, NULL)
                             : d;
}

static inline dnnl_status_t md_read(const_dnnl_memory_desc_t md, md_fields *f)
{
    const dnnl_blocking_desc_t *b = &md->format_desc.blocking;
    *f = (md_fields){.kind = md->format_kind,
                     .type = md->data_type,
                     .rank = md->ndims,
                     .blocks = b->inner_nblks,
                     .dims = &md->dims,
                     .strides = &b->strides,
                     .block = &b->inner_blks,
                     .axis = &b->inner_idxs};
    return dnnl_success;
}

#endif
