/* common.h: what options of several verbs mean. */
#pragma once

#include "adapter/method.h"
#include "app/options.h"
#include "backend/backend.h"
#include "comm/comm.h"
#include "comm/watchdog.h"
#include "core/json.h"

/* "fp32" or "bf16". */
soda_status common_dtype(const char *text, soda_dtype *dtype);

/* Reads the options of the verb table->verb as options_read does, and with them, if its row says
 * that it computes, --backend, --threads, --isa, --cache and --cache-limit, and if it writes,
 * --overwrite. Prints its help where *help is set, on rank 0. */
soda_status common_options(option_table *table, int argc, char **argv, const char **operand,
                           bool *help);

/* Brings the cache below its limit if this process used it and has closed all that it took. What
 * fails is a warning: the verb is done. */
void common_trim_cache(void);

/* Whether --overwrite was given; SODA_ERR_INPUT for a file that is there already and was not to be
 * written over. */
bool common_overwrite(void);
soda_status common_check_new(const char *path);

/* SODA_ERR_IO, before long work, if the folder of `path` is not there or files cannot be made in
 * it. */
soda_status common_check_folder(const char *path);

/* Opens the backend that these options chose. Before any other call to a backend: it fixes the
 * instruction set. Collective where the verb is: all ranks succeed or none. */
soda_status common_backend(const soda_backend **backend);

/* The same of this name, whatever --backend says. */
soda_status common_backend_named(const char *name, const soda_backend **backend);

/* The same with the threads of one of `on_node` ranks that share this node. */
soda_status common_backend_among(int on_node, const soda_backend **backend);

/* Closes the backend, if one was opened, at the end of a verb that succeeded: a device may still be
 * at work for one that failed. */
void common_close_backend(void);

/* Prints the object on stdout and gives it up; SODA_ERR_MEMORY in place of that unless it is whole.
 */
soda_status common_print_json(json_t *json, bool whole);

/* The method called `text`; NULL for "none". */
soda_status common_method(const char *text, const soda_method **method);

/* Set once by main: the communicator of all ranks, and how many threads each of them should have
 * when the user does not choose (0: all cores). */
void common_set_comm(soda_comm *comm, int threads);
soda_comm *common_comm(void);

/* Set once by main: what watches the ranks; NULL where nothing does. */
void common_set_watchdog(watchdog *dog);
watchdog *common_watchdog(void);
