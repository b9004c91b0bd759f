/* raw.h -- connections of the raw peers: a socket and what it did not take yet.
 *
 * A stash is allocated when a send comes up short and kept from then on, so the
 * way every message takes allocates nothing and copies nothing.
 */
#ifndef BENCH_PEERS_RAW_H
#define BENCH_PEERS_RAW_H
#include "common.h"
#include <errno.h>
#include <stdbool.h>
#include <sys/epoll.h>

enum { RAW_FDS_MAX = 65536, RAW_EVENTS = 1024 };

typedef struct raw_conn {
    uint8_t *stash; /* what the socket did not take, from stash_at to stash_end */
    size_t stash_at, stash_end, stash_cap;
    bool waiting; /* for EPOLLOUT; a waiting connection is not read */
} raw_conn;

static inline void raw_watch(int ep, int op, int fd, uint32_t events) {
    struct epoll_event ev = { .events = events, .data.fd = fd };
    if (epoll_ctl(ep, op, fd, &ev) == 0) return;
    perror("epoll_ctl");
    exit(1);
}

/* Takes every connection the queue has; returns when it is empty. */
static inline void raw_accept(int ep, int listener, void (*opened)(int fd)) {
    for (;;) {
        int fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd == -1) return;
        if (fd >= RAW_FDS_MAX) {
            close(fd);
            continue;
        }
        int on = 1;
        setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
        opened(fd);
        raw_watch(ep, EPOLL_CTL_ADD, fd, EPOLLIN);
    }
}

static inline void raw_stash(
    int ep, int fd, raw_conn *c, const uint8_t *p, size_t n, uint32_t more) {
    if (c->stash_end + n > c->stash_cap) {
        c->stash_cap = (c->stash_end + n) * 2;
        c->stash = realloc(c->stash, c->stash_cap);
        if (!c->stash) {
            perror("realloc");
            exit(1);
        }
    }
    memcpy(c->stash + c->stash_end, p, n);
    c->stash_end += n;
    if (!c->waiting) raw_watch(ep, EPOLL_CTL_MOD, fd, EPOLLOUT | more);
    c->waiting = true;
}

/* One send; what it leaves is stashed. `more`: what to watch for meanwhile,
 * beside room. False when the connection is dead. */
static inline bool raw_send(
    int ep, int fd, raw_conn *c, const uint8_t *p, size_t n, uint32_t more) {
    ssize_t sent = 0;
    if (!c->waiting) sent = send(fd, p, n, MSG_NOSIGNAL);
    if (sent == (ssize_t)n) return true;
    if (sent == -1 && errno != EAGAIN) return false;
    if (sent == -1) sent = 0;
    raw_stash(ep, fd, c, p + sent, n - (size_t)sent, more);
    return true;
}

/* There is room: sends the stash on. False when the connection is dead. */
static inline bool raw_flush(int ep, int fd, raw_conn *c) {
    ssize_t sent = send(fd, c->stash + c->stash_at, c->stash_end - c->stash_at, MSG_NOSIGNAL);
    if (sent == -1) return errno == EAGAIN;
    c->stash_at += (size_t)sent;
    if (c->stash_at < c->stash_end) return true;
    c->stash_at = c->stash_end = 0;
    c->waiting = false;
    raw_watch(ep, EPOLL_CTL_MOD, fd, EPOLLIN);
    return true;
}

static inline void raw_close(int fd, raw_conn *c) {
    free(c->stash);
    memset(c, 0, sizeof *c);
    close(fd);
}
#endif
