/* Inside of the simulator: what its files share. README.md says what is modelled.
 *
 * A kernel's PTX is parsed once into instructions that name rows of registers; a row is one
 * register of the 32 lanes of a warp, 32-bit words for types up to 32 bits (16-bit values in the
 * low half, predicates 0 or 1), 64-bit words for the others. Constants and special registers are
 * rows too.
 *
 * Device and pinned memory have two addresses: the one handed out, at which host code cannot touch
 * device memory, and the same memory sim_alias bytes higher, which the simulator uses. */
#ifndef SIM_H
#define SIM_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "counters.h"
#include "driver_types.h"

enum { SIM_LANES = 32, SIM_ROWS = 16, SIM_SHARED = 512 * 1024, SIM_GAP = 128 };
#ifndef SIM_ARENA_BITS /* TSan has room for less: CMakeLists.txt */
#define SIM_ARENA_BITS 40
#endif
#define SIM_ARENA ((size_t)1 << SIM_ARENA_BITS)
#define SIM_FULL 0xffffffffu

/* ---- report.c: options and errors ---- */
typedef enum { ORDER_FORWARD, ORDER_REVERSE, ORDER_RANDOM } sim_order;
typedef enum { STREAMS_EAGER, STREAMS_LAZY, STREAMS_RANDOM } sim_streams;

typedef struct {
    bool check;          /* CUSIM_CHECK, 1 unless it is 0 */
    bool stat;           /* CUSIM_STAT */
    uint64_t sample;     /* CUSIM_SAMPLE: how many blocks of a launch run, 0: all */
    sim_order order;     /* CUSIM_SCHED: of blocks and of warps */
    sim_streams streams; /* CUSIM_STREAMS */
} sim_options;

const sim_options *sim_option(void);
uint64_t sim_random(void); /* a fixed sequence for each CUSIM_SEED */

/* One message with kernel, block, thread and line if a kernel runs; exit code 86. */
_Noreturn void sim_die(const char *format, ...) __attribute__((format(printf, 1, 2)));
void *sim_alloc(size_t bytes); /* zeroed; dies without memory */
void *sim_grow(void *memory, size_t bytes);
/* Makes room for one more element of `size` bytes; capacities are powers of two. */
void *sim_push(void *array, size_t count, size_t size);

/* ---- fault.c: calls that fail ---- */
typedef enum {
    SIM_ALLOC,
    SIM_LAUNCH,
    SIM_KERNEL, /* while it runs */
    SIM_COPY,
    SIM_QUEUE, /* streams, events, graphs */
    SIM_BLAS,
    SIM_SOLVER,
    SIM_NCCL, /* a collective; nccl_sim.h has other faults */
    SIM_CALLS
} sim_call;
bool sim_fails(sim_call kind); /* counts the call */
bool sim_lost(void);           /* a kernel failed: nothing goes any more */

/* ---- memory.c: device and pinned memory ---- */
typedef struct sim_cell sim_cell;
struct sim_sector;
typedef struct {
    char *base;    /* as handed out */
    size_t size;   /* as asked for */
    size_t mapped; /* whole pages, from `map` on */
    char *map;
    bool device; /* else pinned host memory */
    bool freed;
    unsigned id;                /* counts allocations from 1 */
    uint8_t *init;              /* with checks: one flag for each byte */
    sim_cell *cells;            /* with checks: see shadow.c */
    int grain;                  /* a cell covers 1 << grain bytes */
    struct sim_sector *sectors; /* with checks and several streams: see order.c */
} sim_memory;

extern ptrdiff_t sim_alias; /* device address + sim_alias: where the simulator reads and writes */
extern char *sim_arena;

