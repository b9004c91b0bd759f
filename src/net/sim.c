#include "net/sim.h"
#include "base/buf.h"
#include "base/mem.h"
#include "base/rand.h"
#include <assert.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <ucontext.h>

#define WINDOW_DEFAULT 65536
#define HANDLE_BASE    (1 << 28) /* no real descriptor is that large */
#define PORT_FIRST     20000
#define STACK_SIZE     (512 * 1024)
#define MILLION        1000000
#define LN_SIM_QUEUE   1024 /* connections waiting to be accepted */

typedef struct pair pair;

typedef struct end { /* of a connection */
    ln_link link;
    pair *pair;
    ln_sock *sock; /* NULL: not adopted yet, released, or closed */
    struct simloop *home;
    ln_buf in;          /* arrived, not received */
    ln_msec in_last;    /* arrivals keep their order */
    uint32_t in_flight; /* bytes on the way here */
    int connect;        /* 1: nothing to tell; else the result of the connect */
    bool fin, reset, closed;
} end;

struct pair { /* freed when nobody holds it: open ends, events, handles */
    end ends[2];
    uint32_t refs, number;
    bool stalled;
};

typedef enum event_kind {
    ON_WAKE,    /* loop */
    ON_SYN,     /* e: the client's end; number: port */
    ON_CONNECT, /* e; number: result */
    ON_DATA,    /* e: the receiver; data, number of bytes */
    ON_FIN,
    ON_RESET,
    ON_ROOM,       /* e: the sender may go on */
    ON_CLOSED,     /* e, sock */
    ON_UNLISTENED, /* sock */
} event_kind;

typedef struct event {
    ln_msec at;
    uint64_t order;
    event_kind kind;
    int number;
    end *e;
    ln_sock *sock;
    struct simloop *loop;
    uint8_t *data;
} event;

typedef struct simloop {
    ln_list node;
    ln_simnet *net;
    ln_loop *loop;
    ln_list ready, now; /* socks with something to tell: next turn, this turn */
    ln_msec deadline;
    uint32_t number;
    bool waking, woken, tell_wake;
} simloop;

typedef struct door { /* a listener */
    ln_list node;
    ln_listener *l;
    simloop *home;
    uint16_t port;
    end *queue[LN_SIM_QUEUE];
    unsigned queued;
} door;

/* Where somebody stopped. swapcontext asks the kernel for its signals each time, which is a sixth
 * of all that a simulation does; so only the first entry is one, and the switches after it are
 * jumps. Sanitizers know swapcontext and nothing else. */
#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define JUMPS 0
#elif defined(__has_feature)
#define JUMPS (!__has_feature(address_sanitizer) && !__has_feature(thread_sanitizer))
#else
#define JUMPS 1
#endif

typedef struct spot {
    ucontext_t context;
    void *jump[5];
    bool begun;
} spot;

typedef struct routine {
    ln_list node;
    spot spot;
    void (*fn)(void *arg);
    void *arg;
    simloop *waits; /* NULL: has not begun */
    bool ended;
    uint8_t stack[STACK_SIZE]; /* not zeroed: most of it is never touched */
} routine;

struct ln_simnet {
    ln_rand rand;
    ln_sim_faults faults;
    ln_msec now;
    uint64_t order, hash;
    event *events; /* a heap by time, then order */
    size_t count, capacity;
    ln_list loops, doors, routines;
    uint32_t loop_count, pair_count, running;
    uint16_t next_port;
    end **handles;
    uint32_t handle_count;
    routine *current;
    spot scheduler;
};

static void *must(void *ptr) {
    if (!ptr) abort();
    return ptr;
}

/* -- chance and time ------------------------------------------------------------------------- */

static bool chance(ln_simnet *net, uint32_t in_a_million) {
    return in_a_million && ln_rand_below(&net->rand, MILLION) < in_a_million;
}

static ln_msec soon(ln_simnet *net) {
    uint32_t span = net->faults.delay_max_ms - net->faults.delay_min_ms;
    return net->now + net->faults.delay_min_ms + ln_rand_below(&net->rand, span + 1);
}

