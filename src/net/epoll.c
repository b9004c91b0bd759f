/* epoll.c -- the kernel's readiness, made into completions.
 *
 * Level-triggered, and each ready descriptor is read once per turn: a short read is not followed
 * by another that would only find EAGAIN, and what is left over wakes the next turn. The kernel's
 * set is told about a change of interest when the turn is over and only if something is different
 * then, so pausing and resuming within a turn costs nothing; only the first ADD happens at once,
 * because it can fail.
 *
 * EPOLLHUP and EPOLLERR cannot be masked and would make a level-triggered loop spin for as long
 * as the owner does not close. A descriptor that reports them while nobody can be told is taken
 * out of the set (forget), and comes back when its owner wants something again.
 */
#include "base/mem.h"
#include "net/backend.h"
#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

#define EVENTS_MAX     512
#define ACCEPT_BUDGET  64 /* per listener and turn, THREATS row 70 */
#define BACKOFF_MIN_MS 10 /* after descriptors or memory ran out, row 67 */
#define BACKOFF_MAX_MS 100
#define NO_ALARM       LN_NEVER

typedef struct watch {
    ln_sock sock; /* node: in watches or graves; fd, interest */
    void *user;
} watch;

typedef struct backend {
    int fd;
    int at, count;       /* events[at..count) are waiting to be handed out */
    unsigned accepts;    /* left of the budget for the listener at hand */
    bool accepted;       /* whether one of them succeeded */
    ln_msec alarm_at;    /* what the timerfd is set to */
    ln_sock wake, alarm; /* eventfd and timerfd; the second only after the first ln_loop_rest */
    ln_list changed;     /* socks whose interest may differ from what the kernel knows */
    ln_list starved;     /* listeners that wait for descriptors */
    ln_list watches, graves;
    struct epoll_event events[EVENTS_MAX];
} backend;

/* -- interest ---------------------------------------------------------------------------- */

static uint8_t wanted(const ln_sock *sock) {
    if (sock->state == LN_SOCK_CONNECTING) return LN_WRITE;
    unsigned want = 0;
    if ((sock->flags & (LN_SOCK_RECV | LN_SOCK_ENDED)) == LN_SOCK_RECV) want |= LN_READ;
    if (sock->flags & LN_SOCK_SEND) want |= LN_WRITE;
    return (uint8_t)want;
}

static uint32_t mask_of(unsigned interest) {
    uint32_t mask = 0;
    if (interest & LN_READ) mask |= EPOLLIN | EPOLLRDHUP;
    if (interest & LN_WRITE) mask |= EPOLLOUT;
    return mask;
}

static int control(backend *b, int op, ln_sock *sock, uint32_t mask) {
    struct epoll_event event = { .events = mask, .data.ptr = sock };
    if (epoll_ctl(b->fd, op, sock->fd, &event) == 0) return LINNET_OK;
    return errno == ENOMEM ? LINNET_ERR_NOMEM : LINNET_ERR_SYS;
}

static int add(backend *b, ln_sock *sock, uint8_t interest) {
    int err = control(b, EPOLL_CTL_ADD, sock, mask_of(interest));
    if (err < 0) return err;
    sock->flags |= LN_SOCK_ADDED;
    sock->interest = interest;
    return LINNET_OK;
}

static void forget(backend *b, ln_sock *sock) {
    ln_list_remove(&sock->node);
    if (!(sock->flags & LN_SOCK_ADDED)) return;
    (void)control(b, EPOLL_CTL_DEL, sock, 0);
    sock->flags &= (uint8_t)~LN_SOCK_ADDED;
    sock->interest = 0;
}

/* What a sock wants may have changed. */
static int changed(backend *b, ln_sock *sock) {
    uint8_t want = wanted(sock);
    if (!(sock->flags & LN_SOCK_ADDED)) return want ? add(b, sock, want) : LINNET_OK;
    if (want != sock->interest && !ln_list_linked(&sock->node))
        ln_list_push(&b->changed, &sock->node);
    return LINNET_OK;
}