/* Device memory when `device`, else pinned; NULL without memory (or by CUSIM_MEMORY). */
void *sim_memory_new(size_t bytes, bool device);
cudaError_t sim_memory_free(void *base, bool device);
sim_memory *sim_memory_find(const void *address); /* freed ones too; NULL if in none */
size_t sim_memory_free_bytes(void);
size_t sim_memory_total_bytes(void);
static inline bool sim_in_arena(const void *p)
{
    return (size_t)((uintptr_t)p - (uintptr_t)sim_arena) < SIM_ARENA;
}
/* Device memory that lives as long as the program (module variables), initialised. */
void *sim_memory_static(size_t bytes);
/* Dies unless [p, p + n) is in one live allocation; where the simulator may touch it. */
char *sim_memory_range(const void *p, size_t n, const char *what);
/* By a copy or a library: device memory is initialised now, or dies if it is not. */
void sim_memory_written(const void *p, size_t n);
void sim_memory_read(const void *p, size_t n, const char *what);

/* ---- kernels: parse.c, decode.c, lanes_*.c ---- */
typedef enum {
    KIND_PLAIN,
    KIND_BRANCH,
    KIND_SWITCH,
    KIND_RETURN,
    KIND_BARRIER,
    KIND_WARP
} sim_kind;
typedef enum {
    SPACE_GENERIC,
    SPACE_GLOBAL,
    SPACE_SHARED,
    SPACE_LOCAL,
    SPACE_PARAM,
    SPACE_CONST
} sim_space;

typedef struct sim_warp sim_warp;
typedef struct sim_insn sim_insn;
typedef struct { /* sectors of 32 bytes, or passes over shared memory */
    uint64_t moved, needed;
} sim_traffic;
typedef void sim_handler(sim_warp *w, const sim_insn *i, uint32_t mask);

struct sim_insn {
    sim_handler *run;
    uint32_t row[SIM_ROWS]; /* byte offsets of rows in a warp's registers; [0] is the destination */
    uint32_t wide;          /* bit n: row n has 64-bit words */
    int32_t guard;          /* row of the predicate, -1: none */
    bool guard_not;
    uint8_t kind;    /* sim_kind */
    uint8_t rows;    /* in use */
    uint8_t space;   /* sim_space */
    uint8_t size;    /* bytes of one element in memory */
    uint8_t count;   /* elements of a vector */
    uint8_t sign;    /* loads extend the sign */
    uint8_t flags;   /* meaning is the handler's */
    int32_t address; /* row of the address, -1: offset alone */
    bool address_wide;
    bool write, atomic; /* what shadow.c checks */
    int64_t offset;
    int32_t target;   /* of a branch: instruction; of a switch: first of kernel->targets */
    int32_t targets;  /* of a switch: how many */
    uint32_t members; /* KIND_WARP: row of the mask of lanes, or UINT32_MAX: all */
    const char *text;
    int file, line, ptx_line;    /* of the source, 0: unknown; of the PTX */
    uint64_t runs;               /* CUSIM_STAT, and what follows */
    sim_traffic traffic, source; /* source: what cp.async reads */
};

typedef struct {
    uint32_t row;
    bool wide;
    uint64_t value;
} sim_constant;
typedef struct {
    uint32_t row;
    int which;
    uint64_t offset;
} sim_special;
typedef struct {
    uint32_t offset, size;
    char *name;
} sim_array;

enum { /* special registers, in the order of sim_special_names (parse.c) */
       SPECIAL_TID,
       SPECIAL_NTID = 3,
       SPECIAL_CTAID = 6,
       SPECIAL_NCTAID = 9,
       SPECIAL_LANE = 12,
       SPECIAL_WARP,
       SPECIAL_LANE_EQ,
       SPECIAL_LANE_LT,
       SPECIAL_LANE_LE,
       SPECIAL_LANE_GT,
       SPECIAL_LANE_GE,
       SPECIAL_COUNT,
       SPECIAL_LOCAL = SPECIAL_COUNT,
       SPECIAL_DYNAMIC
};