static bool before(const event *a, const event *b) {
    return a->at != b->at ? a->at < b->at : a->order < b->order;
}

static void swap(event *a, event *b) {
    event c = *a;
    *a = *b;
    *b = c;
}

static void schedule(ln_simnet *net, event v) {
    if (net->count == net->capacity) {
        net->capacity = net->capacity ? net->capacity * 2 : 64;
        net->events = must(ln_realloc(net->events, net->capacity * sizeof *net->events));
    }
    v.order = net->order++;
    if (v.e) v.e->pair->refs++;
    size_t at = net->count++;
    net->events[at] = v;
    for (; at && before(&net->events[at], &net->events[(at - 1) / 2]); at = (at - 1) / 2)
        swap(&net->events[at], &net->events[(at - 1) / 2]);
}

static event unschedule(ln_simnet *net) {
    event first = net->events[0];
    net->events[0] = net->events[--net->count];
    for (size_t at = 0, least;; at = least) {
        least = at;
        for (size_t child = 2 * at + 1; child <= 2 * at + 2 && child < net->count; child++)
            if (before(&net->events[child], &net->events[least])) least = child;
        if (least == at) return first;
        swap(&net->events[at], &net->events[least]);
    }
}

/* What arrives at one end arrives in the order in which it was sent. */
static void arrive(ln_simnet *net, event_kind kind, end *e, uint8_t *data, int number) {
    if (e->pair->stalled) { /* it stays on the way for ever */
        ln_free(data);
        return;
    }
    ln_msec at = soon(net);
    if (at < e->in_last) at = e->in_last;
    e->in_last = at;
    schedule(net, (event){ .at = at, .kind = kind, .e = e, .data = data, .number = number });
}

static void mix(ln_simnet *net, uint64_t v) {
    net->hash = (net->hash ^ v) * UINT64_C(0x9e3779b97f4a7c15);
    net->hash ^= net->hash >> 29;
}

static void mix_bytes(ln_simnet *net, const uint8_t *data, size_t size) {
    mix(net, size);
    for (uint64_t word = 0; size; word = 0) {
        size_t n = size < sizeof word ? size : sizeof word;
        memcpy(&word, data, n);
        mix(net, word);
        data += n;
        size -= n;
    }
}

/* -- ends -------------------------------------------------------------------------------------- */

static end *end_of(const ln_sock *sock) {
    return sock->link;
}

static end *other_of(end *e) {
    return &e->pair->ends[e == &e->pair->ends[0]];
}

static void unref(pair *p) {
    if (--p->refs) return;
    ln_buf_fini(&p->ends[0].in);
    ln_buf_fini(&p->ends[1].in);
    ln_free(p);
}

static pair *pair_new(ln_simnet *net) {
    pair *p = must(ln_calloc(1, sizeof *p));
    p->number = net->pair_count++;
    for (int i = 0; i < 2; i++) {
        p->ends[i].link.ops = &ln_sim_ops;
        p->ends[i].pair = p;
        p->ends[i].connect = 1;
        ln_buf_init(&p->ends[i].in, LN_BUF_MAX);
        ln_addr_ip(LN_SLICE("127.0.0.1"), 0, &p->ends[i].link.peer);
    }
    return p;
}

static void set_port(ln_addr *addr, uint16_t port) {
    ((struct sockaddr_in *)&addr->sa)->sin_port = htons(port);
}

static void attach(simloop *s, end *e, ln_sock *sock) {
    e->sock = sock;
    e->home = s;
    e->pair->refs++;
    sock->link = e;
    sock->flags |= LN_SOCK_LINKED;
}

static void tell(end *e) {
    if (e->sock && !ln_list_linked(&e->sock->node)) ln_list_push(&e->home->ready, &e->sock->node);
}

static bool receiving(const ln_sock *sock) {
    return (sock->flags & (LN_SOCK_RECV | LN_SOCK_ENDED)) == LN_SOCK_RECV;
}

