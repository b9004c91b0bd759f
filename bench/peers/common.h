/* common.h -- what the peers in C share: a listener and its ready line. */
#ifndef BENCH_PEERS_COMMON_H
#define BENCH_PEERS_COMMON_H
#include <arpa/inet.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* A free port is looked for below the ephemeral range, so that the thousands
 * of connections a load generator opens cannot sit on it. */
enum { PORT_FIRST = 20000, PORT_COUNT = 12000, PORT_TRIES = 200 };

static inline int peer_bind(uint16_t port) {
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (fd == -1) return -1;

    int on = 1;
    struct sockaddr_in at = { .sin_family = AF_INET, .sin_port = htons(port) };
    at.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (bind(fd, (struct sockaddr *)&at, sizeof at) == 0 && listen(fd, 4096) == 0) return fd;
    close(fd);
    return -1;
}

/* Listens on 127.0.0.1:*port, choosing a port when it is 0, and writes the
 * port back. Ends the program with a message when nothing can be bound. */
static inline int peer_listen(uint16_t *port) {
    if (*port) {
        int fd = peer_bind(*port);
        if (fd != -1) return fd;
        perror("bind");
        exit(1);
    }
    for (int i = 0; i < PORT_TRIES; i++) {
        uint16_t tried = (uint16_t)(PORT_FIRST + (getpid() * 7 + i * 37) % PORT_COUNT);
        int fd = peer_bind(tried);
        if (fd == -1) continue;
        *port = tried;
        return fd;
    }
    fprintf(stderr, "no free port\n");
    exit(1);
}

static inline void peer_ready(const char *scheme, uint16_t port) {
    printf("listening on %s://127.0.0.1:%u\n", scheme, port);
    fflush(stdout);
}

/* The one argument of a peer in C: a port, 0 or nothing for any. */
static inline uint16_t peer_port(int argc, char **argv) {
    if (argc < 2) return 0;
    char *end;
    unsigned long v = strtoul(argv[1], &end, 10);
    if (*end || end == argv[1] || v > 65535) {
        fprintf(stderr, "usage: %s [PORT]\n", argv[0]);
        exit(2);
    }
    return (uint16_t)v;
}
#endif
