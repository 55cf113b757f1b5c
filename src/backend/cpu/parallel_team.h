/* parallel_team.h: the threads of OpenMP, started while there is still memory for them.
 *
 * GNU's OpenMP library (libgomp 12 to 14) ends the program where it cannot start a thread. So plain
 * threads are tried first, all at once, and the team is made as large as they allow. */
#pragma once

/* Starts a team of at most `threads` threads, the caller included, that later parallel regions of
 * this thread use; its size, at least 1. A warning says if that is less. */
int parallel_team_start(int threads);
