#include "app/common.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "adapter/factorize.h"
#include "app/verbs.h"
#include "core/isa.h"
#include "core/log.h"
#include "core/thread_count.h"
#include "io/array_cache.h"
#include "io/cache_limit.h"
#include "io/newfile.h"

static soda_comm *ranks;
static watchdog *watches;
static int threads_each;

/* What the options that all computing verbs share were set to. */
static struct {
    const char *backend;
    int64_t threads; /* 0: see thread_count.h */
    const char *isa; /* NULL: SODA_ISA, or the highest level of this CPU */
    const char *cache, *cache_limit;
    bool overwrite;
    bool alone; /* the verb runs on rank 0 only */
} chosen;

static const soda_backend *opened; /* NULL: none */

void common_set_comm(soda_comm *comm, int threads)
{
    ranks = comm;
    threads_each = threads;
}

soda_comm *common_comm(void) { return ranks; }

void common_set_watchdog(watchdog *dog) { watches = dog; }

watchdog *common_watchdog(void) { return watches; }

soda_status common_dtype(const char *text, soda_dtype *dtype)
{
    if (strcmp(text, "fp32") == 0)
        *dtype = SODA_F32;
    else if (strcmp(text, "bf16") == 0)
        *dtype = SODA_BF16;
    else
        return FAIL(SODA_ERR_USAGE, "--dtype: expected fp32 or bf16, found '%s'", text);
    return SODA_OK;
}

/* The environment carries them to where arrays are made. */
static soda_status cache_options(void)
{
    int64_t most;
    if (chosen.cache && setenv("SODA_CACHE", chosen.cache, 1) != 0)
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    const char *cache = getenv("SODA_CACHE");
    if (cache && *cache) TRY(options_check_path("SODA_CACHE", cache));
    if (chosen.cache_limit && setenv("SODA_CACHE_LIMIT", chosen.cache_limit, 1) != 0)
        return FAIL(SODA_ERR_MEMORY, "out of memory");
    return cache_limit_bytes(&most);
}

soda_status common_options(option_table *table, int argc, char **argv, const char **operand,
                           bool *help)
{
    const unsigned flags = verbs_find(table->verb)->flags;
    enum { BACKEND_ROW = 3 };
    static option_row rows[] = {
        {"overwrite", OPTION_FLAG, &chosen.overwrite, NULL, NULL,
         "overwrite existing files instead of refusing to", 0, 0},
        {"cache", OPTION_TEXT, &chosen.cache, "DIR",
         "SODA_CACHE, else XDG_CACHE_HOME/soda, else ~/.cache/soda",
         "folder that keeps factorisations, latents and text states between runs; may be deleted "
         "at any time",
         0, 0},
        {"cache-limit", OPTION_TEXT, &chosen.cache_limit, "GIB", "SODA_CACHE_LIMIT, else 50",
         "size of the cache above which a run, at its end, removes the files used least recently; "
         "none: no limit",
         0, 0},
        {"backend", OPTION_TEXT, &chosen.backend, "NAME", "cpu", NULL, 0, 0},
        {"threads", OPTION_INT, &chosen.threads, "N",
         "OMP_NUM_THREADS, else the cores of the job or the node, divided among its ranks",
         "threads per rank", 1, 1024},
        {"isa", OPTION_TEXT, &chosen.isa, "LEVEL", "SODA_ISA, else the highest of this CPU",
         "highest instruction set to use: base, avx2, avx512, avx512bf16 or amx", 0, 0},
    };
    rows[BACKEND_ROW].help = backend_names();
    chosen.backend = "cpu";
    chosen.threads = 0;
    chosen.isa = NULL;
    chosen.cache = NULL;
    chosen.cache_limit = NULL;
    chosen.overwrite = false;
    chosen.alone = !(flags & VERB_COLLECTIVE);
    if (flags & VERB_COMPUTES) {
        const int first = flags & VERB_WRITES ? 0 : 1;
        table->more = rows + first;
        table->more_count = (int)(sizeof rows / sizeof *rows) - first;
    }
    TRY(options_read(table, argc, argv, operand, help));
    TRY(cache_options());
    if (*help && ranks->rank == 0) options_print_help(table);
    return SODA_OK;
}