/* The turn is over: tells the kernel what is still different. A MOD allocates nothing. */
static void tell_changes(backend *b) {
    ln_list *node;
    while ((node = ln_list_pop(&b->changed))) {
        ln_sock *sock = ln_list_item(node, ln_sock, node);
        uint8_t want = wanted(sock);
        if (want == sock->interest) continue;
        (void)control(b, EPOLL_CTL_MOD, sock, mask_of(want));
        sock->interest = want;
    }
}

/* The sock's memory is about to go in the middle of a batch: no event may name it. */
static void scrub(backend *b, const ln_sock *sock) {
    for (int i = b->at; i < b->count; i++)
        if (b->events[i].data.ptr == sock) b->events[i].data.ptr = NULL;
}

/* -- the loop ---------------------------------------------------------------------------- */

static ln_msec clock_ms(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (ln_msec)t.tv_sec * 1000 + (ln_msec)t.tv_nsec / 1000000;
}

static uint64_t clock_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000 + (uint64_t)t.tv_nsec / 1000;
}

/* Edge-triggered, so that nobody ever needs to read it: each write is an edge of its own. */
static int add_helper(backend *b, ln_sock *sock, ln_sock_state state, int fd) {
    *sock = (ln_sock){ .fd = fd, .state = (uint8_t)state };
    ln_list_init(&sock->node);
    if (fd == -1) return LINNET_ERR_SYS;
    return control(b, EPOLL_CTL_ADD, sock, EPOLLIN | EPOLLET);
}

static int epoll_init(ln_loop *loop, void *arg) {
    (void)arg;
    backend *b = ln_malloc(sizeof *b);
    if (!b) return LINNET_ERR_NOMEM;
    b->at = b->count = 0;
    b->alarm_at = NO_ALARM;
    b->alarm.fd = -1;
    ln_list_init(&b->changed);
    ln_list_init(&b->starved);
    ln_list_init(&b->watches);
    ln_list_init(&b->graves);

    int err = LINNET_ERR_SYS;
    if ((b->fd = epoll_create1(EPOLL_CLOEXEC)) == -1) goto fail_alloc;
    int wake = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC);
    if ((err = add_helper(b, &b->wake, LN_SOCK_WAKE, wake)) < 0) goto fail_fd;

    loop->backend = b;
    loop->now = clock_ms();
    return LINNET_OK;
fail_fd:
    if (wake != -1) close(wake);
    close(b->fd);
fail_alloc:
    ln_free(b);
    return err;
}

static void free_watches(ln_list *list) {
    ln_list *node;
    while ((node = ln_list_pop(list)))
        ln_free(ln_list_item(node, watch, sock.node));
}

static void epoll_fini(ln_loop *loop) {
    backend *b = loop->backend;
    free_watches(&b->watches);
    free_watches(&b->graves);
    if (b->alarm.fd != -1) close(b->alarm.fd);
    close(b->wake.fd);
    close(b->fd);
    ln_free(b);
}

static int epoll_fd(const ln_loop *loop) {
    return ((const backend *)loop->backend)->fd;
}

static void epoll_wake(ln_loop *loop) {
    const backend *b = loop->backend;
    uint64_t one = 1;
    int keep = errno; /* a signal handler may be who calls */
    while (write(b->wake.fd, &one, sizeof one) == -1 && errno == EINTR) {
    }
    errno = keep;
}

static void rearm(backend *b, ln_listener *l);

/* The earliest time at which a starved listener tries again. */
static ln_msec starved_deadline(const backend *b) {
    ln_msec first = LN_NEVER;
    LN_LIST_FOREACH(node, &b->starved) {
        const ln_listener *l = ln_list_item(node, ln_listener, node);
        if (l->retry_at < first) first = l->retry_at;
    }
    return first;
}

