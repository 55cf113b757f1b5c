/* What orders pieces of work in different streams, and the check of their accesses.
 *
 * A line is work that runs one piece after the other: a stream, or a branch of a graph. Its pieces
 * have numbers from 1. The past of a piece says, for each line, up to which number all work is
 * ordered before it: by its own line, by events, by the host that waited. Two accesses to the same
 * sector of 32 bytes, at least one of which writes, must be ordered so; in what order the simulator
 * happened to run them does not matter. Checked from when there are two streams. */
#ifndef SIM_ORDER_H
#define SIM_ORDER_H

#include "sim.h"

enum { SIM_LINES = 32 };

typedef struct {
    uint32_t until[SIM_LINES];
} sim_past;

typedef struct { /* a piece of work */
    sim_past past;
    uint32_t number;
    int line;
} sim_piece;

extern sim_past sim_host_past; /* of what the host enqueues now */

int sim_line_new(void); /* 0 is the default stream's */
void sim_line_free(int line);
void sim_past_join(sim_past *past, const sim_past *other);
void sim_past_all(sim_past *past); /* everything that was enqueued so far */
/* Takes `count` numbers of the line; returns the one before the first. */
uint32_t sim_line_take(int line, uint32_t count);

/* Runs `run(context)` as `piece`; `what` names it in messages. */
void sim_piece_run(const sim_piece *piece, void (*run)(void *), void *context, const char *what);
const sim_piece *sim_piece_now(void); /* NULL: host code */

/* The piece that runs touches n bytes of the allocation. Dies if nothing orders it. */
void sim_order_touch(sim_memory *m, size_t offset, size_t n, bool write);
extern bool sim_order_on;             /* there is something to check */
void sim_order_streams(size_t count); /* there are so many now */

/* ---- pinned.c ---- */
/* A piece of work will touch n bytes at p, if that is pinned memory. */
void sim_pinned_use(const void *p, size_t n, bool writes, int line, uint32_t number);
void sim_pinned_settle(void); /* the host has waited */
/* Host code touched p. Dies if that is too early; false: p is not pinned memory. */
bool sim_pinned_fault(char *p, bool write);

#endif