void common_trim_cache(void)
{
    char folder[4096];
    int64_t most;
    cache_size removed, left;
    if (!cache_limit_used() || cache_limit_bytes(&most) != SODA_OK || most == INT64_MAX ||
        array_cache_root(folder, sizeof folder) != SODA_OK)
        return;
    if (cache_limit_apply(folder, most, &removed, &left) != SODA_OK) {
        log_warning("%s: its limit could not be kept: %s", folder, status_message());
        return;
    }
    if (removed.files)
        log_info("removed the %lld files (%.1f GiB) of the cache %s that were used least recently; "
                 "%.1f GiB are left (limit %.4g GiB, see --cache-limit)",
                 (long long)removed.files, (double)removed.bytes / 0x1p30, folder,
                 (double)left.bytes / 0x1p30, (double)most / 0x1p30);
    if (left.bytes > most)
        log_info("the cache %s holds %.1f GiB, above its limit of %.4g GiB, because other runs use "
                 "its files, or they are another user's",
                 folder, (double)left.bytes / 0x1p30, (double)most / 0x1p30);
}

bool common_overwrite(void) { return chosen.overwrite; }

soda_status common_check_new(const char *path)
{
    struct stat about;
    if (stat(path, &about) != 0) return SODA_OK;
    if (S_ISDIR(about.st_mode))
        return FAIL(SODA_ERR_INPUT, "%s: expected the name of a file, found a folder", path);
    if (chosen.overwrite || !S_ISREG(about.st_mode)) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "%s: expected the name of a new file, found an existing file (--overwrite replaces "
                "it)",
                path);
}

soda_status common_check_folder(const char *path)
{
    char folder[4096];
    const char *slash = strrchr(path, '/');
    if (newfile_in_place(path)) return SODA_OK;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - path) + 1 : 2,
             slash ? path : "./");
    if (access(folder, W_OK | X_OK) == 0) return SODA_OK;
    return FAIL(SODA_ERR_IO, "%s: cannot create: %s", path, strerror(errno));
}

/* What can fail on one rank alone. */
static soda_status find_backend(backend_opener **opener)
{
    *opener = backend_find(chosen.backend);
    if (!*opener)
        return FAIL(SODA_ERR_USAGE, "--backend: expected one of %s, found '%s'", backend_names(),
                    chosen.backend);
    return isa_choose(chosen.isa);
}

static soda_status open_backend(int on_node, int share, const soda_backend **backend)
{
    soda_comm *comm = chosen.alone ? comm_self() : ranks;
    backend_opener *opener;
    char name[16] = "";
    TRY(comm_agree(comm, find_backend(&opener)));
    snprintf(name, sizeof name, "%s", chosen.backend);
    TRY(comm_agree_same(comm, name, sizeof name, "--backend"));
    if (on_node > ranks->node->size) { /* ranks that are not there: a part of all cores for each */
        const int cores = backend_cpu(0)->threads;
        share = cores > on_node ? cores / on_node : 1;
    }
    TRY(opener(thread_count(chosen.threads, on_node, share), comm, backend));
    opened = *backend;
    factorize_by(opened->factorize);
    return SODA_OK;
}

void common_close_backend(void)
{
    if (opened && opened->close) opened->close(opened);
    opened = NULL;
}

soda_status common_print_json(json_t *json, bool whole)
{
    if (whole) {
        json_dumpf(json, stdout, JSON_INDENT(1) | JSON_PRESERVE_ORDER);
        putchar('\n');
    }
    json_decref(json);
    return whole ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

soda_status common_backend(const soda_backend **backend)
{
    return open_backend(ranks->node->size, threads_each, backend);
}

soda_status common_backend_named(const char *name, const soda_backend **backend)
{
    chosen.backend = name;
    return common_backend(backend);
}

soda_status common_backend_among(int on_node, const soda_backend **backend)
{
    return open_backend(on_node, threads_each, backend);
}

soda_status common_method(const char *text, const soda_method **method)
{
    char names[256];
    *method = method_find(text);
    if (*method || strcmp(text, "none") == 0) return SODA_OK;
    return FAIL(SODA_ERR_USAGE, "--method: expected none, %s, found '%s'",
                method_list(names, sizeof names), text);
}