/* Sends what the window and fate allow; the number of bytes taken. */
static size_t pour(ln_simnet *net, end *from, ln_slice data) {
    end *to = other_of(from);
    uint32_t window = net->faults.window ? net->faults.window : WINDOW_DEFAULT;
    uint32_t used = to->in_flight + to->in.size;
    size_t n = window > used ? window - used : 0;
    if (n > data.size) n = data.size;
    if (n && chance(net, net->faults.partial)) {
        n = 1 + ln_rand_below(&net->rand, (uint32_t)n);
        if (n < data.size) arrive(net, ON_ROOM, from, NULL, 0);
    }
    if (n == 0) return 0;
    uint8_t *copy = must(ln_malloc(n));
    memcpy(copy, data.data, n);
    to->in_flight += (uint32_t)n;
    arrive(net, ON_DATA, to, copy, (int)n);
    return n;
}

static void go_on(ln_simnet *net, end *e) {
    ln_sock *sock = e->sock;
    if (!sock || !(sock->flags & LN_SOCK_SEND) || e->reset) return;
    size_t n = pour(net, e, ln_slice_of(sock->send_data, sock->send_left));
    sock->send_data += n;
    sock->send_left -= n;
    if (sock->send_left == 0) tell(e);
}

/* -- events ------------------------------------------------------------------------------------ */

static door *door_at(ln_simnet *net, uint16_t port) {
    door *found = NULL;
    uint32_t seen = 0;
    LN_LIST_FOREACH(node, &net->doors) { /* several share a port: one of them, by chance */
        door *d = ln_list_item(node, door, node);
        if (d->port == port && ln_rand_below(&net->rand, ++seen) == 0) found = d;
    }
    return found;
}

static void on_syn(ln_simnet *net, end *client, uint16_t port) {
    door *d = door_at(net, port);
    if (!d || d->queued == LN_SIM_QUEUE || chance(net, net->faults.refuse) || client->closed) {
        arrive(net, ON_CONNECT, client, NULL, LINNET_ERR_CONNECT);
        return;
    }
    end *server = other_of(client);
    set_port(&client->link.peer, port);
    set_port(&server->link.peer, (uint16_t)(40000 + client->pair->number % 20000));
    client->pair->refs++; /* the queue's, later the handle's */
    d->queue[d->queued++] = server;
    if (!ln_list_linked(&d->l->sock.node)) ln_list_push(&d->home->ready, &d->l->sock.node);
    arrive(net, ON_CONNECT, client, NULL, LINNET_OK);
}

static void on_data(ln_simnet *net, end *e, const event *v) {
    uint32_t n = (uint32_t)v->number;
    e->in_flight -= n;
    if (e->closed) {
        arrive(net, ON_RESET, other_of(e), NULL, 0);
    } else if (!e->reset) {
        if (ln_buf_add(&e->in, ln_slice_of(v->data, n)) < 0) abort();
        if (e->sock && receiving(e->sock)) tell(e);
    }
    ln_free(v->data);
}

static void on_reset(end *e) {
    if (e->closed || e->reset) return;
    e->reset = true;
    ln_buf_clear(&e->in);
    tell(e);
}

static void apply(ln_simnet *net, const event *v) {
    end *e = v->e;
    switch (v->kind) {
    case ON_WAKE:
        if (!v->loop) break; /* freed meanwhile */
        v->loop->waking = false;
        v->loop->woken = true;
        break;
    case ON_SYN: on_syn(net, e, (uint16_t)v->number); break;
    case ON_CONNECT:
        e->connect = v->number;
        tell(e);
        break;
    case ON_DATA: on_data(net, e, v); break;
    case ON_FIN:
        e->fin = true;
        if (e->sock && receiving(e->sock)) tell(e);
        break;
    case ON_RESET: on_reset(e); break;
    case ON_ROOM: go_on(net, e); break;
    case ON_CLOSED:
    case ON_UNLISTENED: ln_loop_closed(v->loop->loop, v->sock); break;
    }
    if (e) unref(e->pair);
}

