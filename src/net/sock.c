/* sock.c -- the front of streams and listeners: arguments and states are checked here, the
 * backend does the work. */
#include "net/backend.h"
#include <assert.h>

static const ln_backend_ops *ops_of(const ln_loop *loop, const ln_sock *sock) {
    return sock->flags & LN_SOCK_LINKED ? ((const ln_link *)sock->link)->ops : loop->ops;
}

static bool alive(const ln_sock *sock) {
    return sock->state == LN_SOCK_OPEN || sock->state == LN_SOCK_CONNECTING;
}

static void sock_init(ln_sock *sock, uint8_t kind) {
    *sock = (ln_sock){ .kind = kind };
    ln_list_init(&sock->node);
}

/* The object counts as open from here on; `err` is what the backend said. */
static int opened(ln_loop *loop, ln_sock *sock, ln_sock_state state, int err) {
    if (err < 0) return err;
    sock->state = (uint8_t)state;
    loop->open++;
    return LINNET_OK;
}

int ln_sock_adopt(ln_loop *loop, ln_sock *sock, uint8_t kind, int fd) {
    assert(fd >= 0);
    sock_init(sock, kind);
    return opened(loop, sock, LN_SOCK_OPEN, loop->ops->adopt(loop, sock, fd));
}

int ln_sock_connect(
    ln_loop *loop, ln_sock *sock, uint8_t kind, const ln_addr *to, const ln_addr *from) {
    sock_init(sock, kind);
    return opened(loop, sock, LN_SOCK_CONNECTING, loop->ops->connect(loop, sock, to, from));
}

int ln_sock_recv_start(ln_loop *loop, ln_sock *sock) {
    assert(sock->state == LN_SOCK_OPEN);
    if (sock->flags & LN_SOCK_RECV) return LINNET_OK;
    sock->flags |= LN_SOCK_RECV;
    int err = ops_of(loop, sock)->recv(loop, sock);
    if (err < 0) sock->flags &= (uint8_t)~LN_SOCK_RECV;
    return err;
}

int ln_sock_recv_pause(ln_loop *loop, ln_sock *sock) {
    assert(sock->state == LN_SOCK_OPEN);
    if (!(sock->flags & LN_SOCK_RECV)) return LINNET_OK;
    sock->flags &= (uint8_t)~LN_SOCK_RECV;
    return ops_of(loop, sock)->recv(loop, sock);
}

void ln_sock_recv_into(ln_loop *loop, ln_sock *sock, ln_wslice room) {
    (void)loop;
    assert((room.data == NULL) == (room.size == 0));
    sock->into = room.data;
    sock->into_size = room.size > LN_RECV_LARGE ? LN_RECV_LARGE : (uint32_t)room.size;
}

void ln_sock_recv_large(ln_loop *loop, ln_sock *sock, bool large) {
    (void)loop;
    if (large)
        sock->flags |= LN_SOCK_LARGE;
    else
        sock->flags &= (uint8_t)~LN_SOCK_LARGE;
}

int ln_sock_send(ln_loop *loop, ln_sock *sock, ln_slice data) {
    assert(sock->state == LN_SOCK_OPEN);
    assert(!(sock->flags & (LN_SOCK_SEND | LN_SOCK_SHUT)));
    if (data.size == 0) return LN_DONE;
    return ops_of(loop, sock)->send(loop, sock, data);
}

void ln_sock_shutdown(ln_loop *loop, ln_sock *sock) {
    assert(sock->state == LN_SOCK_OPEN);
    assert(!(sock->flags & LN_SOCK_SEND));
    if (sock->flags & LN_SOCK_SHUT) return;
    sock->flags |= LN_SOCK_SHUT;
    ops_of(loop, sock)->shutdown(loop, sock);
}

void ln_sock_close(ln_loop *loop, ln_sock *sock, bool abort) {
    assert(alive(sock));
    ln_list_remove(&sock->node);
    sock->state = LN_SOCK_CLOSING;
    ops_of(loop, sock)->close(loop, sock, abort);
}

bool ln_sock_closing(const ln_sock *sock) {
    return sock->state == LN_SOCK_CLOSING || sock->state == LN_SOCK_UNLISTENING;
}

int ln_sock_release(ln_loop *loop, ln_sock *sock) {
    assert(sock->state == LN_SOCK_OPEN);
    assert(!(sock->flags & LN_SOCK_SEND));
    int fd = ops_of(loop, sock)->release(loop, sock);
    if (fd < 0) return fd;
    ln_list_remove(&sock->node);
    sock->state = LN_SOCK_NONE;
    loop->open--;
    return fd;
}

int ln_listen(ln_loop *loop, ln_listener *l, uint8_t kind, const ln_addr *at,
    const ln_listen_options *options, ln_addr *bound) {
    static const ln_listen_options ordinary = { .backlog = 0 };
    *l = (ln_listener){ .since = 0 };
    sock_init(&l->sock, kind);
    ln_list_init(&l->node);
    l->sock.flags |= LN_SOCK_RECV;
    int err = loop->ops->listen(loop, l, at, options ? options : &ordinary, bound);
    return opened(loop, &l->sock, LN_SOCK_LISTENING, err);
}

int ln_listen_adopt(ln_loop *loop, ln_listener *l, uint8_t kind, int fd) {
    assert(fd >= 0);
    *l = (ln_listener){ .since = 0 };
    sock_init(&l->sock, kind);
    ln_list_init(&l->node);
    l->sock.flags |= LN_SOCK_RECV;
    return opened(loop, &l->sock, LN_SOCK_LISTENING, loop->ops->listen_adopt(loop, l, fd));
}

void ln_listener_arm(ln_loop *loop, ln_listener *l, bool on) {
    assert(l->sock.state == LN_SOCK_LISTENING);
    if (on == ((l->sock.flags & LN_SOCK_RECV) != 0)) return;
    l->sock.flags ^= LN_SOCK_RECV;
    loop->ops->arm(loop, l, on);
}

void ln_listener_close(ln_loop *loop, ln_listener *l) {
    assert(l->sock.state == LN_SOCK_LISTENING);
    ln_list_remove(&l->node);
    ln_list_remove(&l->sock.node);
    l->sock.state = LN_SOCK_UNLISTENING;
    loop->ops->unlisten(loop, l);
}

int ln_loop_watch(ln_loop *loop, int fd, unsigned events, void *user) {
    assert(fd >= 0);
    assert(!(events & ~(unsigned)(LN_READ | LN_WRITE)));
    return loop->ops->watch(loop, fd, events, user);
}