static void retry_starved(backend *b, ln_msec now) {
    LN_LIST_FOREACH_SAFE(node, &b->starved) {
        ln_listener *l = ln_list_item(node, ln_listener, node);
        if (l->retry_at <= now) rearm(b, l);
    }
}

static ln_msec epoll_clock(const ln_loop *loop) {
    (void)loop;
    return clock_ms();
}

static int timeout_of(ln_msec deadline, ln_msec now) {
    if (deadline == LN_NEVER) return -1;
    if (deadline <= now) return 0;
    return deadline - now > INT32_MAX ? INT32_MAX : (int)(deadline - now);
}

/* Waking up costs microseconds; whoever wants them back pays with a core. */
static int spin(const backend *b, struct epoll_event *events, uint32_t us) {
    uint64_t end = clock_us() + us;
    int n;
    do {
        n = epoll_wait(b->fd, events, EVENTS_MAX, 0);
    } while (n == 0 && clock_us() < end);
    return n;
}

static int epoll_wait_turn(ln_loop *loop, ln_msec deadline) {
    backend *b = loop->backend;
    if (b->at < b->count) return LINNET_OK;
    tell_changes(b);
    ln_msec starved = starved_deadline(b);
    int timeout = timeout_of(starved < deadline ? starved : deadline, ln_loop_now(loop));

    int n = 0;
    if (loop->busy_poll_us && timeout != 0) n = spin(b, b->events, loop->busy_poll_us);
    if (n == 0) n = epoll_wait(b->fd, b->events, EVENTS_MAX, timeout);
    if (n == -1 && errno != EINTR) return LINNET_ERR_SYS;
    b->at = 0;
    b->count = n == -1 ? 0 : n;
    b->accepts = ACCEPT_BUDGET;
    b->accepted = false;
    loop->now = clock_ms();
    if (!ln_list_empty(&b->starved)) retry_starved(b, loop->now);
    return LINNET_OK;
}

static int set_alarm(backend *b, ln_msec at) {
    if (at == b->alarm_at) return LINNET_OK;
    if (b->alarm.fd == -1) {
        int fd = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        if (add_helper(b, &b->alarm, LN_SOCK_ALARM, fd) < 0) {
            if (fd != -1) close(fd);
            b->alarm.fd = -1;
            return LINNET_ERR_SYS;
        }
    }
    struct itimerspec spec = { .it_value = { 0, 0 } };
    if (at != NO_ALARM) {
        spec.it_value.tv_sec = (time_t)(at / 1000);
        spec.it_value.tv_nsec = (long)(at % 1000 * 1000000) + 1; /* 0 would disarm it */
    }
    if (timerfd_settime(b->alarm.fd, TFD_TIMER_ABSTIME, &spec, NULL) == -1) return LINNET_ERR_SYS;
    b->alarm_at = at;
    return LINNET_OK;
}

static int epoll_rest(ln_loop *loop, ln_msec deadline) {
    backend *b = loop->backend;
    tell_changes(b);
    if (deadline <= loop->now || b->at < b->count) {
        epoll_wake(loop);
        return LINNET_OK;
    }
    ln_msec starved = starved_deadline(b);
    return set_alarm(b, starved < deadline ? starved : deadline);
}

/* -- streams ----------------------------------------------------------------------------- */

static int epoll_adopt(ln_loop *loop, ln_sock *sock, int fd) {
    (void)loop;
    sock->fd = fd;
    return LINNET_OK; /* the kernel's set learns of it when something is wanted */
}

static int epoll_connect(ln_loop *loop, ln_sock *sock, const ln_addr *to, const ln_addr *from) {
    int err = ln_fd_connect(to, from, &sock->fd);
    if (err < 0) return err;
    err = add(loop->backend, sock, LN_WRITE);
    if (err < 0) close(sock->fd);
    return err;
}

/* Who is accepted has mostly sent something already: one look behind the events of this turn saves
 * a turn, and mostly a sleep, and costs little where nothing has come yet. */
