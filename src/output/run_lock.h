/* run_lock.h: which process may write into a run's folder.
 *
 * OUTPUT/.lock is locked (flock) by the process that writes, and holds one line, its owner:
 * "JOB ATTEMPT HOST". Batch scripts name job and attempt in SODA_JOB and SODA_ATTEMPT; without them
 * they are what Slurm or PBS says. A node that is cut off from the others may go on holding the
 * lock of a job that was started again elsewhere: the new attempt puts a file of its own in the
 * place of the old one, and the old attempt sees that before it writes. Rank 0 only. */
#pragma once

#include <stdbool.h>

#include "io/newfile.h"

typedef struct run_lock run_lock;

/* Whether OUTPUT/.lock holds something else than an owner; an empty one may be anybody's. */
bool run_lock_is_foreign(const char *output);

/* Takes the lock, also from an earlier attempt of the same job. SODA_ERR_INPUT names the owner if
 * another run holds it. Where the file system has no locks, only the line is written. */
soda_status run_lock_take(const char *output, run_lock **lock);

/* SODA_ERR_INPUT if another attempt has taken the folder over: nothing may be written any more. To
 * be called before each write. A lock that cannot be looked at, or was deleted, is no failure. */
soda_status run_lock_check(const run_lock *lock);

/* run_lock_check, to be asked by io. */
newfile_permission run_lock_permission(const run_lock *lock);

/* Releases the lock. Accepts NULL. */
void run_lock_release(run_lock *lock);
