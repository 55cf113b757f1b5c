/* attention_internal.h: what the attention files share: one call's sizes, and the ways to run it.
 *
 * A way (attention_path) works on independent tasks, each of which owns its outputs, so that the
 * bits do not depend on which thread takes which task. A call runs in phases with a barrier
 * between them; a phase is a number of tasks. */
#pragma once

#include "backend/backend.h"
#include "core/isa.h"
#include "core/round.h"

/* One call, its pointers included; prepare fills all but the pointers. */
typedef struct attention_job {
    int64_t batch, tq, tk, width, heads, d; /* width = heads d */
    bool causal;                            /* query i sees keys 0 .. i */
    float scale;
    soda_dtype dtype;
    int threads;
    const void *steps; /* the path's */

    const void *q, *k, *v, *o, *dout; /* o and dout: gradient only */
    const float *lse;                 /* gradient only */
    void *out[3];                     /* o; or dq, dk, dv */
    float *lse_out;
    char *shared, *own; /* scratch: of the call, and of the thread that runs the task */
} attention_job;

enum { ATTENTION_MAX_PHASES = 3 };

/* The forward or the gradient, one way. own_bytes is what each thread needs. */
typedef struct {
    size_t (*shared_bytes)(const attention_job *job);
    size_t (*own_bytes)(const attention_job *job);
    int64_t (*tasks)(const attention_job *job, int phase); /* 0: no such phase, nor later ones */
    void (*run)(const attention_job *job, int phase, int64_t task);
} attention_pass;

typedef struct {
    const char *name;
    isa_level level;   /* that it needs */
    bool bf16_only;    /* else it takes fp32 as well */
    const void *steps; /* instruction set's part, for job->steps */
    attention_pass forward, gradient;
} attention_path;

/* All paths, the fastest first, NULL at the end; the last one is always usable. */
const attention_path *const *attention_paths(void);

/* Whether `path` may run here on tensors of this type: fp32 or bf16. */
bool attention_usable(const attention_path *path, soda_dtype dtype);

/* The path that prepare takes from now on, if it is usable; NULL: the fastest. For tests. */
void attention_force(const attention_path *path);

extern const attention_path attention_amx, attention_bf16, attention_avx512, attention_avx2,
    attention_portable;

/* Passes in fp32 on a table of steps: see attention_f32.h. */
#define ATTENTION_F32_FORWARD                                                                      \
    {                                                                                              \
        attention_f32_shared, attention_f32_own, attention_f32_tasks, attention_f32_run            \
    }
#define ATTENTION_F32_GRADIENT                                                                     \
    {                                                                                              \
        attention_f32_grad_shared, attention_f32_grad_own, attention_f32_grad_tasks,               \
            attention_f32_grad_run                                                                 \
    }
size_t attention_f32_shared(const attention_job *job);
size_t attention_f32_own(const attention_job *job);
int64_t attention_f32_tasks(const attention_job *job, int phase);
void attention_f32_run(const attention_job *job, int phase, int64_t task);
size_t attention_f32_grad_shared(const attention_job *job);
size_t attention_f32_grad_own(const attention_job *job);
int64_t attention_f32_grad_tasks(const attention_job *job, int phase);
void attention_f32_grad_run(const attention_job *job, int phase, int64_t task);

/* Rows of one head as fp32: dst [rows][ld] = rows `first` .. of src [..,width], the d columns of
 * `head`; columns d .. ld are zero. */
void attention_load_rows(const attention_job *job, const void *src, int64_t first, int64_t rows,
                         int64_t head, float *dst, int64_t ld);

/* The reverse: the head's columns of those rows of dst = factor src [rows][ld]. */
void attention_store_rows(const attention_job *job, void *dst, int64_t first, int64_t rows,
                          int64_t head, const float *src, int64_t ld, float factor);

/* Cut `part` of `parts`: nearly equal numbers of whole units, the last unit may be short. */
typedef struct {
    int64_t first, rows;
} attention_range;

static inline attention_range attention_cut(int64_t rows, int64_t unit, int64_t parts, int64_t part)
{
    const int64_t units = ceil_div(rows, unit);
    const int64_t first = part * units / parts * unit, end = (part + 1) * units / parts * unit;
    return (attention_range){first, (end < rows ? end : rows) - first};
}

/* The rows of a product as nearly equal tiles of at most `most`, the higher ones first: no thin
 * tile at the end, which would wait for its own sums. */
typedef struct {
    int64_t high, low; /* tiles of rows + 1 rows, and of rows */
    int64_t rows;
} attention_tiles;

static inline attention_tiles attention_tiles_of(int64_t m, int64_t most)
{
    const int64_t count = ceil_div(m, most), rows = m / count, high = m - rows * count;
    return (attention_tiles){high, count - high, rows};
}

/* Into how many tasks, 1 .. most, each of `heads` is cut for threads to share the work. The number
 * of threads has no say: sums of the tasks' shares would round differently with it. */
static inline int64_t attention_copies(int64_t heads, int64_t most)
{
    enum { TASKS = 32 };
    return heads >= TASKS ? 1 : min64(ceil_div(TASKS, heads), most);
}