/* Advances to `to` at most, and applies what happens first; false when nothing does by then. */
static bool advance(ln_simnet *net, ln_msec to) {
    if (net->count == 0 || net->events[0].at > to) {
        if (to != LN_NEVER && to > net->now) net->now = to;
        return false;
    }
    if (net->events[0].at > net->now) net->now = net->events[0].at;
    while (net->count && net->events[0].at <= net->now) {
        event v = unschedule(net);
        apply(net, &v);
    }
    return true;
}

/* -- loops ------------------------------------------------------------------------------------- */

static int sim_init(ln_loop *loop, void *arg) {
    ln_simnet *net = arg;
    assert(net);
    simloop *s = must(ln_calloc(1, sizeof *s));
    *s = (simloop){ .net = net, .loop = loop, .number = net->loop_count++ };
    ln_list_init(&s->ready);
    ln_list_init(&s->now);
    ln_list_init(&s->node);
    ln_list_push(&net->loops, &s->node);
    loop->backend = s;
    loop->now = net->now;
    return LINNET_OK;
}

static void sim_fini(ln_loop *loop) {
    simloop *s = loop->backend;
    ln_simnet *net = s->net;
    for (size_t i = 0; i < net->count; i++) /* a wake that is on its way */
        if (net->events[i].loop == s) net->events[i].loop = NULL;
    ln_list_remove(&s->node);
    ln_free(s);
}

static int sim_fd(const ln_loop *loop) {
    (void)loop;
    return -1;
}

static int sim_rest(ln_loop *loop, ln_msec deadline) {
    simloop *s = loop->backend;
    s->deadline = deadline;
    return LINNET_OK;
}

static void sim_wake(ln_loop *loop) {
    simloop *s = loop->backend;
    if (s->waking || s->woken) return;
    s->waking = true;
    schedule(s->net, (event){ .at = soon(s->net), .kind = ON_WAKE, .loop = s });
}

static bool due(const simloop *s) {
    return s->woken || !ln_list_empty(&s->ready) || !ln_list_empty(&s->now) ||
           !ln_list_empty(&s->loop->closing) || s->deadline <= s->net->now;
}

#if JUMPS
static void enter(spot *to) __attribute__((noreturn, noinline));
static void enter(spot *to) {
    if (to->begun) __builtin_longjmp(to->jump, 1);
    to->begun = true;
    setcontext(&to->context);
    abort();
}

static void leave_for(spot *from, spot *to) __attribute__((noinline));
static void leave_for(spot *from, spot *to) {
    from->begun = true;
    if (__builtin_setjmp(from->jump) == 0) enter(to);
}
#else
static void leave_for(spot *from, spot *to) {
    swapcontext(&from->context, &to->context);
}
#endif

static void give_way(ln_simnet *net, simloop *s) {
    routine *r = net->current;
    r->waits = s;
    s->loop->left = true; /* a test may do something to it meanwhile */
    leave_for(&r->spot, &net->scheduler);
}

static ln_msec sim_clock(const ln_loop *loop) {
    return ((const simloop *)loop->backend)->net->now;
}

static int sim_wait(ln_loop *loop, ln_msec deadline) {
    simloop *s = loop->backend;
    ln_simnet *net = s->net;
    s->deadline = deadline;
    if (net->current) {
        give_way(net, s);
    } else {
        while (!due(s) && advance(net, s->deadline)) {
        }
        if (!due(s)) return LINNET_ERR_SYS; /* it would sleep for ever */
    }
    loop->now = net->now;
    ln_list_splice(&s->now, &s->ready);
    s->tell_wake = s->woken;
    s->woken = false;
    return LINNET_OK;
}

/* -- streams ----------------------------------------------------------------------------------- */

