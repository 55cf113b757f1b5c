/* run_saver.h: checkpoints and spectra of a run, written while training goes on. Rank 0 only.
 *
 * A save copies the state (three flat arrays and the history) and starts a thread that writes the
 * checkpoint, reads it back, commits it, deletes old ones, and measures and writes the spectra. One
 * save is in flight at a time. HDF5 as Debian has it is not thread safe: between run_saver_create
 * and run_saver_destroy nothing else in the program may use it, unless run_saver_poll was not
 * called since run_saver_wait.
 *
 * What cannot be written is no failure of the run: one warning, then the same copy is tried again
 * from run_saver_poll, after 1 s, 2 s, ... 60 s, until the next save takes its place; the last one
 * of a run gives it another try first. */
#pragma once

#include "output/run_lock.h"
#include "output/run_spectra.h"
#include "output/run_state.h"

/* What is saved, and where; all of it must outlive the saver. */
typedef struct {
    const run_state *state;
    soda_params *params;
    soda_layers *layers;
    const run_lock *lock; /* checked before anything is written */
    const char *metrics;  /* NULL, or a file to sync first: who resumes needs its lines */
    const char *checkpoints, *spectra; /* the folder, the file */
    int64_t keep;                      /* checkpoints */
} run_saver_target;

typedef struct run_saver run_saver;

/* `params` must have their final length. */
soda_status run_saver_create(const run_saver_target *target, run_saver **saver);

/* Whether run_saver_start would not have to wait for the disk: no save is in flight, or it measures
 * its spectra, which it ends then. Else *step is the step of that save. */
bool run_saver_make_way(run_saver *saver, int64_t *step);

/* Starts to save the state as it is now; waits first for a save in flight, measures the rest of its
 * spectra on the caller's threads, and leaves them to be written first by this save. With `waits`
 * it is written here, on all threads; what fails is tried again in the background. SODA_ERR_INPUT
 * if another attempt has taken the run's folder over; other failures concern this copy alone: there
 * is no memory for it, or a device does not hand it over. */
soda_status run_saver_start(run_saver *saver, bool waits);

/* After a restart: writes the entry of the present step to the spectra if they lack it, because the
 * process before died between the two files. In the background. */
soda_status run_saver_mend(run_saver *saver);

/* Takes note of a save that has ended, without waiting for one that has not, and tries again what
 * failed. SODA_ERR_INPUT if another attempt has taken the run's folder over: the run must end. */
soda_status run_saver_poll(run_saver *saver);

/* Waits for a save in flight; the caller's threads help with its spectra. */
soda_status run_saver_wait(run_saver *saver);

/* Saves the state as it is now, here, on all threads; waits first for a save in flight, and tries
 * again one that failed, if `spectra_s` is INFINITY. Fails if the checkpoint is not written;
 * spectra that are not are a warning. They have `spectra_s` seconds (INFINITY: all they need),
 * those of the save in flight included. */
soda_status run_saver_save(run_saver *saver, double spectra_s);

/* Waits for a save in flight, and tries once more to write spectra that wait. A failure is a
 * warning. */
void run_saver_finish(run_saver *saver);

/* Seconds that the slowest save took, or that the one in flight has taken so far. */
double run_saver_longest_s(const run_saver *saver);

void run_saver_destroy(run_saver *saver); /* waits for a save in flight; accepts NULL */
