/* parallel.h: the one place where our own kernels start threads.
 *
 * A kernel cuts its work into parts that do not depend on the number of threads, so results keep
 * their bits when that number changes. Tiny work stays on the calling thread: waking a team costs
 * microseconds. */
#pragma once

#include <stddef.h>
#include <stdint.h>

/* Sets the number of threads of all kernels; <= 0: as many as this process may
 * use. Counts for the calling thread and for threads that it starts later. */
void parallel_set_threads(int threads);

/* The number of threads that parallel_for may use. */
int parallel_threads(void);

/* Work on [first,last) by thread number `thread`. */
typedef void (*parallel_body)(const void *context, int thread, int64_t first, int64_t last);

/* Cuts [0,count) into at most `most` ranges whose ends are multiples of `unit`, one per thread, and
 * runs body on each; `bytes` is the memory traffic of the whole, which decides whether threads pay.
 * thread < min(most, parallel_threads()). Returns when all is done. */
void parallel_for(int64_t count, int64_t unit, size_t bytes, int most, parallel_body body,
                  const void *context);

/* No limit but the number of threads. */
enum { PARALLEL_ALL = 1 << 20 };