static int sim_adopt(ln_loop *loop, ln_sock *sock, int fd) {
    simloop *s = loop->backend;
    ln_simnet *net = s->net;
    uint32_t index = (uint32_t)(fd - HANDLE_BASE);
    if (fd < HANDLE_BASE || index >= net->handle_count || !net->handles[index])
        return LINNET_ERR_INVAL;
    end *e = net->handles[index];
    net->handles[index] = NULL;
    attach(s, e, sock);
    unref(e->pair); /* the handle's */
    return LINNET_OK;
}

static int handle_of(ln_simnet *net, end *e) {
    uint32_t i = 0;
    while (i < net->handle_count && net->handles[i])
        i++;
    if (i == net->handle_count) {
        net->handles = must(ln_realloc(net->handles, (i + 1) * sizeof(end *)));
        net->handle_count++;
    }
    net->handles[i] = e;
    return HANDLE_BASE + (int)i;
}

static int sim_connect(ln_loop *loop, ln_sock *sock, const ln_addr *to, const ln_addr *from) {
    (void)from;
    simloop *s = loop->backend;
    if (to->sa.sa_family == AF_UNIX) return LINNET_ERR_UNSUPPORTED;
    pair *p = pair_new(s->net);
    attach(s, &p->ends[0], sock);
    schedule(s->net,
        (event){
            .at = soon(s->net), .kind = ON_SYN, .e = &p->ends[0], .number = ln_addr_port(to) });
    return LINNET_OK;
}

static int sim_recv(ln_loop *loop, ln_sock *sock) {
    (void)loop;
    end *e = end_of(sock);
    if (receiving(sock) && (e->in.size || e->fin || e->reset)) tell(e);
    return LINNET_OK;
}

static int sim_send(ln_loop *loop, ln_sock *sock, ln_slice data) {
    ln_simnet *net = ((simloop *)loop->backend)->net;
    end *e = end_of(sock);
    if (e->reset) return LINNET_ERR_RESET;
    if (chance(net, net->faults.reset)) {
        arrive(net, ON_RESET, e, NULL, 0);
        arrive(net, ON_RESET, other_of(e), NULL, 0);
    }
    if (chance(net, net->faults.stall)) e->pair->stalled = true;
    size_t n = pour(net, e, data);
    if (n == data.size) return LN_DONE;
    sock->flags |= LN_SOCK_SEND;
    sock->send_data = data.data + n;
    sock->send_left = data.size - n;
    return LN_PENDING;
}

void ln_simnet_reset(ln_simnet *net, const ln_sock *sock) {
    end *e = end_of(sock);
    arrive(net, ON_RESET, e, NULL, 0);
    arrive(net, ON_RESET, other_of(e), NULL, 0);
}

void ln_simnet_stall(const ln_sock *sock) {
    end_of(sock)->pair->stalled = true;
}

static void sim_shutdown(ln_loop *loop, ln_sock *sock) {
    arrive(((simloop *)loop->backend)->net, ON_FIN, other_of(end_of(sock)), NULL, 0);
}

/* As the kernel does: unread or unsent bytes make it a reset. */
static void sim_close(ln_loop *loop, ln_sock *sock, bool abort) {
    simloop *s = loop->backend;
    end *e = end_of(sock);
    bool lost = sock->flags & LN_SOCK_SEND || e->in.size > 0;
    e->sock = NULL;
    e->closed = true;
    arrive(s->net, abort || lost ? ON_RESET : ON_FIN, other_of(e), NULL, 0);
    schedule(
        s->net, (event){ .at = soon(s->net), .kind = ON_CLOSED, .e = e, .sock = sock, .loop = s });
    sock->flags &= (uint8_t)~LN_SOCK_LINKED;
    sock->fd = -1;
    unref(e->pair);
}

static int sim_release(ln_loop *loop, ln_sock *sock) {
    end *e = end_of(sock);
    e->sock = NULL; /* the sock's reference becomes the handle's */
    sock->flags &= (uint8_t)~LN_SOCK_LINKED;
    return handle_of(((simloop *)loop->backend)->net, e);
}

/* -- listeners --------------------------------------------------------------------------------- */

