#include "output/run_lock.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "core/log.h"
#include "core/path.h"
#include "io/newfile.h"

enum { PATH_BYTES = 4200, NAME_BYTES = 200, LINE_BYTES = 600, TRIES = 100 };

/* Who holds a folder; `job` is "" outside a batch system, and where a lock says nothing. */
typedef struct {
    char job[NAME_BYTES], host[NAME_BYTES];
    long attempt;
} owner;

struct run_lock {
    int fd;
    bool written; /* the line of this process is in the file */
    owner self;
    char path[PATH_BYTES];
};

static const char *first_set(const char *const *names)
{
    for (; *names; names++) {
        const char *value = getenv(*names);
        if (value && *value) return value;
    }
    return "";
}

static owner this_process(void)
{
    owner o = {0};
    snprintf(o.job, sizeof o.job, "%s",
             first_set((const char *const[]){"SODA_JOB", "SLURM_JOB_ID", "PBS_JOBID", NULL}));
    for (char *c = o.job; *c; c++)
        if (*c <= ' ') *c = '_'; /* words of a line */
    o.attempt = strtol(
        first_set((const char *const[]){"SODA_ATTEMPT", "SLURM_RESTART_COUNT", NULL}), NULL, 10);
    gethostname(o.host, sizeof o.host - 1);
    return o;
}

/* The owner that a lock file names; false if it names none. */
static bool read_owner(int fd, owner *o)
{
    char line[LINE_BYTES];
    *o = (owner){0};
    const ssize_t bytes = pread(fd, line, sizeof line - 1, 0);
    line[bytes > 0 ? bytes : 0] = '\0';
    const bool found = sscanf(line, "%199s %ld %199s", o->job, &o->attempt, o->host) == 3;
    if (!found || strcmp(o->job, "-") == 0) o->job[0] = '\0';
    return found;
}

/* A line that cannot be written (a full disk) is no failure: the lock is what counts. */
static void write_owner(run_lock *lock)
{
    char line[LINE_BYTES];
    const owner *o = &lock->self;
    const int bytes =
        snprintf(line, sizeof line, "%s %ld %s\n", *o->job ? o->job : "-", o->attempt, o->host);
    lock->written = ftruncate(lock->fd, 0) == 0 &&
                    pwrite(lock->fd, line, (size_t)bytes, 0) == bytes && fsync(lock->fd) == 0;
}

static bool is_same(const struct stat *a, const struct stat *b)
{
    return a->st_ino == b->st_ino && a->st_dev == b->st_dev;
}

/* Whether `path` is the open file still. */
static bool is_at(int fd, const char *path)
{
    struct stat open_file, named;
    return fstat(fd, &open_file) == 0 && stat(path, &named) == 0 && is_same(&open_file, &named);
}

/* Puts a locked file of this process in the place of the one that an earlier attempt holds. */
static soda_status replace(run_lock *lock, const owner *earlier)
{
    char temporary[PATH_BYTES + NEWFILE_TEMPORARY];
    newfile_name_temporary(lock->path, temporary, sizeof temporary);
    lock->fd = open(temporary, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (lock->fd < 0) return FAIL(SODA_ERR_IO, "%s: cannot create: %s", temporary, strerror(errno));
    (void)flock(lock->fd, LOCK_EX | LOCK_NB); /* new: nobody else holds it */
    write_owner(lock);
    if (rename(temporary, lock->path) != 0) {
        const soda_status s =
            FAIL(SODA_ERR_IO, "%s: cannot rename: %s", temporary, strerror(errno));
        unlink(temporary);
        return s;
    }
    log_warning("%s: taken over from attempt %ld of this job on %s, which holds it still",
                lock->path, earlier->attempt, earlier->host);
    return SODA_OK;
}

static bool is_earlier(const owner *other, const owner *self)
{
    return *self->job && strcmp(other->job, self->job) == 0 && other->attempt < self->attempt;
}

static soda_status refuse(const char *output, const owner *other)
{
    char who[LINE_BYTES] = "";
    if (*other->job)
        snprintf(who, sizeof who, ": attempt %ld of job %s on %s", other->attempt, other->job,
                 other->host);
    else if (*other->host)
        snprintf(who, sizeof who, ", on %s", other->host);
    return FAIL(
        SODA_ERR_INPUT,
        "output: %s: another run is writing to this folder%s (if these processes should be ranks "
        "of one run, they were not started as MPI ranks: use mpirun or srun --mpi=pmix)",
        output, who);
}

/* One try; *again if the file was replaced meanwhile. */
static soda_status take(run_lock *lock, const char *output, bool *again)
{
    owner other;
    *again = false;
    lock->fd = open(lock->path, O_RDWR | O_CREAT | O_CLOEXEC, 0666);
    if (lock->fd < 0) return SODA_OK; /* or no locks here */
    if (flock(lock->fd, LOCK_EX | LOCK_NB) == 0 || errno != EWOULDBLOCK) {
        *again = !is_at(lock->fd, lock->path);
        if (!*again) write_owner(lock);
        return SODA_OK;
    }
    read_owner(lock->fd, &other);
    if (!is_earlier(&other, &lock->self)) return refuse(output, &other);
    close(lock->fd);
    return replace(lock, &other);
}

bool run_lock_is_foreign(const char *output)
{
    char path[PATH_BYTES];
    struct stat about;
    owner o;
    if (path_in(path, sizeof path, output, ".lock") != SODA_OK) return false;
    const int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    const bool foreign = !read_owner(fd, &o) && fstat(fd, &about) == 0 && about.st_size > 0;
    close(fd);
    return foreign;
}

soda_status run_lock_take(const char *output, run_lock **lock)
{
    bool again = true;
    run_lock *l = calloc(1, sizeof *l);
    soda_status s = l ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
    if (!l) return s;
    l->fd = -1;
    l->self = this_process();
    TRY_TO(failed, path_in(l->path, sizeof l->path, output, ".lock"));
    for (int i = 0; i < TRIES && again; i++) {
        if (l->fd >= 0) close(l->fd);
        TRY_TO(failed, take(l, output, &again));
    }
    *lock = l;
    return SODA_OK;
failed:
    run_lock_release(l);
    return s;
}

soda_status run_lock_check(const run_lock *lock)
{
    owner now = {0};
    if (!lock || lock->fd < 0) return SODA_OK;
    const int fd =
        open(lock->path, O_RDONLY | O_CLOEXEC); /* NFS looks at the server when a file is opened */
    if (fd < 0) return SODA_OK;
    struct stat held, there;
    const bool named = read_owner(fd, &now);
    const bool same =
        fstat(lock->fd, &held) != 0 || fstat(fd, &there) != 0 || is_same(&held, &there);
    close(fd);
    const bool mine = !named || !lock->written ||
                      (strcmp(now.job, lock->self.job) == 0 && now.attempt <= lock->self.attempt &&
                       strcmp(now.host, lock->self.host) == 0);
    if (same && mine) return SODA_OK;
    return FAIL(SODA_ERR_INPUT,
                "%s: attempt %ld of job %s on %s has taken this folder over; attempt %ld, here on "
                "%s, stops without writing to it",
                lock->path, now.attempt, *now.job ? now.job : "(none)", now.host,
                lock->self.attempt, lock->self.host);
}

static soda_status ask(const void *lock) { return run_lock_check(lock); }

newfile_permission run_lock_permission(const run_lock *lock)
{
    return (newfile_permission){ask, lock};
}

void run_lock_release(run_lock *lock)
{
    if (!lock) return;
    if (lock->fd >= 0) close(lock->fd);
    free(lock);
}
