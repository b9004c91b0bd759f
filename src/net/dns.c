#include "net/dns.h"
#include "base/mem.h"
#include <ares.h>
#include <assert.h>
#include <netinet/in.h>

#define TIMEOUT_DEFAULT_MS 5000
#define TRIES              3
#define HOST_MAX           253
#define QUERIES_MAX        1024

/* c-ares cannot cancel one query, so a query that was cancelled or ran out of time is only
 * abandoned: its callback has run, and what is left of it waits in `abandoned` for c-ares to give
 * up by itself.
 *
 *   OPEN -> ANSWERED -> gone          the callback runs in a later call, never inside resolve
 *   OPEN -> ABANDONED -> gone         the callback has run
 */
typedef enum query_state { OPEN, ANSWERED, ABANDONED } query_state;

struct ln_dns {
    ln_loop *loop;
    ares_channel channel;
    ln_timer tick; /* c-ares' own next time-out */
    uint32_t timeout_ms, count;
    uint8_t timer_kind;
    ln_list open, answered, abandoned;
};

struct ln_dns_query {
    ln_list node;
    ln_dns *dns;
    ln_timer timer; /* OPEN: the time-out; ANSWERED: due at once, so that the loop does not sleep */
    ln_dns_done *done;
    void *user;
    query_state state;
    int status;
    uint16_t port;
    unsigned addr_count;
    ln_addr addrs[LN_DNS_ADDRS_MAX];
};

static void move(ln_dns_query *q, query_state state, ln_list *to) {
    q->state = state;
    ln_list_remove(&q->node);
    ln_list_push(to, &q->node);
}

static void query_free(ln_dns_query *q) {
    ln_dns *dns = q->dns;
    ln_timer_stop(ln_loop_wheel(dns->loop), &q->timer);
    ln_list_remove(&q->node);
    assert(dns->count > 0);
    dns->count--;
    ln_free(q);
}

/* Tells the loop when c-ares wants to be called even if nothing arrives. */
static void set_tick(ln_dns *dns) {
    struct timeval left, *tv = ares_timeout(dns->channel, NULL, &left);
    if (!tv) {
        ln_timer_stop(ln_loop_wheel(dns->loop), &dns->tick);
        return;
    }
    ln_msec ms = (ln_msec)tv->tv_sec * 1000 + (ln_msec)tv->tv_usec / 1000 + 1;
    ln_timer_set(ln_loop_wheel(dns->loop), &dns->tick, ln_loop_now(dns->loop) + ms);
}

static void answered(ln_dns_query *q, int status) {
    q->status = status;
    move(q, ANSWERED, &q->dns->answered);
    ln_timer_set(ln_loop_wheel(q->dns->loop), &q->timer, ln_loop_now(q->dns->loop));
}

/* -- answers --------------------------------------------------------------------------------- */

static int status_of(int ares) {
    switch (ares) {
    case ARES_SUCCESS: return LINNET_OK;
    case ARES_ENOMEM: return LINNET_ERR_NOMEM;
    case ARES_ETIMEOUT: return LINNET_ERR_TIMEOUT;
    case ARES_ECANCELLED:
    case ARES_EDESTRUCTION: return LINNET_ERR_CANCELLED;
    default: return LINNET_ERR_DNS;
    }
}

static const struct ares_addrinfo_node *next_of(const struct ares_addrinfo_node *n, int family) {
    while (n && n->ai_family != family)
        n = n->ai_next;
    return n;
}

static void add_addr(ln_dns_query *q, const struct ares_addrinfo_node *n) {
    ln_addr *addr = &q->addrs[q->addr_count];
    if ((size_t)n->ai_addrlen > sizeof addr->storage) return;
    memcpy(&addr->storage, n->ai_addr, (size_t)n->ai_addrlen);
    addr->size = (socklen_t)n->ai_addrlen;
    if (n->ai_family == AF_INET)
        ((struct sockaddr_in *)&addr->sa)->sin_port = htons(q->port);
    else
        ((struct sockaddr_in6 *)&addr->sa)->sin6_port = htons(q->port);
    q->addr_count++;
}

/* The families take turns (RFC 8305 4), beginning with that of the first address: c-ares has
 * sorted by what can be reached from here (RFC 6724). */