static int sim_listen(ln_loop *loop, ln_listener *l, const ln_addr *at,
    const ln_listen_options *options, ln_addr *bound) {
    simloop *s = loop->backend;
    ln_simnet *net = s->net;
    if (at->sa.sa_family == AF_UNIX) return LINNET_ERR_UNSUPPORTED;
    uint16_t port = ln_addr_port(at) ? ln_addr_port(at) : net->next_port++;
    if (!options->reuse_port && door_at(net, port)) return LINNET_ERR_EXISTS;
    door *d = must(ln_calloc(1, sizeof *d));
    *d = (door){ .l = l, .home = s, .port = port };
    ln_list_init(&d->node);
    ln_list_push(&net->doors, &d->node);
    l->sock.link = d;
    if (bound) ln_addr_ip(LN_SLICE("127.0.0.1"), port, bound);
    return LINNET_OK;
}

static int sim_listen_adopt(ln_loop *loop, ln_listener *l, int fd) {
    (void)loop, (void)l, (void)fd;
    return LINNET_ERR_UNSUPPORTED;
}

static void sim_arm(ln_loop *loop, ln_listener *l, bool on) {
    simloop *s = loop->backend;
    const door *d = l->sock.link;
    if (on && d->queued && !ln_list_linked(&l->sock.node)) ln_list_push(&s->ready, &l->sock.node);
}

static void sim_unlisten(ln_loop *loop, ln_listener *l) {
    simloop *s = loop->backend;
    door *d = l->sock.link;
    for (unsigned i = 0; i < d->queued; i++) { /* who waited is reset, as with the kernel */
        d->queue[i]->closed = true;
        arrive(s->net, ON_RESET, other_of(d->queue[i]), NULL, 0);
        unref(d->queue[i]->pair);
    }
    ln_list_remove(&d->node);
    ln_free(d);
    l->sock.fd = -1;
    schedule(
        s->net, (event){ .at = soon(s->net), .kind = ON_UNLISTENED, .sock = &l->sock, .loop = s });
}

static int sim_watch(ln_loop *loop, int fd, unsigned events, void *user) {
    (void)loop, (void)fd, (void)user;
    return events ? LINNET_ERR_UNSUPPORTED : LINNET_OK;
}

/* -- completions ------------------------------------------------------------------------------- */

static bool next_accept(simloop *s, ln_listener *l, ln_completion *c) {
    door *d = l->sock.link;
    if (!d->queued || !(l->sock.flags & LN_SOCK_RECV)) return false;
    end *e = d->queue[0];
    memmove(d->queue, d->queue + 1, --d->queued * sizeof *d->queue);
    if (d->queued) ln_list_push(&s->ready, &l->sock.node);
    ln_completion_set(c, LN_C_ACCEPT, NULL, LINNET_OK);
    c->listener = l;
    c->fd = handle_of(s->net, e);
    c->addr = e->link.peer;
    return true;
}

static bool next_end(end *e, ln_completion *c, int result) {
    e->sock->flags |= LN_SOCK_ENDED;
    ln_completion_set(c, LN_C_RECV, e->sock, result);
    return true;
}

static bool next_data(simloop *s, end *e, ln_completion *c) {
    ln_simnet *net = s->net;
    ln_wslice room = ln_loop_room(s->loop, e->sock);
    size_t n = e->in.size < room.size ? e->in.size : room.size;
    if (chance(net, net->faults.short_read)) n = 1 + ln_rand_below(&net->rand, (uint32_t)n);
    memcpy(room.data, ln_buf_slice(&e->in).data, n);
    ln_buf_consume(&e->in, n);
    end *from = other_of(e);
    if (from->sock && from->sock->flags & LN_SOCK_SEND) arrive(net, ON_ROOM, from, NULL, 0);
    if (e->in.size || e->fin) tell(e);
    ln_completion_set(c, LN_C_RECV, e->sock, (int)n);
    c->data = (ln_wslice){ room.data, n };
    return true;
}