static void guess(backend *b, ln_sock *sock) {
    if (b->at >= b->count || b->count == EVENTS_MAX) return;
    b->events[b->count++] = (struct epoll_event){ .events = EPOLLIN, .data.ptr = sock };
}

static int epoll_recv(ln_loop *loop, ln_sock *sock) {
    backend *b = loop->backend;
    bool fresh = !(sock->flags & LN_SOCK_ADDED);
    int err = changed(b, sock);
    if (fresh && sock->flags & LN_SOCK_ADDED) guess(b, sock);
    return err;
}

static bool transient(int number) {
    return number == EAGAIN || number == ENOBUFS || number == ENOMEM;
}

/* One send; what was taken is added to *taken. LN_DONE: nothing is left. */
static int send_once(const ln_sock *sock, ln_slice data, size_t *taken) {
    ssize_t n;
    do {
        n = send(sock->fd, data.data, data.size, MSG_NOSIGNAL);
    } while (n == -1 && errno == EINTR);
    if (n == -1) return transient(errno) ? LN_PENDING : LINNET_ERR_RESET;
    *taken = (size_t)n;
    return (size_t)n == data.size ? LN_DONE : LN_PENDING;
}

static int epoll_send(ln_loop *loop, ln_sock *sock, ln_slice data) {
    size_t taken = 0;
    int answer = send_once(sock, data, &taken);
    if (answer != LN_PENDING) return answer;

    sock->flags |= LN_SOCK_SEND;
    int err = changed(loop->backend, sock);
    if (err < 0) {
        sock->flags &= (uint8_t)~LN_SOCK_SEND;
        return err;
    }
    sock->send_data = data.data + taken;
    sock->send_left = data.size - taken;
    return LN_PENDING;
}

static void epoll_shutdown(ln_loop *loop, ln_sock *sock) {
    (void)loop;
    (void)shutdown(sock->fd, SHUT_WR);
}

/* close(2) takes a descriptor out of the set by itself, but not if somebody holds a duplicate of
 * it; then events would go on naming memory that is gone. 0.2 us are worth not having that. */
static void epoll_close(ln_loop *loop, ln_sock *sock, bool abort) {
    forget(loop->backend, sock);
    if (abort) ln_fd_abort(sock->fd);
    close(sock->fd);
    sock->fd = -1;
    ln_loop_closed(loop, sock);
}

static int epoll_release(ln_loop *loop, ln_sock *sock) {
    backend *b = loop->backend;
    forget(b, sock);
    scrub(b, sock);
    int fd = sock->fd;
    sock->fd = -1;
    return fd;
}

/* -- listeners --------------------------------------------------------------------------- */

/* EPOLLEXCLUSIVE: several workers may share one adopted listener, and one of them is enough to
 * wake. Such an entry cannot be modified, so arming is ADD and disarming DEL. */
static int watch_listener(backend *b, ln_listener *l) {
    int err = control(b, EPOLL_CTL_ADD, &l->sock, EPOLLIN | EPOLLEXCLUSIVE);
    if (err == LINNET_OK) l->sock.flags |= LN_SOCK_ADDED;
    return err;
}

static void starve(ln_loop *loop, ln_listener *l) {
    backend *b = loop->backend;
    ln_msec waited = l->since ? loop->now - l->since : 0;
    ln_msec pause = waited < BACKOFF_MIN_MS ? BACKOFF_MIN_MS : waited;
    if (!l->since) l->since = loop->now;
    l->retry_at = loop->now + (pause < BACKOFF_MAX_MS ? pause : BACKOFF_MAX_MS);
    l->refusals++;
    forget(b, &l->sock);
    if (!ln_list_linked(&l->node)) ln_list_push(&b->starved, &l->node);
}

static void rearm(backend *b, ln_listener *l) {
    if (watch_listener(b, l) < 0) { /* no memory: later */
        l->retry_at += BACKOFF_MAX_MS;
        return;
    }
    ln_list_remove(&l->node);
}

