/* pipe.c -- two ends of a stream in memory: a guest in every loop.
 *
 * What one end sends lies in the other's buffer until the other's turn. An end with something to
 * tell stands in loop->pipes; ln_loop_wait moves that list to pipes_now, so what is sent in one
 * turn arrives in the next and two ends that answer each other cannot keep a turn going.
 */
#include "base/buf.h"
#include "base/mem.h"
#include "net/backend.h"
#include <assert.h>
#include <stddef.h>
#include <sys/un.h>

#define PIPE_MAX (256 * 1024) /* bytes on the way, each direction */

typedef struct end {
    ln_link link;
    ln_sock *sock; /* NULL: closed */
    struct end *other;
    ln_buf in; /* sent to this end, not yet received */
    bool fin;  /* nothing more will come */
    bool reset;
} end;

typedef struct pipe_pair { /* freed when both ends are closed */
    end ends[2];
} pipe_pair;

static end *end_of(const ln_sock *sock) {
    return sock->link;
}

static void tell(ln_loop *loop, const end *e) {
    if (e->sock && !ln_list_linked(&e->sock->node)) ln_list_push(&loop->pipes, &e->sock->node);
}

static bool receiving(const ln_sock *sock) {
    return (sock->flags & (LN_SOCK_RECV | LN_SOCK_ENDED)) == LN_SOCK_RECV;
}

static void end_init(end *e, ln_sock *sock, uint8_t kind, end *other) {
    *e = (end){ .link.ops = &ln_pipe_ops, .sock = sock, .other = other };
    e->link.peer.size = offsetof(struct sockaddr_un, sun_path);
    e->link.peer.sa.sa_family = AF_UNIX;
    ln_buf_init(&e->in, PIPE_MAX);
    *sock = (ln_sock){ .kind = kind, .state = LN_SOCK_OPEN, .flags = LN_SOCK_LINKED, .link = e };
    ln_list_init(&sock->node);
}

int ln_sock_pipe(ln_loop *loop, ln_sock *a, uint8_t kind_a, ln_sock *b, uint8_t kind_b) {
    pipe_pair *pair = ln_malloc(sizeof *pair);
    if (!pair) return LINNET_ERR_NOMEM;
    end_init(&pair->ends[0], a, kind_a, &pair->ends[1]);
    end_init(&pair->ends[1], b, kind_b, &pair->ends[0]);
    loop->open += 2;
    return LINNET_OK;
}

static int pipe_recv(ln_loop *loop, ln_sock *sock) {
    const end *e = end_of(sock);
    if (receiving(sock) && (e->in.size || e->fin || e->reset)) tell(loop, e);
    return LINNET_OK;
}

/* Puts as much as fits into what the peer will read. LINNET_ERR_NOMEM only when there is no
 * room at all. */
static int pour(end *to, ln_slice data, size_t *taken) {
    size_t n = PIPE_MAX - to->in.size;
    if (n > data.size) n = data.size;
    *taken = 0;
    if (n == 0) return LINNET_OK;
    int err = ln_buf_reserve(&to->in, n);
    ln_wslice room = ln_buf_room(&to->in);
    if (err < 0) {
        if (room.size == 0 && to->in.size == 0) return err;
        if (n > room.size) n = room.size;
    }
    if (n) memcpy(room.data, data.data, n);
    ln_buf_commit(&to->in, n);
    *taken = n;
    return LINNET_OK;
}

static int pipe_send(ln_loop *loop, ln_sock *sock, ln_slice data) {
    end *to = end_of(sock)->other;
    if (!to->sock || end_of(sock)->reset) return LINNET_ERR_RESET;
    size_t taken;
    int err = pour(to, data, &taken);
    if (err < 0) return err;
    if (receiving(to->sock)) tell(loop, to);
    if (taken == data.size) return LN_DONE;
    sock->send_data = data.data + taken;
    sock->send_left = data.size - taken;
    sock->flags |= LN_SOCK_SEND;
    return LN_PENDING;
}

static void pipe_shutdown(ln_loop *loop, ln_sock *sock) {
    end *to = end_of(sock)->other;
    to->fin = true;
    tell(loop, to);
}

static void pipe_close(ln_loop *loop, ln_sock *sock, bool abort) {
    end *e = end_of(sock), *to = e->other;
    bool lost = sock->flags & LN_SOCK_SEND || e->in.size > 0;
    e->sock = NULL;
    ln_buf_fini(&e->in);
    sock->flags &= (uint8_t)~LN_SOCK_LINKED;
    sock->fd = -1;
    to->fin = true;
    if (abort || lost) { /* as the kernel does: unread or unsent bytes make it a reset */
        to->reset = true;
        ln_buf_fini(&to->in);
    }
    if (to->sock)
        tell(loop, to);
    else
        ln_free(e < to ? (void *)e : (void *)to); /* the pair begins with its first end */
    ln_loop_closed(loop, sock);
}

static int pipe_release(ln_loop *loop, ln_sock *sock) {
    (void)loop;
    (void)sock;
    return -1;
}

/* Some of the peer's bytes were read: its pending send goes on. */
static void refill(ln_loop *loop, end *e) {
    ln_sock *from = e->other->sock;
    size_t taken;
    if (!from || !(from->flags & LN_SOCK_SEND)) return;
    if (pour(e, ln_slice_of(from->send_data, from->send_left), &taken) < 0) return;
    from->send_data += taken;
    from->send_left -= taken;
    if (from->send_left == 0) tell(loop, e->other);
}

static bool next_data(ln_loop *loop, end *e, ln_completion *c) {
    ln_wslice room = ln_loop_room(loop, e->sock);
    size_t n = e->in.size < room.size ? e->in.size : room.size;
    memcpy(room.data, ln_buf_slice(&e->in).data, n);
    ln_buf_consume(&e->in, n);
    if (e->in.size == 0) ln_buf_clear(&e->in);
    refill(loop, e);
    if (e->in.size || e->fin) tell(loop, e);
    ln_completion_set(c, LN_C_RECV, e->sock, (int)n);
    c->data = (ln_wslice){ room.data, n };
    return true;
}

static bool next_end(end *e, ln_completion *c, int result) {
    e->sock->flags |= LN_SOCK_ENDED;
    ln_completion_set(c, LN_C_RECV, e->sock, result);
    return true;
}

static bool next_of(ln_loop *loop, end *e, ln_completion *c) {
    ln_sock *sock = e->sock;
    bool gone = !e->other->sock;
    if (sock->flags & LN_SOCK_SEND && (sock->send_left == 0 || gone)) {
        sock->flags &= (uint8_t)~LN_SOCK_SEND;
        tell(loop, e);
        ln_completion_set(c, LN_C_SENT, sock, sock->send_left ? LINNET_ERR_RESET : LINNET_OK);
        return true;
    }
    if (sock->flags & LN_SOCK_ENDED) return false;
    if (e->reset) return next_end(e, c, LINNET_ERR_RESET);
    if (!receiving(sock)) return false;
    if (e->in.size) return next_data(loop, e, c);
    return e->fin && next_end(e, c, 0);
}

bool ln_pipe_next(ln_loop *loop, ln_completion *c) {
    ln_list *node;
    while ((node = ln_list_pop(&loop->pipes_now)))
        if (next_of(loop, end_of(ln_list_item(node, ln_sock, node)), c)) return true;
    return false;
}

const ln_backend_ops ln_pipe_ops = {
    .name = "pipe",
    .recv = pipe_recv,
    .send = pipe_send,
    .shutdown = pipe_shutdown,
    .close = pipe_close,
    .release = pipe_release,
};