static bool next_connect(end *e, ln_completion *c) {
    ln_sock *sock = e->sock;
    sock->state = LN_SOCK_OPEN;
    if (e->connect < 0) sock->flags |= LN_SOCK_ENDED;
    if (e->connect < 0) e->reset = true;
    ln_completion_set(c, LN_C_CONNECT, sock, e->connect);
    e->connect = 1;
    if (e->reset) tell(e);
    return true;
}

static bool next_stream(simloop *s, end *e, ln_completion *c) {
    ln_sock *sock = e->sock;
    if (sock->state == LN_SOCK_CONNECTING) {
        if (e->connect == 1 && e->reset) e->connect = LINNET_ERR_CONNECT;
        return e->connect != 1 && next_connect(e, c);
    }
    if (sock->flags & LN_SOCK_SEND && (sock->send_left == 0 || e->reset)) {
        sock->flags &= (uint8_t)~LN_SOCK_SEND;
        tell(e);
        ln_completion_set(c, LN_C_SENT, sock, sock->send_left ? LINNET_ERR_RESET : LINNET_OK);
        return true;
    }
    if (sock->flags & LN_SOCK_ENDED) return false;
    if (e->reset) return next_end(e, c, LINNET_ERR_RESET);
    if (!receiving(sock)) return false;
    if (e->in.size) return next_data(s, e, c);
    return e->fin && next_end(e, c, 0);
}

static bool next_any(simloop *s, ln_completion *c) {
    if (s->tell_wake) {
        s->tell_wake = false;
        ln_completion_set(c, LN_C_WAKE, NULL, LINNET_OK);
        return true;
    }
    ln_list *node;
    while ((node = ln_list_pop(&s->now))) {
        ln_sock *sock = ln_list_item(node, ln_sock, node);
        bool got = sock->state == LN_SOCK_LISTENING
                       ? next_accept(s, ln_list_item(sock, ln_listener, sock), c)
                       : next_stream(s, end_of(sock), c);
        if (got) return true;
    }
    return false;
}

static bool sim_next(ln_loop *loop, ln_completion *c) {
    simloop *s = loop->backend;
    ln_simnet *net = s->net;
    if (!next_any(s, c)) return false;
    mix(net, net->now);
    mix(net, s->number);
    mix(net, (uint64_t)c->kind << 32 | (uint32_t)c->result);
    if (c->sock) mix(net, end_of(c->sock)->pair->number);
    mix_bytes(net, c->data.data, c->data.size);
    return true;
}

const ln_backend_ops ln_sim_ops = {
    .name = "sim",
    .init = sim_init,
    .fini = sim_fini,
    .fd = sim_fd,
    .rest = sim_rest,
    .wait = sim_wait,
    .clock = sim_clock,
    .next = sim_next,
    .wake = sim_wake,
    .adopt = sim_adopt,
    .connect = sim_connect,
    .recv = sim_recv,
    .send = sim_send,
    .shutdown = sim_shutdown,
    .close = sim_close,
    .release = sim_release,
    .listen = sim_listen,
    .listen_adopt = sim_listen_adopt,
    .arm = sim_arm,
    .unlisten = sim_unlisten,
    .watch = sim_watch,
};

/* -- the network ------------------------------------------------------------------------------- */

ln_simnet *ln_simnet_new(uint64_t seed, const ln_sim_faults *faults) {
    ln_simnet *net = must(ln_calloc(1, sizeof *net));
    ln_rand_init_seeded(&net->rand, seed);
    net->now = 1000000;
    net->hash = 1;
    net->next_port = PORT_FIRST;
    ln_list_init(&net->loops);
    ln_list_init(&net->doors);
    ln_list_init(&net->routines);
    ln_simnet_faults(net, faults);
    return net;
}

void ln_simnet_faults(ln_simnet *net, const ln_sim_faults *faults) {
    net->faults = faults ? *faults : (ln_sim_faults){ .window = 0 };
    assert(net->faults.delay_min_ms <= net->faults.delay_max_ms);
}

