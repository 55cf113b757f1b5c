/* A libcusim that was built with AVX2 and FMA says so on a CPU that lacks them. Compiled without.
 */
#include <unistd.h>

__attribute__((constructor(101))) static void check_cpu(void)
{
#ifdef CUSIM_AVX2
    static const char message[] =
        "cusim: error: this CPU lacks AVX2 or FMA, with which the simulator was built: configure "
        "and build it on this machine\n";
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return;
    if (write(STDERR_FILENO, message, sizeof message - 1)) _exit(86);
    _exit(86);
#endif
}
