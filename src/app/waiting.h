/* waiting.h: how long threads of OpenMP spin before they sleep, where GNU's library is used. */
#pragma once

#include <stdbool.h>

/* Sets GOMP_SPINCOUNT unless the user chose it or OMP_WAIT_POLICY: to 0 if more processes want to
 * run than the machine has cores, else to what takes 20 us, about as long as sleeping and waking.
 * Libgomp reads its environment only as it is loaded, so the program then starts itself again with
 * these arguments, in this process; 8 to 15 ms. Returns where nothing is to be done or that fails.
 * First thing in main.
 *
 * By default libgomp spins 300,000 times: 5 to 20 ms, the whole time slice of a thread whose
 * partner waits for a core that another process uses. Pictures per second of the bundled model on
 * two cores of a Xeon, two threads, alone: 3.0 by default and with 20 us, 2.5 with 0. Beside ten
 * busy loops: below 0.13 by default, 0.24 with 20 us, 0.40 with 0; 0.37 with one thread. */
void waiting_limit_spin(char **argv);

/* Whether this line of /proc/loadavg counts more running tasks than `cores`. */
bool waiting_is_shared(const char *loadavg, long cores);
