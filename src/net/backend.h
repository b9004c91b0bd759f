/* backend.h -- what stands behind a loop: one table of operations.
 *
 * Three are written: epoll (the kernel), pipe (memory; a guest in every loop, next to its own
 * backend) and sim (a virtual network with a virtual clock, tests only). The shape is that of
 * completions: an operation is begun, and ends in exactly one completion that `next` hands out,
 * also when it is cancelled. So io_uring would fit; readiness fits because it is easy to make
 * completions of it, while the reverse is not.
 *
 * loop.c is the front: it checks arguments and states, keeps the closing list, and calls the
 * table. A backend therefore never sees a call for a sock that is closing.
 *
 *   NONE -> CONNECTING -> OPEN -> CLOSING -> NONE        streams
 *   NONE -> LISTENING -> UNLISTENING -> NONE             listeners
 *
 * A sock that is closing may still be named by events that are waiting to be handed out; they are
 * skipped by that state. Its memory goes with the CLOSED completion, and that comes only when
 * the batch is over: no pointer to it is left anywhere then.
 */
#ifndef LN_NET_BACKEND_H
#define LN_NET_BACKEND_H
#include "net/loop.h"

typedef enum ln_sock_state {
    LN_SOCK_NONE,
    LN_SOCK_CONNECTING,
    LN_SOCK_OPEN,
    LN_SOCK_LISTENING,
    LN_SOCK_CLOSING,
    LN_SOCK_UNLISTENING,
    LN_SOCK_WATCH, /* the rest: things of the backend that borrow the head of a sock */
    LN_SOCK_WAKE,
    LN_SOCK_ALARM,
} ln_sock_state;

enum {                   /* ln_sock.flags */
    LN_SOCK_RECV = 1,    /* armed: receiving, or accepting */
    LN_SOCK_SEND = 2,    /* a send is pending */
    LN_SOCK_LARGE = 4,   /* receives up to LN_RECV_LARGE */
    LN_SOCK_ENDED = 8,   /* the last RECV (result <= 0) has been handed out */
    LN_SOCK_SHUT = 16,   /* shutdown was called */
    LN_SOCK_ADDED = 32,  /* the kernel's set knows the descriptor, with `interest` */
    LN_SOCK_LINKED = 64, /* `link` is in use, not `fd` */
    LN_SOCK_BOUND = 128, /* a Unix listener whose file we made */
};

/* What ln_sock.link of an end without descriptor points to begins with this. */
typedef struct ln_link {
    const ln_backend_ops *ops; /* who serves it: the pipe in every loop, or the simulator */
    ln_addr peer;
} ln_link;

struct ln_backend_ops {
    const char *name;

    /* Sets loop->backend and loop->now. LINNET_ERR_NOMEM, LINNET_ERR_SYS: nothing is held. */
    int (*init)(ln_loop *loop, void *arg);
    void (*fini)(ln_loop *loop);
    int (*fd)(const ln_loop *loop);
    int (*rest)(ln_loop *loop, ln_msec deadline);

    /* Sleeps until something is there or `deadline`, sets loop->now. Returns at once while
     * completions of an earlier wait have not been pulled. */
    int (*wait)(ln_loop *loop, ln_msec deadline);
    /* False when the batch is over. */
    bool (*next)(ln_loop *loop, ln_completion *c);
    ln_msec (*clock)(const ln_loop *loop); /* what loop->now is read from */
    void (*wake)(ln_loop *loop);           /* any thread */

    /* Streams; the front has initialised the sock and sets its state after success. */
    int (*adopt)(ln_loop *loop, ln_sock *sock, int fd);
    int (*connect)(ln_loop *loop, ln_sock *sock, const ln_addr *to, const ln_addr *from);
    /* LN_SOCK_RECV has changed; an error is undone by the front. */
    int (*recv)(ln_loop *loop, ln_sock *sock);
    int (*send)(ln_loop *loop, ln_sock *sock, ln_slice data);
    void (*shutdown)(ln_loop *loop, ln_sock *sock);
    /* Ends by ln_loop_closed(), now or later. */
    void (*close)(ln_loop *loop, ln_sock *sock, bool abort);
    int (*release)(ln_loop *loop, ln_sock *sock);

    int (*listen)(ln_loop *loop, ln_listener *l, const ln_addr *at,
        const ln_listen_options *options, ln_addr *bound);
    int (*listen_adopt)(ln_loop *loop, ln_listener *l, int fd);
    void (*arm)(ln_loop *loop, ln_listener *l, bool on);
    void (*unlisten)(ln_loop *loop, ln_listener *l);

    int (*watch)(ln_loop *loop, int fd, unsigned events, void *user);
};

extern const ln_backend_ops ln_epoll_ops, ln_pipe_ops;

struct ln_loop {
    const ln_backend_ops *ops;
    void *backend;            /* its state */
    uint8_t *buffer;          /* LN_RECV_HEADROOM + LN_RECV_LARGE, shared by all receives */
    ln_list closing;          /* CLOSED is due: sock.node */
    ln_list pipes, pipes_now; /* ends with something to tell: next turn, this turn */
    ln_msec now;
    bool left; /* nobody turns it now: `now` grows old */
    uint32_t busy_poll_us;
    uint32_t open; /* socks and listeners that have not been CLOSED or released */
    ln_wheel wheel;
};

/* A backend is done with a sock that the front has marked CLOSING or UNLISTENING. */
void ln_loop_closed(ln_loop *loop, ln_sock *sock);

/* Fills everything but addr; returns c. */
ln_completion *ln_completion_set(
    ln_completion *c, ln_completion_kind kind, ln_sock *sock, int result);
/* Where the next receive goes and how much fits. */
ln_wslice ln_loop_room(ln_loop *loop, const ln_sock *sock);

/* pipe.c: the next completion of the pipes whose turn it is. */
bool ln_pipe_next(ln_loop *loop, ln_completion *c);

/* fd.c: the system calls that make and prepare descriptors. All return LINNET_OK or an error
 * with errno, and hold nothing then. */
int ln_fd_listen(
    const ln_addr *at, const ln_listen_options *options, int *fd, ln_addr *bound, bool *made_file);
int ln_fd_connect(const ln_addr *to, const ln_addr *from, int *fd);
void ln_fd_close_listener(int fd, bool made_file);
void ln_fd_abort(int fd); /* RST instead of FIN at the coming close */
#endif