typedef struct sim_pending sim_pending;
typedef struct {
    char *name;
    sim_pending *pending; /* text that is not read yet */
    char **files;         /* of the module: .file N */
    int file_count;
    sim_insn *code;
    int count;
    uint32_t row_bytes; /* of one warp */
    sim_constant *constants;
    int constant_count;
    sim_special *specials;
    int special_count;
    sim_array *params, *shared;
    int param_count, shared_count;
    uint32_t param_bytes, local_bytes, shared_bytes /* with gaps */, shared_used /* without */;
    int32_t *targets;
    int target_count;
    int max_threads;
    size_t dynamic_limit; /* cudaFuncAttributeMaxDynamicSharedMemorySize */
    uint64_t launches, thread_instructions;
    unsigned block_threads; /* of the largest block so far */
    size_t block_shared;    /* bytes, static and dynamic */
} sim_kernel;

/* All kernels of a PTX text; module variables get their memory. */
void sim_parse_module(const char *text, size_t length);
/* Reads the kernel's text if that has not been done. */
void sim_kernel_ready(sim_kernel *k);
sim_kernel *sim_kernel_find(const char *name);
void *sim_variable_find(const char *name, size_t *size);
int sim_kernel_count(void);
sim_kernel *sim_kernel_at(int i);

/* ---- engine.c ---- */
typedef enum { LANE_RUN, LANE_BARRIER, LANE_WARP, LANE_GONE } sim_lane_state;
typedef struct sim_async sim_async; /* lanes_async.c */

struct sim_warp {
    uint8_t *reg; /* rows; 64-byte aligned */
    int32_t pc[SIM_LANES];
    uint8_t state[SIM_LANES];
    uint32_t lanes;      /* that exist */
    unsigned index;      /* in the block */
    uint32_t warp_epoch; /* counts __syncwarp of all lanes */
    sim_async *async;
};

typedef struct {
    unsigned x, y, z;
} sim_dim;

typedef struct {
    sim_kernel *kernel;
    sim_dim grid, block, at; /* at: block that runs */
    uint64_t block_index;
    unsigned threads;
    const uint8_t *params;
    uint8_t *shared; /* window of SIM_SHARED bytes */
    uint32_t dynamic_offset, dynamic_bytes, shared_end;
    uint8_t *local;
    const sim_warp *warp; /* that runs */
    const sim_insn *insn;
    int lane; /* of the access that is checked */
} sim_running;

extern sim_running sim_now; /* kernel is NULL between launches */

/* barrier.red: lanes_warp.c; what a block's threads gave becomes everyone's result. */
void sim_barrier_reduce(sim_warp *warps, unsigned count, const sim_insn *i);
void sim_async_reset(sim_warp *w); /* lanes_async.c: cp.async */
void sim_async_release(sim_warp *w);

typedef struct { /* what a stream or graph holds of a launch; its name is the kernel's */
    sim_kernel *kernel;
    sim_dim grid, block;
    size_t shared; /* dynamic */
    uint8_t params[];
} sim_launched;

void sim_launch(sim_kernel *k, sim_dim grid, sim_dim block, size_t shared, const uint8_t *params);

/* ---- stream.c ---- */
/* Runs `run(context)` in the order of the stream; `context` is freed by the simulator. */
void sim_enqueue(cudaStream_t stream, void (*run)(void *), void *context, const char *what);
/* The last piece that was enqueued touches [p, p + n), if that is pinned memory. */
void sim_enqueued_uses(cudaStream_t stream, const void *p, size_t n, bool writes);
void sim_stream_drain(void); /* all streams */
void sim_wait_all(void);     /* so, and the host has waited for it */

/* ---- runtime.c ---- */
cudaError_t sim_fail(cudaError_t error); /* remembers it for cudaGetLastError */

/* ---- stat.c: CUSIM_STAT, CUSIM_LAUNCHED ---- */
void sim_note_launched(const char *name);
void sim_stat_access(sim_insn *i, const uint64_t *address, uint32_t mask, size_t bytes,
                     bool shared);
/* cp.async by the lanes of `mask`, of which `reads` read anything. */
void sim_stat_copy(sim_insn *i, const uint64_t *from, uint32_t reads, const uint64_t *to,
                   uint32_t mask);
sim_traffic sim_stat_sectors(const sim_kernel *k);
double sim_stat_conflicts(const sim_kernel *k); /* of its worst instruction: passes to the least */

#endif
