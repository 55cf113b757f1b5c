#include <errno.h>
#include <math.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>

#include "comm/watchdog_parts.h"
#include "core/log.h"

enum { LOOK_MS = 500 };
static const double SEND_S = 2, GRACE_S = 2, ALONE_S = 5, HURRIED_S = 10, UNHEARD_S = 30,
                    MEET_S = 3;

static watchdog_report own_report(const watchdog *dog)
{
    const pulse p = pulse_read();
    watchdog_report r = {.token = dog->team.token,
                         .rank = dog->team.comm ? dog->rank : 0,
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

static void hear(watchdog *dog, const watchdog_report *r)
{
    if (r->token != dog->team.token || r->rank < 0 || r->rank >= dog->team.count) return;
    watchdog_view *v = &dog->team.view[r->rank];
    const watchdog_report *last = &dog->team.last[r->rank];
    if (!v->heard || r->beats != last->beats || r->collectives != last->collectives)
        v->changed_s = dog->clock_s;
    v->heard = true;
    v->heard_s = dog->clock_s;
    v->waits = r->waits != 0;
    v->collectives = r->collectives;
    if (dog->rank != 0) atomic_store(&dog->met, true);
    dog->team.last[r->rank] = *r;
    dog->team.last[r->rank].phase[WATCHDOG_NAME_BYTES - 1] =
        dog->team.last[r->rank].collective[WATCHDOG_NAME_BYTES - 1] =
            dog->team.last[r->rank].host[WATCHDOG_HOST_BYTES - 1] = '\0';
}

/* Waits a little, or until there is something to do. */
static void rest(const watchdog *dog, int socket)
{
    struct pollfd wait[] = {{.fd = dog->wake[0], .events = POLLIN},
                            {.fd = socket, .events = POLLIN}};
    char byte;
    (void)poll(wait, socket >= 0 ? 2 : 1, LOOK_MS);
    if (wait[0].revents) (void)!read(dog->wake[0], &byte, 1);
}

/* Time in which this process stood still is not counted: nothing could be heard then. */
static void advance_clock(watchdog *dog)
{
    const double now_s = log_seconds();
    dog->clock_s += fmin(now_s - dog->looked_s, 2 * LOOK_MS / 1e3);
    dog->looked_s = now_s;
}

/* What was seen before, of others or under another limit, counts no more. */
static void begin_anew(watchdog *dog)
{
    dog->clock_s = dog->doubted_s = dog->saver.moved_s = 0;
    dog->sent_s = -SEND_S;
    for (int i = 0; i < dog->team.count; i++)
        dog->team.view[i].heard_s = dog->team.view[i].changed_s = 0;
}

static void watch_saver(watchdog *dog)
{
    const pulse_saver now = pulse_read_saver(), *last = &dog->saver.last;
    const bool moved = !now.part || now.part != last->part || now.step != last->step ||
                       now.used_ns != last->used_ns || pulse_saver_is_ready();
    if (moved) dog->saver.moved_s = dog->clock_s;
    dog->saver.last = now;
}

static void exchange(watchdog *dog)
{
    const watchdog_team *team = &dog->team;
    const watchdog_report own = own_report(dog);
    struct sockaddr_in from;
    watchdog_report r;
    if (!team->comm || dog->rank == 0) hear(dog, &own);
    while (team->socket.fd >= 0 && datagram_receive(&team->socket, &r, sizeof r, &from)) {
        hear(dog, &r);
        if (dog->rank == 0 && r.token == team->token)
            datagram_reply(&team->socket, &from, &own, sizeof own);
    }
    if (!team->comm || dog->rank == 0 || dog->clock_s - dog->sent_s < SEND_S) return;
    datagram_send_root(&team->socket, &own, sizeof own);
    dog->sent_s = dog->clock_s;
}

static void warn_of_unheard(watchdog *dog)
{
    int unheard = 0, first = -1;
    if (dog->warned || dog->clock_s < UNHEARD_S) return;
    dog->warned = true;
    for (int i = dog->team.count - 1; i >= 0; i--)
        if (!dog->team.view[i].heard) unheard++, first = i;
    if (unheard > 0)
        log_warning("parallel.timeout: nothing was heard by UDP of %d of %d ranks (the first is "
                    "rank %d), so that they are not watched",
                    unheard, dog->team.count, first);
}

static double limit_of_silence(const watchdog *dog)
{
    return watchdog_is_held_up() ? fmin(dog->limit_s, HURRIED_S) : dog->limit_s;
}

static volatile sig_atomic_t exit_code;

static void leave(int signal_number)
{
    (void)signal_number;
    _exit(exit_code);
}

/* Where MPI cannot end the ranks either, this one ends alone, and so it does before MPI is up: the
 * launcher ends the others then. It does not even try MPI where rank 0 is gone, and with it the
 * launcher, and every rank was told to end. */
static void end_all(watchdog *dog, watchdog_verdict verdict, int rank)
{
    soda_comm *comm = dog->team.comm;
    char text[512];
    sigset_t alarms;
    watchdog_describe(dog, verdict, rank, text, sizeof text);
    exit_code = watchdog_exit_code(dog);
    signal(SIGALRM, leave);
    sigemptyset(&alarms);
    sigaddset(&alarms, SIGALRM);
    pthread_sigmask(SIG_UNBLOCK, &alarms, NULL);
    alarm(6); /* the message may hang, too, and so may MPI */
    log_error("%s", text);
    if (!comm || (dog->rank != 0 && watchdog_is_held_up())) _exit(exit_code);
    alarm(3);
    comm->end_all(comm, exit_code);
}

/* One message: ranks other than 0 act a little later, one after the other. A rank that is alone
 * cannot know whether another one stands still, which then speaks first. */
static double grace(const watchdog *dog)
{
    const int rank = dog->rank;
    if (!dog->team.comm) return ALONE_S + fmin(rank, 3) + (dog->team.view[0].waits ? ALONE_S : 0);
    const double grace_s = GRACE_S + (rank == 0 ? 0 : 1 + fmin(rank, 5));
    return watchdog_is_held_up() ? grace_s / 10 : grace_s;
}

static void judge(watchdog *dog)
{
    const watchdog_team *team = &dog->team;
    const watchdog_limits limits = {limit_of_silence(dog), dog->limit_s};
    int rank;
    watchdog_verdict verdict = watchdog_judge(team->view, team->count, dog->clock_s, limits, &rank);
    if (verdict != WATCHDOG_SILENT && dog->clock_s - dog->saver.moved_s > dog->limit_s) {
        verdict = WATCHDOG_SAVER;
        rank = 0;
    }
    const bool others = team->comm && dog->rank != 0; /* which rank 0 judges itself */
    if (verdict == WATCHDOG_WELL || (others && verdict != WATCHDOG_SILENT))
        dog->doubted_s = dog->clock_s;
    else if (dog->clock_s - dog->doubted_s >= grace(dog))
        end_all(dog, verdict, rank);
}

static void look(watchdog *dog)
{
    advance_clock(dog);
    exchange(dog);
    watch_saver(dog);
    if (isinf(dog->limit_s)) return;
    judge(dog);
    if (dog->team.comm && dog->rank == 0) warn_of_unheard(dog);
}

static void *run(void *context)
{
    watchdog *dog = context;
    for (;;) {
        pthread_mutex_lock(&dog->lock);
        const bool ends = dog->ends;
        if (!ends) look(dog);
        const int socket = dog->team.socket.fd;
        pthread_mutex_unlock(&dog->lock);
        if (ends) return NULL;
        rest(dog, socket);
    }
}

static void start_thread(watchdog *dog)
{
    sigset_t all, before;
    dog->looked_s = log_seconds();
    if (pipe(dog->wake) != 0) {
        dog->error = errno;
        return;
    }
    sigfillset(&all); /* signals are for the main thread */
    pthread_sigmask(SIG_BLOCK, &all, &before);
    dog->error = pthread_create(&dog->thread, NULL, run, dog);
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    dog->runs = dog->error == 0;
    if (dog->runs) return;
    close(dog->wake[0]);
    close(dog->wake[1]);
}

static void wake(const watchdog *dog) { (void)!write(dog->wake[1], "", 1); }

static void end_thread(watchdog *dog)
{
    if (!dog->runs) return;
    pthread_mutex_lock(&dog->lock);
    dog->ends = true;
    pthread_mutex_unlock(&dog->lock);
    wake(dog);
    pthread_join(dog->thread, NULL);
    close(dog->wake[0]);
    close(dog->wake[1]);
    dog->runs = false;
}

/* Until this rank and rank 0 have heard of each other: a rank that was never heard of is not
 * watched, and this takes a millisecond, unless the network lets no datagrams through. */
static void meet(watchdog *dog)
{
    const double until_s = log_seconds() + MEET_S;
    while (dog->rank != 0 && !atomic_load(&dog->met) && log_seconds() < until_s)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
}

static void team_free(watchdog_team *team)
{
    datagram_close(&team->socket);
    free(team->view);
    free(team->last);
}

static soda_status team_create(int count, watchdog_team *team)
{
    *team = (watchdog_team){.count = count, .socket = {.fd = -1}};
    team->view = calloc((size_t)count, sizeof *team->view);
    team->last = calloc((size_t)count, sizeof *team->last);
    return team->view && team->last ? SODA_OK : FAIL(SODA_ERR_MEMORY, "out of memory");
}

void watchdog_start(int rank, double limit_s, watchdog **dog)
{
    watchdog *d = calloc(1, sizeof *d);
    *dog = d;
    if (!d) return;
    d->rank = rank;
    d->limit_s = limit_s > 0 ? limit_s : (double)INFINITY;
    pthread_mutex_init(&d->lock, NULL);
    if (team_create(1, &d->team) == SODA_OK)
        start_thread(d);
    else
        d->error = ENOMEM;
}

/* What a rank can do for its part of the team. */
static soda_status prepare(const watchdog *dog, const soda_comm *comm, watchdog_team *team)
{
    *team = (watchdog_team){.socket = {.fd = -1}};
    if (!dog || !dog->runs)
        return FAIL(SODA_ERR_IO, "watchdog: cannot start a thread: %s",
                    strerror(dog ? dog->error : ENOMEM));
    TRY(team_create(comm->rank == 0 ? comm->size : 1, team));
    if (getrandom(&team->token, sizeof team->token, 0) != sizeof team->token)
        return FAIL(SODA_ERR_IO, "watchdog: no random number: %s", strerror(errno));
    return SODA_OK;
}

static soda_status join(watchdog *dog, soda_comm *comm)
{
    watchdog_team team, before;
    soda_status s;
    TRY_TO(failed, comm_agree(comm, prepare(dog, comm, &team)));
    TRY_TO(failed, comm->broadcast(comm, &team.token, sizeof team.token, 0));
    if (comm->size > 1) TRY_TO(failed, datagram_open(comm, &team.socket));
    team.comm = comm;
    pthread_mutex_lock(&dog->lock);
    before = dog->team;
    dog->team = team;
    dog->rank = comm->rank;
    begin_anew(dog);
    pthread_mutex_unlock(&dog->lock);
    wake(dog);
    team_free(&before);
    meet(dog);
    return SODA_OK;
failed:
    team_free(&team);
    return s;
}

void watchdog_join(watchdog *dog, soda_comm *comm)
{
    if (join(dog, comm) == SODA_OK) return;
    if (!dog || isfinite(dog->limit_s))
        log_warning("the ranks are not watched (parallel.timeout): %s", status_message());
    status_clear();
    comm->failed_rank = -1;
    if (dog) end_thread(dog);
}

void watchdog_limit(watchdog *dog, double limit_s)
{
    if (!dog) return;
    if (limit_s <= 0) {
        end_thread(dog);
        return;
    }
    pthread_mutex_lock(&dog->lock);
    dog->limit_s = limit_s;
    begin_anew(dog);
    pthread_mutex_unlock(&dog->lock);
}

void watchdog_stop(watchdog *dog)
{
    if (!dog) return;
    end_thread(dog);
    pthread_mutex_destroy(&dog->lock);
    team_free(&dog->team);
    free(dog);
}
