#include "comm/watchdog.h"

#include <errno.h>
#include <math.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "comm/datagram.h"
#include "core/log.h"

enum { NAME_BYTES = 32, HOST_BYTES = 64, LOOK_MS = 500 };
static const double SEND_S = 2, GRACE_S = 5, HURRIED_S = 10, UNHEARD_S = 30, MEET_S = 3;

/* What ranks tell rank 0, and it them. */
typedef struct {
    uint64_t token; /* of this run: who does not know it is not heard */
    int32_t rank, waits, saved;
    uint64_t beats, collectives;
    int64_t step;
    char phase[NAME_BYTES], collective[NAME_BYTES], host[HOST_BYTES];
} report;

struct watchdog {
    soda_comm *comm;
    double limit_s, clock_s, looked_s, sent_s, doubted_s;
    uint64_t token;
    datagram_socket socket;
    int stop[2]; /* a pipe */
    pthread_t thread;
    atomic_bool met; /* rank 0 was heard of */
    bool warned;
    int count;           /* of ranks that this one judges: all, or rank 0 */
    watchdog_view *view; /* [count] */
    report *last;        /* [count] */
};

static double silence(const watchdog_view *v, double now_s)
{
    return v->heard ? now_s - v->heard_s : 0;
}

static double standstill(const watchdog_view *v, double now_s)
{
    return v->heard && !v->waits ? now_s - v->changed_s : 0;
}

/* The rank with the largest value above limit_s; -1: none. */
static int longest(const watchdog_view *view, int count, double now_s, double limit_s,
                   double (*value)(const watchdog_view *, double))
{
    int found = -1;
    for (int i = 0; i < count; i++)
        if (value(&view[i], now_s) > limit_s &&
            (found < 0 || value(&view[i], now_s) > value(&view[found], now_s)))
            found = i;
    return found;
}

/* One that entered no more collectives than any other. */
static int behind(const watchdog_view *view, int count)
{
    int least = 0;
    for (int i = 0; i < count; i++)
        if (view[i].collectives < view[least].collectives) least = i;
    return least;
}

watchdog_verdict watchdog_judge(const watchdog_view *view, int count, double now_s,
                                watchdog_limits limits, int *rank)
{
    *rank = longest(view, count, now_s, limits.silent_s, silence);
    if (*rank >= 0) return WATCHDOG_SILENT;
    *rank = longest(view, count, now_s, limits.still_s, standstill);
    if (*rank >= 0) return WATCHDOG_STUCK;
    for (int i = 0; i < count; i++) /* others may well wait for one that was never heard of */
        if (!view[i].heard || !view[i].waits || now_s - view[i].changed_s <= limits.still_s)
            return WATCHDOG_WELL;
    *rank = behind(view, count);
    return WATCHDOG_BEHIND;
}

static report own_report(const watchdog *dog)
{
    const pulse p = pulse_read();
    report r = {.token = dog->token,
                .rank = dog->comm->rank,
                .waits = p.collective != NULL,
                .saved = p.saved,
                .beats = p.beats,
                .collectives = p.collectives,
                .step = p.step};
    snprintf(r.phase, sizeof r.phase, "%s", p.phase);
    snprintf(r.collective, sizeof r.collective, "%s", p.collective ? p.collective : "");
    gethostname(r.host, sizeof r.host - 1);
    return r;
}

static void hear(watchdog *dog, const report *r)
{
    if (r->token != dog->token || r->rank < 0 || r->rank >= dog->count) return;
    watchdog_view *v = &dog->view[r->rank];
    const report *last = &dog->last[r->rank];
    if (!v->heard || r->beats != last->beats || r->collectives != last->collectives)
        v->changed_s = dog->clock_s;
    v->heard = true;
    v->heard_s = dog->clock_s;
    v->waits = r->waits != 0;
    v->collectives = r->collectives;
    if (dog->comm->rank != 0) atomic_store(&dog->met, true);
    dog->last[r->rank] = *r;
    dog->last[r->rank].phase[NAME_BYTES - 1] = dog->last[r->rank].collective[NAME_BYTES - 1] =
        dog->last[r->rank].host[HOST_BYTES - 1] = '\0';
}

/* Waits a little, or until the end is asked for; true then. */
static bool rest(const watchdog *dog)
{
    struct pollfd wait[] = {{.fd = dog->stop[0], .events = POLLIN},
                            {.fd = dog->socket.fd, .events = POLLIN}};
    (void)poll(wait, dog->socket.fd >= 0 ? 2 : 1, LOOK_MS);
    return wait[0].revents != 0;
}

/* Time in which this process stood still is not counted: nothing could be heard then. */
static void advance_clock(watchdog *dog)
{
    const double now_s = log_seconds();
    dog->clock_s += fmin(now_s - dog->looked_s, 2 * LOOK_MS / 1e3);
    dog->looked_s = now_s;
}

