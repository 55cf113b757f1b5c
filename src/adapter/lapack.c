#include "adapter/lapack.h"

#include <omp.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/mman.h>

#include "core/module.h"

/* OpenBLAS and the Fortran library map 40 MiB; then 0.3.29 makes a buffer of 128 MiB as it starts,
 * and waits for ever where it finds less. */
enum { MODULE_BYTES = 192 << 20 };

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t left = PTHREAD_COND_INITIALIZER;
static const lapack_routines *loaded;
static status_slot failure; /* to load it, which is tried once */
static int room;            /* for so many more callers */

static soda_status load(void)
{
    void *test =
        mmap(NULL, MODULE_BYTES, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (test == MAP_FAILED)
        return FAIL(SODA_ERR_MEMORY, "out of memory: no %d MiB of address space for LAPACK",
                    MODULE_BYTES >> 20);
    munmap(test, MODULE_BYTES);
    /* OpenBLAS starts as many threads as this says as soon as it is loaded. */
    setenv("OPENBLAS_NUM_THREADS", "1", 1);
    const void *found;
    TRY(module_load("libsoda_lapack.so", "soda_lapack_routines", &found));
    const lapack_routines *routines = found;
    room = routines->start(omp_get_max_threads());
    if (room < 1)
        return FAIL(SODA_ERR_MEMORY, "out of memory: no address space for LAPACK's buffer");
    loaded = routines;
    return SODA_OK;
}

soda_status lapack_enter(const lapack_routines **routines)
{
    pthread_mutex_lock(&lock);
    if (!loaded && !status_kept(&failure)) status_keep(&failure, load());
    const soda_status s = status_take(&failure);
    if (s == SODA_OK) {
        while (room == 0) pthread_cond_wait(&left, &lock);
        room--;
        *routines = loaded;
    }
    pthread_mutex_unlock(&lock);
    return s;
}

void lapack_prepare(void)
{
    const lapack_routines *routines;
    if (lapack_enter(&routines) == SODA_OK)
        lapack_leave();
    else
        status_clear();
}

void lapack_leave(void)
{
    pthread_mutex_lock(&lock);
    room++;
    pthread_cond_signal(&left);
    pthread_mutex_unlock(&lock);
}
