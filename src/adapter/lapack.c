#include "adapter/lapack.h"

#include <pthread.h>

/* In OpenBLAS only: other LAPACKs go without. */
void openblas_set_num_threads(int threads) __attribute__((weak));

static void use_one_thread(void)
{
    if (openblas_set_num_threads) openblas_set_num_threads(1);
}

void lapack_use_one_thread(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, use_one_thread);
}