static int epoll_listen_adopt(ln_loop *loop, ln_listener *l, int fd) {
    int flags = fcntl(fd, F_GETFL);
    if (flags == -1 || fcntl(fd, F_SETFL, flags | O_NONBLOCK) == -1) return LINNET_ERR_SYS;
    l->sock.fd = fd;
    return watch_listener(loop->backend, l);
}

static int epoll_listen(ln_loop *loop, ln_listener *l, const ln_addr *at,
    const ln_listen_options *options, ln_addr *bound) {
    bool made_file = false;
    int err = ln_fd_listen(at, options, &l->sock.fd, bound, &made_file);
    if (err < 0) return err;
    err = watch_listener(loop->backend, l);
    if (err < 0) {
        ln_fd_close_listener(l->sock.fd, made_file);
        return err;
    }
    if (made_file) l->sock.flags |= LN_SOCK_BOUND;
    return LINNET_OK;
}

static void epoll_arm(ln_loop *loop, ln_listener *l, bool on) {
    backend *b = loop->backend;
    if (!on) {
        ln_list_remove(&l->node);
        forget(b, &l->sock);
    } else if (watch_listener(b, l) < 0) {
        starve(loop, l);
    }
}

static void epoll_unlisten(ln_loop *loop, ln_listener *l) {
    forget(loop->backend, &l->sock);
    ln_fd_close_listener(l->sock.fd, l->sock.flags & LN_SOCK_BOUND);
    l->sock.fd = -1;
    ln_loop_closed(loop, &l->sock);
}

/* -- watches ----------------------------------------------------------------------------- */

static watch *find_watch(backend *b, int fd) {
    LN_LIST_FOREACH(node, &b->watches) {
        watch *w = ln_list_item(node, watch, sock.node);
        if (w->sock.fd == fd) return w;
    }
    return NULL;
}

static void end_watch(backend *b, watch *w) {
    forget(b, &w->sock);
    w->sock.state = LN_SOCK_NONE; /* events of this batch may name it still */
    ln_list_push(&b->graves, &w->sock.node);
}

/* A library may have closed the descriptor and got the same number again without telling: then
 * the set does not know it any more. */
static int change_watch(backend *b, watch *w, unsigned events) {
    int err = control(b, EPOLL_CTL_MOD, &w->sock, mask_of(events) & ~(uint32_t)EPOLLRDHUP);
    if (err == LINNET_ERR_SYS && errno == ENOENT)
        err = control(b, EPOLL_CTL_ADD, &w->sock, mask_of(events) & ~(uint32_t)EPOLLRDHUP);
    if (err == LINNET_OK) w->sock.interest = (uint8_t)events;
    return err;
}

static int epoll_watch(ln_loop *loop, int fd, unsigned events, void *user) {
    backend *b = loop->backend;
    watch *w = find_watch(b, fd);
    if (events == 0) {
        if (w) end_watch(b, w);
        return LINNET_OK;
    }
    if (!w) {
        w = ln_calloc(1, sizeof *w);
        if (!w) return LINNET_ERR_NOMEM;
        w->sock.fd = fd;
        w->sock.state = LN_SOCK_WATCH;
        w->sock.flags = LN_SOCK_ADDED;
        ln_list_init(&w->sock.node);
        ln_list_push(&b->watches, &w->sock.node);
    }
    w->user = user;
    int err = change_watch(b, w, events);
    if (err < 0) end_watch(b, w);
    return err;
}

/* -- completions ------------------------------------------------------------------------- */

/* Each of these hands out one completion and returns true, or finds that the event at hand has
 * no more to say and returns false. */

