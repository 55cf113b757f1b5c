#include "comm/datagram.h"

#include <errno.h>
#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* What rank 0 tells the others: its port, and the IPv4 addresses of its interfaces. */
typedef struct {
    uint16_t port; /* in the order of the network, as are the addresses */
    uint16_t count;
    uint32_t address[DATAGRAM_ADDRESSES];
} directory;

static soda_status open_socket(int *fd, uint16_t *port)
{
    struct sockaddr_in own = {.sin_family = AF_INET};
    socklen_t size = sizeof own;
    *fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (*fd < 0 || bind(*fd, (struct sockaddr *)&own, size) != 0 ||
        getsockname(*fd, (struct sockaddr *)&own, &size) != 0)
        return FAIL(SODA_ERR_IO, "watchdog: cannot open a UDP socket: %s", strerror(errno));
    *port = own.sin_port;
    return SODA_OK;
}

static soda_status list_addresses(directory *d)
{
    struct ifaddrs *all;
    if (getifaddrs(&all) != 0)
        return FAIL(SODA_ERR_IO, "watchdog: cannot list network interfaces: %s", strerror(errno));
    for (const struct ifaddrs *a = all; a && d->count < DATAGRAM_ADDRESSES; a = a->ifa_next) {
        if (!a->ifa_addr || a->ifa_addr->sa_family != AF_INET || !(a->ifa_flags & IFF_UP)) continue;
        struct sockaddr_in in;
        memcpy(&in, a->ifa_addr, sizeof in);
        d->address[d->count++] = in.sin_addr.s_addr;
    }
    freeifaddrs(all);
    return SODA_OK;
}

static soda_status open_own(const soda_comm *comm, datagram_socket *s, directory *d)
{
    TRY(open_socket(&s->fd, &d->port));
    return comm->rank == 0 ? list_addresses(d) : SODA_OK;
}

soda_status datagram_open(soda_comm *comm, datagram_socket *s)
{
    directory d = {0};
    *s = (datagram_socket){.fd = -1};
    TRY(comm_agree(comm, open_own(comm, s, &d)));
    TRY(comm->broadcast(comm, &d, sizeof d, 0));
    if (comm->rank == 0) return SODA_OK;
    for (; s->count < d.count; s->count++)
        s->root[s->count] = (struct sockaddr_in){
            .sin_family = AF_INET, .sin_port = d.port, .sin_addr = {.s_addr = d.address[s->count]}};
    return SODA_OK;
}

void datagram_close(datagram_socket *s)
{
    if (s->fd >= 0) close(s->fd);
    s->fd = -1;
}

void datagram_reply(const datagram_socket *s, const struct sockaddr_in *to, const void *data,
                    size_t bytes)
{
    (void)sendto(s->fd, data, bytes, 0, (const struct sockaddr *)to, sizeof *to);
}

void datagram_send_root(const datagram_socket *s, const void *data, size_t bytes)
{
    for (int i = 0; i < s->count; i++) datagram_reply(s, &s->root[i], data, bytes);
}

bool datagram_receive(const datagram_socket *s, void *data, size_t bytes, struct sockaddr_in *from)
{
    for (;;) {
        socklen_t size = sizeof *from;
        const ssize_t got = recvfrom(s->fd, data, bytes, MSG_TRUNC, (struct sockaddr *)from, &size);
        if (got == (ssize_t)bytes && size == sizeof *from) return true;
        if (got < 0 && errno != EINTR && errno != ECONNREFUSED) return false;
    }
}