static void exchange(watchdog *dog)
{
    const report own = own_report(dog);
    struct sockaddr_in from;
    report r;
    if (dog->comm->rank == 0) hear(dog, &own);
    while (dog->socket.fd >= 0 && datagram_receive(&dog->socket, &r, sizeof r, &from)) {
        hear(dog, &r);
        if (dog->comm->rank == 0 && r.token == dog->token)
            datagram_reply(&dog->socket, &from, &own, sizeof own);
    }
    if (dog->comm->rank == 0 || dog->clock_s - dog->sent_s < SEND_S) return;
    datagram_send_root(&dog->socket, &own, sizeof own);
    dog->sent_s = dog->clock_s;
}

static void warn_of_unheard(watchdog *dog)
{
    int unheard = 0, first = -1;
    if (dog->warned || dog->clock_s < UNHEARD_S) return;
    dog->warned = true;
    for (int i = dog->count - 1; i >= 0; i--)
        if (!dog->view[i].heard) unheard++, first = i;
    if (unheard > 0)
        log_warning("parallel.timeout: nothing was heard by UDP of %d of %d ranks (the first is "
                    "rank %d), so that they are not watched",
                    unheard, dog->count, first);
}

/* One that entered no fewer collectives than any other. */
static int ahead(const watchdog *dog)
{
    int most = 0;
    for (int i = 0; i < dog->count; i++)
        if (dog->view[i].collectives > dog->view[most].collectives) most = i;
    return most;
}

/* Of ranks that all wait for each other. */
static void describe_waits(const watchdog *dog, int rank, char *text, size_t size)
{
    const int first = ahead(dog);
    const unsigned long long own = dog->view[rank].collectives, most = dog->view[first].collectives;
    if (own == most)
        snprintf(text, size, "and all others wait for each other in collective number %llu", own);
    else
        snprintf(text, size, "is behind: it entered %llu collectives, others up to %llu (%s)", own,
                 most, dog->last[first].collective);
}

/* Rank 0 saves; the others know from its messages or from the trainer. */
static bool is_saved(const watchdog *dog) { return dog->last[0].saved || pulse_read().saved; }

static int exit_code_of(const watchdog *dog)
{
    return status_exit_code(is_saved(dog) ? SODA_STOPPED : SODA_ERR_IO);
}

/* Told to end, and waiting for others: what rank 0 does alone at the end is not cut short because
 * they are gone. */
static bool is_held_up(void)
{
    const pulse p = pulse_read();
    return p.hurried && p.collective;
}

static double limit_of_silence(const watchdog *dog)
{
    return is_held_up() ? fmin(dog->limit_s, HURRIED_S) : dog->limit_s;
}

static void describe(const watchdog *dog, watchdog_verdict verdict, int rank, char *text,
                     size_t size)
{
    const watchdog_view *v = &dog->view[rank];
    const report *last = &dog->last[rank];
    char what[128], where[2 * NAME_BYTES + 64] = "", step[32] = "", why[64];
    const char *host = v->heard ? last->host : "an unknown host";
    if (verdict == WATCHDOG_SILENT)
        snprintf(what, sizeof what, "has not been heard of for %.0f s", silence(v, dog->clock_s));
    else if (verdict == WATCHDOG_STUCK)
        snprintf(what, sizeof what, "has made no progress for %.0f s", standstill(v, dog->clock_s));
    else
        describe_waits(dog, rank, what, sizeof what);
    if (v->heard && last->step >= 0)
        snprintf(step, sizeof step, "step %lld: ", (long long)last->step);
    if (v->heard)
        snprintf(where, sizeof where, "; last in %s%s%s%s", step, last->phase,
                 *last->collective ? ", in " : "", last->collective);
    if (verdict == WATCHDOG_SILENT && silence(v, dog->clock_s) <= dog->limit_s)
        snprintf(why, sizeof why, "and the run was told to end");
    else
        snprintf(why, sizeof why, "parallel.timeout: %.0f s", dog->limit_s);
    snprintf(text, size,
             "rank %d of %d on %s %s%s (%s); all ranks end with code %d, as there is %s checkpoint",
             rank, dog->comm->size, host, what, where, why, exit_code_of(dog),
             is_saved(dog) ? "a" : "no");
}

static volatile sig_atomic_t exit_code;

static void leave(int signal_number)
{
    (void)signal_number;
    _exit(exit_code);
}

/* Where MPI cannot end the ranks either, this one ends alone; it does not even try where rank 0 is
 * gone, and with it the launcher, and every rank was told to end. */
static void end_all(watchdog *dog, watchdog_verdict verdict, int rank)
{
    char text[512];
    sigset_t alarms;
    describe(dog, verdict, rank, text, sizeof text);
    exit_code = exit_code_of(dog);
    signal(SIGALRM, leave);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(6); /* the message may hang, too, and so may MPI */
    log_error("%s", text);
    if (dog->comm->rank != 0 && is_held_up()) _exit(exit_code);
    alarm(3);
    dog->comm->end_all(dog->comm, exit_code);
}