static void take_addrs(ln_dns_query *q, const struct ares_addrinfo *info) {
    const struct ares_addrinfo_node *turn = next_of(info->nodes, AF_INET6);
    const struct ares_addrinfo_node *other = next_of(info->nodes, AF_INET);
    if (info->nodes && info->nodes->ai_family == AF_INET) {
        const struct ares_addrinfo_node *four = other;
        other = turn;
        turn = four;
    }
    while (turn && q->addr_count < LN_DNS_ADDRS_MAX) {
        const struct ares_addrinfo_node *after = next_of(turn->ai_next, turn->ai_family);
        add_addr(q, turn);
        turn = other ? other : after;
        other = other ? after : NULL;
    }
}

static void on_answer(void *arg, int ares, int timeouts, struct ares_addrinfo *info) {
    (void)timeouts;
    ln_dns_query *q = arg;
    if (q->state == ABANDONED) {
        query_free(q);
    } else {
        int status = status_of(ares);
        if (status == LINNET_OK && info) take_addrs(q, info);
        if (status == LINNET_OK && q->addr_count == 0) status = LINNET_ERR_DNS;
        answered(q, status);
    }
    ares_freeaddrinfo(info);
}

/* The callback is the last thing: it may resolve again, or cancel another. */
static void deliver(ln_dns_query *q) {
    ln_dns_query copy = *q;
    query_free(q);
    copy.done(copy.user, copy.status, copy.addrs, copy.addr_count);
}

/* Only what is there now; what callbacks ask for is for the next call. */
static void deliver_all(ln_dns *dns) {
    ln_list now;
    ln_list_init(&now);
    ln_list_splice(&now, &dns->answered);
    while (!ln_list_empty(&now))
        deliver(ln_list_item(now.next, ln_dns_query, node));
}

static void abandon(ln_dns_query *q, int status) {
    ln_dns_done *done = q->done;
    void *user = q->user;
    ln_timer_stop(ln_loop_wheel(q->dns->loop), &q->timer);
    move(q, ABANDONED, &q->dns->abandoned);
    done(user, status, NULL, 0);
}

/* -- asking ---------------------------------------------------------------------------------- */

/* Without memory for a watch the descriptor stays unheard and the query runs into its time-out. */
static void on_socket(void *arg, ares_socket_t fd, int readable, int writable) {
    ln_dns *dns = arg;
    unsigned events = (readable ? LN_READ : 0U) | (writable ? LN_WRITE : 0U);
    (void)ln_loop_watch(dns->loop, fd, events, dns);
}

/* ares_library_init is not called: it does nothing on Linux, and is not safe among threads. */
static int channel_new(ln_dns *dns, const char *servers) {
    struct ares_options o = {
        .timeout = (int)(dns->timeout_ms * 2 / 5 + 1), /* of the first try; later ones double */
        .tries = TRIES,
        .sock_state_cb = on_socket,
        .sock_state_cb_data = dns,
    };
    int ares = ares_init_options(
        &dns->channel, &o, ARES_OPT_TIMEOUTMS | ARES_OPT_TRIES | ARES_OPT_SOCK_STATE_CB);
    if (ares != ARES_SUCCESS) return ares == ARES_ENOMEM ? LINNET_ERR_NOMEM : LINNET_ERR_DNS;
    if (!servers) return LINNET_OK;
    ares = ares_set_servers_ports_csv(dns->channel, servers);
    if (ares == ARES_SUCCESS) return LINNET_OK;
    ares_destroy(dns->channel);
    return ares == ARES_ENOMEM ? LINNET_ERR_NOMEM : LINNET_ERR_INVAL;
}

int ln_dns_new(ln_loop *loop, const ln_dns_options *options, ln_dns **out) {
    ln_dns *dns = ln_calloc(1, sizeof *dns);
    if (!dns) return LINNET_ERR_NOMEM;
    dns->loop = loop;
    dns->timeout_ms = options->timeout_ms ? options->timeout_ms : TIMEOUT_DEFAULT_MS;
    dns->timer_kind = options->timer_kind;
    ln_timer_init(&dns->tick, dns->timer_kind);
    ln_list_init(&dns->open);
    ln_list_init(&dns->answered);
    ln_list_init(&dns->abandoned);
    int err = channel_new(dns, options->servers);
    if (err < 0) {
        ln_free(dns);
        return err;
    }
    *out = dns;
    return LINNET_OK;
}