void ln_simnet_free(ln_simnet *net) {
    assert(ln_list_empty(&net->loops));
    ln_list *node;
    while ((node = ln_list_pop(&net->routines)))
        ln_free(ln_list_item(node, routine, node));
    while (net->count) {
        event v = unschedule(net);
        ln_free(v.data);
        if (v.e) unref(v.e->pair);
    }
    for (uint32_t i = 0; i < net->handle_count; i++)
        if (net->handles[i]) unref(net->handles[i]->pair);
    ln_free(net->handles);
    ln_free(net->events);
    ln_free(net);
}

ln_msec ln_simnet_now(const ln_simnet *net) {
    return net->now;
}

uint64_t ln_simnet_hash(const ln_simnet *net) {
    return net->hash;
}

uint32_t ln_simnet_below(ln_simnet *net, uint32_t n) {
    return ln_rand_below(&net->rand, n);
}

uint32_t ln_simnet_running(const ln_simnet *net) {
    return net->running;
}

/* -- coroutines -------------------------------------------------------------------------------- */

/* makecontext passes ints only, so the pointer comes in two halves. */
static void begin(unsigned high, unsigned low) {
    ln_simnet *net = (ln_simnet *)((uintptr_t)high << 32 | low);
    routine *r = net->current;
    r->fn(r->arg);
    r->ended = true;
    leave_for(&r->spot, &net->scheduler);
}

void ln_simnet_spawn(ln_simnet *net, void (*fn)(void *arg), void *arg) {
    routine *r = must(ln_malloc(sizeof *r));
    memset(r, 0, offsetof(routine, stack));
    r->fn = fn;
    r->arg = arg;
    ln_list_init(&r->node);
    ln_list_push(&net->routines, &r->node);
    net->running++;
    if (getcontext(&r->spot.context) != 0) abort();
    r->spot.context.uc_stack.ss_sp = r->stack;
    r->spot.context.uc_stack.ss_size = sizeof r->stack;
    uintptr_t pointer = (uintptr_t)net;
    makecontext(&r->spot.context, (void (*)(void))(uintptr_t)begin, 2, (unsigned)(pointer >> 32),
        (unsigned)pointer);
}

static void resume(ln_simnet *net, routine *r) {
    net->current = r;
    leave_for(&net->scheduler, &r->spot);
    net->current = NULL;
    if (!r->ended) return;
    ln_list_remove(&r->node);
    ln_free(r);
    net->running--;
}

/* One of those that could run now, by chance: threads have no order. */
static routine *choose(ln_simnet *net) {
    routine *chosen = NULL;
    uint32_t seen = 0;
    LN_LIST_FOREACH(node, &net->routines) {
        routine *r = ln_list_item(node, routine, node);
        if (r->waits && !due(r->waits)) continue;
        if (ln_rand_below(&net->rand, ++seen) == 0) chosen = r;
    }
    return chosen;
}

static ln_msec next_deadline(const ln_simnet *net) {
    ln_msec first = LN_NEVER;
    LN_LIST_FOREACH(node, &net->routines) {
        const routine *r = ln_list_item(node, routine, node);
        if (r->waits && r->waits->deadline < first) first = r->waits->deadline;
    }
    return first;
}

ln_msec ln_simnet_next(const ln_simnet *net) {
    ln_msec first = next_deadline(net);
    LN_LIST_FOREACH(node, &net->routines) {
        const routine *r = ln_list_item(node, routine, node);
        if (!r->waits || due(r->waits)) return net->now;
    }
    if (net->count && net->events[0].at < first) first = net->events[0].at;
    return first;
}

bool ln_simnet_run(ln_simnet *net, ln_msec until) {
    assert(!net->current);
    for (;;) {
        routine *r = choose(net);
        if (r) {
            resume(net, r);
            continue;
        }
        if (net->running == 0) return false;
        ln_msec deadline = next_deadline(net);
        if (net->count == 0 && deadline == LN_NEVER) {
            if (until != LN_NEVER && until > net->now) net->now = until;
            return false;
        }
        ln_msec to = deadline < until ? deadline : until;
        if (!advance(net, to) && net->now >= until) return true;
    }
}