static bool next_connect(backend *b, ln_sock *sock, ln_completion *c) {
    int number = 0;
    socklen_t size = sizeof number;
    if (getsockopt(sock->fd, SOL_SOCKET, SO_ERROR, &number, &size) == -1) number = errno;
    sock->state = LN_SOCK_OPEN;
    if (number == 0) {
        (void)changed(b, sock);
        ln_completion_set(c, LN_C_CONNECT, sock, LINNET_OK);
        return true;
    }
    sock->flags |= LN_SOCK_ENDED;
    forget(b, sock);
    ln_completion_set(
        c, LN_C_CONNECT, sock, number == ETIMEDOUT ? LINNET_ERR_TIMEOUT : LINNET_ERR_CONNECT);
    return true;
}

static bool next_sent(backend *b, ln_sock *sock, ln_completion *c) {
    size_t taken = 0;
    int answer = send_once(sock, ln_slice_of(sock->send_data, sock->send_left), &taken);
    sock->send_data += taken;
    sock->send_left -= taken;
    if (answer == LN_PENDING) return false;
    sock->flags &= (uint8_t)~LN_SOCK_SEND;
    (void)changed(b, sock);
    ln_completion_set(c, LN_C_SENT, sock, answer);
    return true;
}

/* The last RECV of this sock. */
static bool next_end(backend *b, ln_sock *sock, ln_completion *c, int result) {
    sock->flags |= LN_SOCK_ENDED;
    (void)changed(b, sock);
    ln_completion_set(c, LN_C_RECV, sock, result);
    return true;
}

static bool next_recv(ln_loop *loop, ln_sock *sock, uint32_t *events, ln_completion *c) {
    ln_wslice room = ln_loop_room(loop, sock);
    uint32_t had = *events;
    ssize_t n;
    do {
        n = recv(sock->fd, room.data, room.size, 0);
    } while (n == -1 && errno == EINTR);
    *events = 0;

    if (n > 0) {
        ln_completion_set(c, LN_C_RECV, sock, (int)n);
        c->data = (ln_wslice){ room.data, (size_t)n };
        /* A short read with the end behind it: the end is told in this turn too. */
        if (had & EPOLLRDHUP && (size_t)n < room.size) *events = had;
        return true;
    }
    if (n == -1 && transient(errno) && !(had & (EPOLLERR | EPOLLHUP))) return false;
    return next_end(loop->backend, sock, c, n == 0 && !(had & EPOLLERR) ? 0 : LINNET_ERR_RESET);
}

static bool next_stream(ln_loop *loop, ln_sock *sock, uint32_t *events, ln_completion *c) {
    backend *b = loop->backend;
    if (sock->flags & LN_SOCK_SEND && *events & (EPOLLOUT | EPOLLERR | EPOLLHUP)) {
        *events &= ~(uint32_t)EPOLLOUT;
        if (next_sent(b, sock, c)) return true;
    }
    if (!(*events & (EPOLLIN | EPOLLRDHUP | EPOLLERR | EPOLLHUP))) return false;
    bool ended = sock->flags & LN_SOCK_ENDED;
    if (sock->flags & LN_SOCK_RECV && !ended) return next_recv(loop, sock, events, c);

    uint32_t had = *events;
    *events = 0;
    if (!(had & (EPOLLERR | EPOLLHUP)) || sock->flags & LN_SOCK_SEND) return false;
    forget(b, sock);
    return had & EPOLLERR && !ended && next_end(b, sock, c, LINNET_ERR_RESET);
}

/* accept(2): errors of a connection that died in the queue, or of a network that is down, are
 * not ours; the next one may be fine. */
static bool accept_again(int number) {
    switch (number) {
    case EINTR:
    case ECONNABORTED:
    case EPROTO:
    case EPERM:
    case ENETDOWN:
    case ENOPROTOOPT:
    case EHOSTDOWN:
    case ENONET:
    case EHOSTUNREACH:
    case EOPNOTSUPP:
    case ENETUNREACH:
    case ETIMEDOUT: return true;
    default: return false;
    }
}