void ln_dns_free(ln_dns *dns) {
    if (!dns) return;
    while (!ln_list_empty(&dns->open))
        ln_dns_cancel(ln_list_item(dns->open.next, ln_dns_query, node));
    while (!ln_list_empty(&dns->answered))
        ln_dns_cancel(ln_list_item(dns->answered.next, ln_dns_query, node));
    ares_destroy(dns->channel); /* ends the abandoned ones, takes back the watches */
    assert(dns->count == 0);
    ln_timer_stop(ln_loop_wheel(dns->loop), &dns->tick);
    ln_free(dns);
}

/* RFC 6761 6.3: "localhost" and what ends in it never leaves this machine. */
static bool is_localhost(ln_slice host) {
    ln_slice name = LN_SLICE("localhost");
    if (host.size > 0 && host.data[host.size - 1] == '.') host.size--;
    if (host.size > name.size && host.data[host.size - name.size - 1] == '.')
        ln_slice_skip(&host, host.size - name.size);
    return ln_slice_eq_ci(host, name);
}

/* True when the answer is known without asking anybody. */
static bool known(ln_dns_query *q, ln_slice host) {
    if (is_localhost(host)) {
        q->addr_count = 2;
        return ln_addr_ip(LN_SLICE("127.0.0.1"), q->port, &q->addrs[0]) &&
               ln_addr_ip(LN_SLICE("::1"), q->port, &q->addrs[1]);
    }
    if (!ln_addr_ip(host, q->port, &q->addrs[0])) return false;
    q->addr_count = 1;
    return true;
}

static void ask(ln_dns_query *q, const char *host) {
    ln_dns *dns = q->dns;
    struct ares_addrinfo_hints hints = { .ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM };
    ares_getaddrinfo(dns->channel, host, NULL, &hints, on_answer, q);
    set_tick(dns);
}

int ln_dns_resolve(ln_dns *dns, const char *host, uint16_t port, ln_dns_done *done, void *user,
    ln_dns_query **out) {
    ln_slice name = ln_slice_str(host);
    if (name.size == 0 || name.size > HOST_MAX) return LINNET_ERR_INVAL;
    if (dns->count == QUERIES_MAX) return LINNET_ERR_LIMIT;
    ln_dns_query *q = ln_calloc(1, sizeof *q);
    if (!q) return LINNET_ERR_NOMEM;
    *q = (ln_dns_query){ .dns = dns, .done = done, .user = user, .port = port };
    ln_list_init(&q->node);
    ln_timer_init(&q->timer, dns->timer_kind);
    dns->count++;
    move(q, OPEN, &dns->open);
    if (out) *out = q;
    if (known(q, name)) {
        answered(q, LINNET_OK);
        return LINNET_OK;
    }
    ln_timer_set(ln_loop_wheel(dns->loop), &q->timer, ln_loop_now(dns->loop) + dns->timeout_ms);
    ask(q, host);
    return LINNET_OK;
}

void ln_dns_cancel(ln_dns_query *q) {
    assert(q->state != ABANDONED);
    if (q->state == OPEN) {
        abandon(q, LINNET_ERR_CANCELLED);
        return;
    }
    q->status = LINNET_ERR_CANCELLED;
    q->addr_count = 0;
    deliver(q);
}

void ln_dns_ready(ln_dns *dns, int fd, unsigned events) {
    ares_process_fd(dns->channel, events & LN_READ ? fd : ARES_SOCKET_BAD,
        events & LN_WRITE ? fd : ARES_SOCKET_BAD);
    set_tick(dns);
    deliver_all(dns);
}

void ln_dns_timer(ln_dns *dns, ln_timer *timer) {
    if (timer == &dns->tick) {
        ares_process_fd(dns->channel, ARES_SOCKET_BAD, ARES_SOCKET_BAD);
        set_tick(dns);
    } else {
        ln_dns_query *q = ln_list_item(timer, ln_dns_query, timer);
        if (q->state == OPEN) {
            abandon(q, LINNET_ERR_TIMEOUT);
            return;
        }
    }
    deliver_all(dns);
}

void ln_dns_turn(ln_dns *dns) {
    deliver_all(dns);
}
