/* datagram.h: small messages between ranks by UDP, outside MPI: they may be lost. */
#pragma once

#include <netinet/in.h>
#include <stdbool.h>

#include "comm/comm.h"

enum { DATAGRAM_ADDRESSES = 8 };

/* A socket of this rank, and where rank 0 may be reached: at any of its addresses. */
typedef struct {
    int fd;
    int count; /* of addresses; 0 on rank 0 itself */
    struct sockaddr_in root[DATAGRAM_ADDRESSES];
} datagram_socket;

/* SODA_ERR_IO on all ranks if a rank has no socket. Collective. */
soda_status datagram_open(soda_comm *comm, datagram_socket *socket);
void datagram_close(datagram_socket *socket);

/* To rank 0, at each of its addresses. */
void datagram_send_root(const datagram_socket *socket, const void *data, size_t bytes);

/* To where a message came from. */
void datagram_reply(const datagram_socket *socket, const struct sockaddr_in *to, const void *data,
                    size_t bytes);

/* The next message that has come, if it has exactly `bytes`; others are dropped. False: none. */
bool datagram_receive(const datagram_socket *socket, void *data, size_t bytes,
                      struct sockaddr_in *from);