static bool next_accept(ln_loop *loop, ln_listener *l, ln_completion *c) {
    backend *b = loop->backend;
    bool armed = l->sock.flags & LN_SOCK_RECV && !ln_list_linked(&l->node);
    while (armed && b->accepts > 0) {
        b->accepts--;
        c->addr.size = sizeof c->addr.storage;
        socklen_t size = sizeof c->addr.storage;
        int fd = accept4(l->sock.fd, &c->addr.sa, &size, SOCK_NONBLOCK | SOCK_CLOEXEC);
        if (fd != -1) {
            b->accepted = true;
            l->since = 0;
            ln_completion_set(c, LN_C_ACCEPT, NULL, LINNET_OK);
            c->listener = l;
            c->fd = fd;
            c->addr.size = size;
            return true;
        }
        if (errno == EAGAIN) return false;
        /* A whole budget of failures is no accident: pause as if memory were short. */
        if (!accept_again(errno) || (b->accepts == 0 && !b->accepted)) {
            starve(loop, l);
            return false;
        }
    }
    return false;
}

static bool next_watch(watch *w, uint32_t *events, ln_completion *c) {
    uint32_t had = *events;
    *events = 0;
    if (had & (EPOLLERR | EPOLLHUP)) had |= mask_of(w->sock.interest);
    ln_completion_set(c, LN_C_WATCH, NULL, LINNET_OK);
    c->fd = w->sock.fd;
    c->user = w->user;
    if (had & EPOLLIN) c->events |= LN_READ;
    if (had & EPOLLOUT) c->events |= LN_WRITE;
    c->events &= w->sock.interest;
    return c->events != 0;
}

static bool next_of(ln_loop *loop, struct epoll_event *event, ln_completion *c) {
    backend *b = loop->backend;
    ln_sock *sock = event->data.ptr;
    uint32_t events = event->events;
    if (!sock || !events) return false;

    bool more = false;
    switch ((ln_sock_state)sock->state) {
    case LN_SOCK_OPEN:
        more = next_stream(loop, sock, &events, c);
        event->events = events;
        return more;
    case LN_SOCK_WATCH:
        more = next_watch(ln_list_item(sock, watch, sock), &events, c);
        event->events = events;
        return more;
    case LN_SOCK_LISTENING: return next_accept(loop, ln_list_item(sock, ln_listener, sock), c);
    case LN_SOCK_CONNECTING: event->events = 0; return next_connect(b, sock, c);
    case LN_SOCK_WAKE:
        event->events = 0;
        ln_completion_set(c, LN_C_WAKE, NULL, LINNET_OK);
        return true;
    case LN_SOCK_ALARM: b->alarm_at = NO_ALARM; return false;
    case LN_SOCK_NONE:
    case LN_SOCK_CLOSING:
    case LN_SOCK_UNLISTENING: return false;
    }
    return false;
}

static bool epoll_next(ln_loop *loop, ln_completion *c) {
    backend *b = loop->backend;
    for (; b->at < b->count; b->at++) {
        if (next_of(loop, &b->events[b->at], c)) return true;
        b->accepts = ACCEPT_BUDGET;
        b->accepted = false;
    }
    free_watches(&b->graves);
    return false;
}

const ln_backend_ops ln_epoll_ops = {
    .name = "epoll",
    .init = epoll_init,
    .fini = epoll_fini,
    .fd = epoll_fd,
    .rest = epoll_rest,
    .wait = epoll_wait_turn,
    .clock = epoll_clock,
    .next = epoll_next,
    .wake = epoll_wake,
    .adopt = epoll_adopt,
    .connect = epoll_connect,
    .recv = epoll_recv,
    .send = epoll_send,
    .shutdown = epoll_shutdown,
    .close = epoll_close,
    .release = epoll_release,
    .listen = epoll_listen,
    .listen_adopt = epoll_listen_adopt,
    .arm = epoll_arm,
    .unlisten = epoll_unlisten,
    .watch = epoll_watch,
};
