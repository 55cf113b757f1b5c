/* wrong_clock.c: an LD_PRELOAD library for a node whose clock is an hour ahead. */
#include <time.h>

time_t time(time_t *stored)
{
    struct timespec now;
    clock_gettime(CLOCK_REALTIME, &now);
    now.tv_sec += 3600;
    if (stored) *stored = now.tv_sec;
    return now.tv_sec;
}
