/* epoll_test.h -- a loop of the kernel's backend with a door, for tests that are linked with
 * --wrap, so that each of its system calls can be made to fail, and is counted.
 */
#ifndef LN_NET_EPOLL_TEST_H
#define LN_NET_EPOLL_TEST_H
#include "base/mem.h"
#include "base/testing.h"
#include "net/loop.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

enum { DOOR = 3 };

/* -- injection ------------------------------------------------------------------------------ */

typedef struct call {
    int error, times; /* fails that often with that errno */
    size_t most;      /* bytes a call may move; 0: any number */
    int count;
} call;
static call accept_call, recv_call, send_call, wait_call, ctl_call;

static inline bool fails(call *c) {
    c->count++;
    if (c->times == 0) return false;
    c->times--;
    errno = c->error;
    return true;
}

static inline size_t at_most(const call *c, size_t size) {
    return c->most && size > c->most ? c->most : size;
}

int __real_accept4(int fd, struct sockaddr *addr, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *size, int flags);
int __wrap_accept4(int fd, struct sockaddr *addr, socklen_t *size, int flags) {
    return fails(&accept_call) ? -1 : __real_accept4(fd, addr, size, flags);
}
ssize_t __real_recv(int fd, void *to, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t size, int flags);
ssize_t __wrap_recv(int fd, void *to, size_t size, int flags) {
    return fails(&recv_call) ? -1 : __real_recv(fd, to, at_most(&recv_call, size), flags);
}
ssize_t __real_send(int fd, const void *from, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t size, int flags);
ssize_t __wrap_send(int fd, const void *from, size_t size, int flags) {
    return fails(&send_call) ? -1 : __real_send(fd, from, at_most(&send_call, size), flags);
}
int __real_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout);
int __wrap_epoll_wait(int fd, struct epoll_event *events, int most, int timeout) {
    return fails(&wait_call) ? -1 : __real_epoll_wait(fd, events, most, timeout);
}
int __real_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event);
int __wrap_epoll_ctl(int epfd, int op, int fd, struct epoll_event *event) {
    return fails(&ctl_call) ? -1 : __real_epoll_ctl(epfd, op, fd, event);
}

static inline void honest(void) {
    accept_call = recv_call = send_call = wait_call = ctl_call = (call){ .count = 0 };
}

/* -- a loop with a door --------------------------------------------------------------------- */

typedef struct fixture {
    ln_loop *loop;
    ln_listener door;
    ln_addr at;
    int fds[256]; /* accepted */
    int accepted, doors_closed, connected, closed, sent, wakes;
    int recv_result, sent_result, connect_result;
    size_t received;
    uint8_t last[65536];
    int watched_fd;
    unsigned watched_events;
    ln_sock *guest; /* takes the next accepted descriptor at once, */
    bool rude;      /* and closes it in the same breath */
} fixture;

static inline void receive(fixture *f, int fd) {
    assert_int_equal(ln_sock_adopt(f->loop, f->guest, 1, fd), LINNET_OK);
    assert_int_equal(ln_sock_recv_start(f->loop, f->guest), LINNET_OK);
    if (f->rude) ln_sock_close(f->loop, f->guest, false);
}

static inline void take(fixture *f, const ln_completion *c) {
    switch (c->kind) {
    case LN_C_ACCEPT:
        assert_true(f->accepted < 256);
        assert_true(fcntl(c->fd, F_GETFL) & O_NONBLOCK);
        assert_true(fcntl(c->fd, F_GETFD) & FD_CLOEXEC);
        if (f->guest) {
            receive(f, c->fd);
            break;
        }
        f->fds[f->accepted++] = c->fd;
        break;
    case LN_C_LISTENER_CLOSED: f->doors_closed++; break;
    case LN_C_CONNECT:
        f->connected++;
        f->connect_result = c->result;
        break;
    case LN_C_CLOSED: f->closed++; break;
    case LN_C_SENT:
        f->sent++;
        f->sent_result = c->result;
        break;
    case LN_C_RECV:
        f->recv_result = c->result;
        if (c->result <= 0) break;
        assert_true(f->received + c->data.size <= sizeof f->last);
        memcpy(f->last + f->received, c->data.data, c->data.size);
        f->received += c->data.size;
        break;
    case LN_C_WATCH:
        f->watched_fd = c->fd;
        f->watched_events |= c->events;
        assert_ptr_equal(c->user, f);
        break;
    case LN_C_WAKE: f->wakes++; break;
    }
}

static inline void turn(fixture *f, ln_msec ms) {
    ln_completion c;
    assert_int_equal(ln_loop_wait(f->loop, ms ? ln_loop_now(f->loop) + ms : 0), LINNET_OK);
    while (ln_loop_next(f->loop, &c))
        take(f, &c);
}

#define UNTIL(f, condition)                                                                        \
    for (ln_msec end_ = ln_loop_now((f)->loop) + 20000; !(condition); turn(f, 1000))               \
        if (ln_loop_now((f)->loop) >= end_) fail_msg("line %d: never: %s", __LINE__, #condition);

static inline ln_addr loopback(void) {
    ln_addr at;
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.1:0"), &at), LINNET_OK);
    return at;
}

static inline void open_with(fixture *f, const ln_listen_options *options) {
    ln_addr at = loopback();
    honest();
    *f = (fixture){ .recv_result = 1 };
    assert_int_equal(ln_loop_new(NULL, &f->loop), LINNET_OK);
    assert_int_equal(ln_listen(f->loop, &f->door, DOOR, &at, options, &f->at), LINNET_OK);
}

static inline void close_all(fixture *f) {
    honest();
    for (int i = 0; i < f->accepted; i++)
        if (f->fds[i] != -1) close(f->fds[i]);
    f->doors_closed = 0;
    ln_listener_close(f->loop, &f->door);
    UNTIL(f, f->doors_closed);
    ln_loop_free(f->loop);
}

static inline int dial(const ln_addr *to) {
    int fd = socket(to->sa.sa_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_true(fd != -1);
    assert_int_equal(connect(fd, &to->sa, to->size), 0);
    return fd;
}

/* A connected pair: our sock, and a plain blocking descriptor of the test. */
static inline int pair(fixture *f, ln_sock *sock) {
    int before = f->accepted;
    int fd = dial(&f->at);
    UNTIL(f, f->accepted > before);
    assert_int_equal(ln_sock_adopt(f->loop, sock, 1, f->fds[before]), LINNET_OK);
    f->fds[before] = -1;
    return fd;
}

static inline void end_pair(fixture *f, ln_sock *sock, int fd) {
    int before = f->closed;
    ln_sock_close(f->loop, sock, false);
    UNTIL(f, f->closed > before);
    close(fd);
}

/* What an option of the socket is. */
static inline void get(int fd, int name, int expected) {
    int value = -1;
    socklen_t size = sizeof value;
    assert_int_equal(getsockopt(fd, IPPROTO_TCP, name, &value, &size), 0);
    assert_int_equal(value, expected);
}
#endif
