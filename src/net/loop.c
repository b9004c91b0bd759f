#include "base/mem.h"
#include "net/backend.h"
#include <assert.h>

static_assert(sizeof(ln_sock) <= 56, "idle connections are counted in bytes");

int ln_loop_new(const ln_loop_options *options, ln_loop **out) {
    static const ln_loop_options ordinary = { .busy_poll_us = 0 };
    if (!options) options = &ordinary;

    int err = LINNET_ERR_NOMEM;
    ln_loop *loop = ln_calloc(1, sizeof *loop);
    if (!loop) return err;
    loop->ops = options->backend ? options->backend : &ln_epoll_ops;
    loop->busy_poll_us = options->busy_poll_us;
    ln_list_init(&loop->closing);
    ln_list_init(&loop->pipes);
    ln_list_init(&loop->pipes_now);
    loop->buffer = ln_malloc(LN_RECV_HEADROOM + LN_RECV_LARGE);
    if (!loop->buffer) goto fail_loop;
    if ((err = loop->ops->init(loop, options->backend_arg)) < 0) goto fail_buffer;

    loop->left = true;
    ln_wheel_init(&loop->wheel, loop->now);
    *out = loop;
    return LINNET_OK;
fail_buffer:
    ln_free(loop->buffer);
fail_loop:
    ln_free(loop);
    return err;
}

void ln_loop_free(ln_loop *loop) {
    if (!loop) return;
    assert(loop->open == 0);
    loop->ops->fini(loop);
    ln_free(loop->buffer);
    ln_free(loop);
}

int ln_loop_fd(const ln_loop *loop) {
    return loop->ops->fd(loop);
}

ln_msec ln_loop_now(const ln_loop *loop) {
    return loop->left ? loop->ops->clock(loop) : loop->now;
}

void ln_loop_leave(ln_loop *loop) {
    loop->left = true;
}

ln_wheel *ln_loop_wheel(ln_loop *loop) {
    return &loop->wheel;
}

void ln_loop_wake(ln_loop *loop) {
    loop->ops->wake(loop);
}

/* When the next wait must be over even if the kernel has nothing to say; 0: at once. */
static ln_msec own_deadline(const ln_loop *loop) {
    bool waiting = !ln_list_empty(&loop->closing) || !ln_list_empty(&loop->pipes) ||
                   !ln_list_empty(&loop->pipes_now);
    return waiting ? 0 : ln_wheel_deadline(&loop->wheel);
}

int ln_loop_rest(ln_loop *loop, ln_msec deadline) {
    ln_msec own = own_deadline(loop);
    return loop->ops->rest(loop, own < deadline ? own : deadline);
}

int ln_loop_wait(ln_loop *loop, ln_msec deadline) {
    ln_msec own = own_deadline(loop);
    int err = loop->ops->wait(loop, own < deadline ? own : deadline);
    loop->left = false;
    /* What pipes have to tell from here on is for the next turn: two ends that answer each
     * other would keep this one going for ever. */
    ln_list_splice(&loop->pipes_now, &loop->pipes);
    return err;
}

ln_completion *ln_completion_set(
    ln_completion *c, ln_completion_kind kind, ln_sock *sock, int result) {
    c->kind = kind;
    c->result = result;
    c->sock = sock;
    c->listener = NULL;
    c->data = (ln_wslice){ NULL, 0 };
    c->fd = -1;
    c->events = 0;
    c->user = NULL;
    c->addr.size = 0;
    return c;
}

ln_wslice ln_loop_room(ln_loop *loop, const ln_sock *sock) {
    if (sock->into) return (ln_wslice){ sock->into, sock->into_size };
    return (ln_wslice){ loop->buffer + LN_RECV_HEADROOM,
        sock->flags & LN_SOCK_LARGE ? LN_RECV_LARGE : LN_RECV_ORDINARY };
}

void ln_loop_closed(ln_loop *loop, ln_sock *sock) {
    assert(sock->state == LN_SOCK_CLOSING || sock->state == LN_SOCK_UNLISTENING);
    ln_list_remove(&sock->node);
    ln_list_push(&loop->closing, &sock->node);
}

static bool next_closed(ln_loop *loop, ln_completion *c) {
    if (ln_list_empty(&loop->closing)) return false;
    ln_sock *sock = ln_list_item(loop->closing.next, ln_sock, node);
    if (sock->flags & LN_SOCK_SEND) {
        sock->flags &= (uint8_t)~LN_SOCK_SEND;
        ln_completion_set(c, LN_C_SENT, sock, LINNET_ERR_CANCELLED);
        return true;
    }
    bool listener = sock->state == LN_SOCK_UNLISTENING;
    ln_list_remove(&sock->node);
    sock->state = LN_SOCK_NONE;
    assert(loop->open > 0);
    loop->open--;
    if (listener) {
        ln_completion_set(c, LN_C_LISTENER_CLOSED, NULL, 0);
        c->listener = ln_list_item(sock, ln_listener, sock);
    } else {
        ln_completion_set(c, LN_C_CLOSED, sock, 0);
    }
    return true;
}

bool ln_loop_next(ln_loop *loop, ln_completion *c) {
    return loop->ops->next(loop, c) || ln_pipe_next(loop, c) || next_closed(loop, c);
}