/* Ranks other than 0 act a little later, one after the other: one message. */
static double grace(const watchdog *dog)
{
    const int rank = dog->comm->rank;
    const double grace_s = GRACE_S + (rank == 0 ? 0 : 1 + fmin(rank, 5));
    return is_held_up() ? grace_s / 10 : grace_s;
}

static void judge(watchdog *dog)
{
    int rank;
    const watchdog_limits limits = {limit_of_silence(dog), dog->limit_s};
    const watchdog_verdict verdict =
        watchdog_judge(dog->view, dog->count, dog->clock_s, limits, &rank);
    if (dog->comm->rank != 0 && verdict != WATCHDOG_SILENT) { /* rank 0 judges the rest itself */
        dog->doubted_s = dog->clock_s;
        return;
    }
    if (verdict == WATCHDOG_WELL)
        dog->doubted_s = dog->clock_s;
    else if (dog->clock_s - dog->doubted_s >= grace(dog))
        end_all(dog, verdict, rank);
}

static void *run(void *context)
{
    watchdog *dog = context;
    dog->looked_s = log_seconds();
    do {
        advance_clock(dog);
        exchange(dog);
        judge(dog);
        if (dog->comm->rank == 0) warn_of_unheard(dog);
    } while (!rest(dog));
    return NULL;
}

static soda_status start_thread(watchdog *dog)
{
    sigset_t all, before;
    if (pipe(dog->stop) != 0)
        return FAIL(SODA_ERR_IO, "watchdog: cannot open a pipe: %s", strerror(errno));
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    const int error = pthread_create(&dog->thread, NULL, run, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (error == 0) return SODA_OK;
    close(dog->stop[0]);
    close(dog->stop[1]);
    return FAIL(SODA_ERR_IO, "watchdog: cannot start a thread: %s", strerror(error));
}

/* Until this rank and rank 0 have heard of each other: a rank that was never heard of is not
 * watched, and this takes a millisecond, unless the network lets no datagrams through. */
static void meet(watchdog *dog)
{
    const double until_s = log_seconds() + MEET_S;
    while (dog->comm->rank != 0 && !atomic_load(&dog->met) && log_seconds() < until_s)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static soda_status allocate(soda_comm *comm, double limit_s, watchdog **dog)
{
    watchdog *d = calloc(1, sizeof *d);
    *dog = d;
    if (!d) return FAIL(SODA_ERR_MEMORY, "out of memory");
    d->comm = comm;
    d->limit_s = limit_s;
    d->socket.fd = -1;
    d->sent_s = -SEND_S;
    d->count = comm->rank == 0 ? comm->size : 1;
    d->view = calloc((size_t)d->count, sizeof *d->view);
    d->last = calloc((size_t)d->count, sizeof *d->last);
    if (!d->view || !d->last) return FAIL(SODA_ERR_MEMORY, "out of memory");
    if (getrandom(&d->token, sizeof d->token, 0) != sizeof d->token)
        return FAIL(SODA_ERR_IO, "watchdog: no random number: %s", strerror(errno));
    return SODA_OK;
}

static void destroy(watchdog *dog)
{
    if (!dog) return;
    datagram_close(&dog->socket);
    free(dog->view);
    free(dog->last);
    free(dog);
}

static soda_status start(soda_comm *comm, double limit_s, watchdog **dog)
{
    watchdog *d = NULL;
    soda_status s;
    TRY_TO(failed, comm_agree(comm, allocate(comm, limit_s, &d)));
    TRY_TO(failed, comm->broadcast(comm, &d->token, sizeof d->token, 0));
    if (comm->size > 1) TRY_TO(failed, datagram_open(comm, &d->socket));
    s = start_thread(d);
    const bool started = s == SODA_OK;
    if (started) meet(d);
    s = comm_agree(comm, s);
    *dog = d;
    if (s == SODA_OK) return SODA_OK;
    *dog = NULL;
    if (started) {
        watchdog_stop(d);
        return s;
    }
failed:
    destroy(d);
    return s;
}

void watchdog_start(soda_comm *comm, double limit_s, watchdog **dog)
{
    *dog = NULL;
    if (limit_s <= 0 || start(comm, limit_s, dog) == SODA_OK) return;
    log_warning("the ranks are not watched (parallel.timeout): %s", status_message());
    status_clear();
    comm->failed_rank = -1;
}

void watchdog_stop(watchdog *dog)
{
    if (!dog) return;
    (void)!write(dog->stop[1], "", 1);
    pthread_join(dog->thread, NULL);
    close(dog->stop[0]);
    close(dog->stop[1]);
    destroy(dog);
}
