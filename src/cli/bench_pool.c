#include "cli/bench_pool.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/sha.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

enum {
    BUFFER_BYTES = 1024 * 1024,
    EVENTS = 1024,
    OPENING_MAX = 128, /* at a time: listen queues are finite */
    ANSWER_MAX = 16384,
    STANDSTILL_S = 10,
};

uint64_t ln_bench_now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

int ln_bench_fail(ln_bench_pool *pool, const ln_bench_link *link, const char *format, ...) {
    if (pool->error[0]) return -1;
    int at = 0;
    if (link && pool->count > 1)
        at = snprintf(pool->error, sizeof pool->error, "connection %u: ", link->index);
    va_list args;
    va_start(args, format);
    vsnprintf(pool->error + at, sizeof pool->error - (size_t)at, format, args);
    va_end(args);
    return -1;
}

/* -- before the first connection ----------------------------------------- */

static int resolve(ln_bench_pool *pool) {
    const ln_bench_options *o = pool->o;
    struct addrinfo hints = { .ai_socktype = SOCK_STREAM }, *found = NULL;
    int code = getaddrinfo(o->host, o->port, &hints, &found);
    if (code) return ln_bench_fail(pool, NULL, "%s: %s", o->host, gai_strerror(code));
    memcpy(&pool->addr, found->ai_addr, found->ai_addrlen);
    pool->addr_len = found->ai_addrlen;
    freeaddrinfo(found);
    if (o->sources && pool->addr.ss_family != AF_INET)
        return ln_bench_fail(pool, NULL, "--sources wants a server on 127.0.0.0/8");
    return 0;
}

static const char *deflate_offer(const ln_bench_options *o) {
    switch (o->deflate) {
    case LN_BENCH_TAKEOVER: return "Sec-WebSocket-Extensions: permessage-deflate\r\n";
    case LN_BENCH_NO_TAKEOVER:
        return "Sec-WebSocket-Extensions: permessage-deflate; server_no_context_takeover; "
               "client_no_context_takeover\r\n";
    default: return "";
    }
}

/* One key for all connections: a load generator repeats itself. */
static int make_request(ln_bench_pool *pool) {
    static const char guid[] = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11";
    uint8_t nonce[16], digest[SHA_DIGEST_LENGTH], key[25];
    for (size_t i = 0; i < sizeof nonce; i += 4)
        ln_bench_mask(nonce + i);
    EVP_EncodeBlock(key, nonce, sizeof nonce);

    char joined[64];
    int n = snprintf(joined, sizeof joined, "%s%s", (char *)key, guid);
    SHA1((uint8_t *)joined, (size_t)n, digest);
    EVP_EncodeBlock((uint8_t *)pool->accept, digest, sizeof digest);

    const ln_bench_options *o = pool->o;
    const char *bracket = strchr(o->host, ':') ? "[" : "";
    size_t room = strlen(o->target) + strlen(o->host) + 512;
    pool->request = ln_bench_alloc(1, room);
    int len = snprintf(pool->request, room,
        "GET %s HTTP/1.1\r\nHost: %s%s%s:%s\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Key: %s\r\nSec-WebSocket-Version: 13\r\n%s\r\n",
        o->target, bracket, o->host, *bracket ? "]" : "", o->port, (char *)key, deflate_offer(o));
    pool->request_len = (size_t)len;
    return 0;
}

static int prepare_tls(ln_bench_pool *pool) {
    if (!pool->o->tls) return 0;
    pool->tls = SSL_CTX_new(TLS_client_method());
    if (!pool->tls) return ln_bench_fail(pool, NULL, "OpenSSL does not start");
    SSL_CTX_set_verify(pool->tls, SSL_VERIFY_NONE, NULL);
    SSL_CTX_set_mode(pool->tls, SSL_MODE_RELEASE_BUFFERS | SSL_MODE_ENABLE_PARTIAL_WRITE |
                                    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return 0;
}

static int raise_limit(ln_bench_pool *pool) {
    struct rlimit limit;
    getrlimit(RLIMIT_NOFILE, &limit);
    limit.rlim_cur = limit.rlim_max;
    setrlimit(RLIMIT_NOFILE, &limit);
    if (pool->count + 16 <= limit.rlim_cur) return 0;
    return ln_bench_fail(pool, NULL,
        "%zu connections want more file descriptors than the %llu "
        "of this process (ulimit -Hn)",
        pool->count, (unsigned long long)limit.rlim_cur);
}

int ln_bench_pool_init(ln_bench_pool *pool, const ln_bench_options *o, const ln_bench_calls *calls,
    void *ctx, size_t count, size_t stride) {
    memset(pool, 0, sizeof *pool);
    pool->o = o;
    pool->calls = calls;
    pool->ctx = ctx;
    pool->count = count;
    pool->stride = stride;
    pool->epoll = epoll_create1(EPOLL_CLOEXEC);
    pool->buffer = ln_bench_alloc(1, BUFFER_BYTES);
    pool->links = ln_bench_alloc(count, stride);
    for (size_t i = 0; i < count; i++) {
        ln_bench_pool_link(pool, i)->index = (uint32_t)i;
        ln_bench_pool_link(pool, i)->fd = -1;
    }
    if (raise_limit(pool) < 0 || resolve(pool) < 0 || prepare_tls(pool) < 0) return -1;
    return make_request(pool);
}

void ln_bench_pool_fini(ln_bench_pool *pool) {
    for (size_t i = 0; pool->links && i < pool->count; i++)
        ln_bench_link_drop(pool, ln_bench_pool_link(pool, i));
    if (pool->epoll > 0) close(pool->epoll);
    SSL_CTX_free(pool->tls);
    free(pool->request);
    free(pool->links);
    free(pool->buffer);
    pool->links = NULL;
}

/* -- sending ------------------------------------------------------------- */

static int watch(ln_bench_pool *pool, ln_bench_link *link, bool room) {
    if (link->wants_room == room) return 0;
    struct epoll_event ev = { .events = EPOLLIN | (room ? EPOLLOUT : 0), .data.ptr = link };
    if (epoll_ctl(pool->epoll, EPOLL_CTL_MOD, link->fd, &ev) < 0)
        return ln_bench_fail(pool, link, "epoll: %s", strerror(errno));
    link->wants_room = room;
    return 0;
}

/* What the socket takes now: bytes, 0 for none, -1 for an error. */
static ssize_t push(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    if (link->ssl) {
        size_t sent = 0;
        if (SSL_write_ex(link->ssl, p, n, &sent) == 1) return (ssize_t)sent;
        int why = SSL_get_error(link->ssl, 0);
        if (why == SSL_ERROR_WANT_WRITE || why == SSL_ERROR_WANT_READ) return 0;
        return ln_bench_fail(pool, link, "TLS failed while sending");
    }
    ssize_t sent = send(link->fd, p, n, MSG_NOSIGNAL);
    if (sent >= 0) return sent;
    if (errno == EAGAIN || errno == ENOTCONN) return 0;
    return ln_bench_fail(pool, link, "sending: %s", strerror(errno));
}

static int flush(ln_bench_pool *pool, ln_bench_link *link) {
    while (link->tx_len) {
        ssize_t sent = push(pool, link, link->tx, link->tx_len);
        if (sent < 0) return -1;
        link->tx += sent;
        link->tx_len -= (size_t)sent;
        if (link->tx_len && (sent == 0 || !link->ssl)) return watch(pool, link, true);
    }
    while (link->copy_at < link->copy_len) {
        ssize_t sent = push(pool, link, link->copy + link->copy_at, link->copy_len - link->copy_at);
        if (sent < 0) return -1;
        link->copy_at += (size_t)sent;
        if (sent == 0) return watch(pool, link, true);
    }
    link->copy_at = link->copy_len = 0;
    return watch(pool, link, false);
}

int ln_bench_link_send(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    link->tx = p;
    link->tx_len = n;
    return flush(pool, link);
}

int ln_bench_link_send_copy(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    if (link->copy_len + n > link->copy_cap) {
        link->copy_cap = (link->copy_len + n) * 2;
        uint8_t *grown = realloc(link->copy, link->copy_cap);
        if (!grown) return ln_bench_fail(pool, link, "out of memory");
        link->copy = grown;
    }
    memcpy(link->copy + link->copy_len, p, n);
    link->copy_len += n;
    return link->wants_room ? 0 : flush(pool, link);
}

/* -- opening ------------------------------------------------------------- */

/* The n-th source address: 127.0.0.2, .3, ... round and round. */
static int bind_source(ln_bench_pool *pool, ln_bench_link *link) {
    uint64_t sources = pool->o->sources;
    if (!sources) return 0;
    int on = 1;
    setsockopt(link->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof on);
    struct sockaddr_in at = { .sin_family = AF_INET };
    at.sin_addr.s_addr = htonl(0x7f000002u + (uint32_t)(pool->binds++ % sources));
    if (bind(link->fd, (struct sockaddr *)&at, sizeof at) == 0) return 0;
    return ln_bench_fail(pool, link, "binding a source address: %s", strerror(errno));
}

static int link_opened(ln_bench_pool *pool, ln_bench_link *link) {
    link->state = LN_BENCH_OPEN;
    pool->opening--;
    pool->open++;
    return pool->calls->opened(pool, link);
}

/* TCP (and TLS) is there: ask for the upgrade. */
static int link_connected(ln_bench_pool *pool, ln_bench_link *link) {
    if (pool->o->raw) return link_opened(pool, link);
    link->state = LN_BENCH_UPGRADING;
    return ln_bench_link_send(pool, link, (const uint8_t *)pool->request, pool->request_len);
}

static int link_secure(ln_bench_pool *pool, ln_bench_link *link) {
    int done = SSL_do_handshake(link->ssl);
    if (done == 1) {
        if (watch(pool, link, false) < 0) return -1;
        return link_connected(pool, link);
    }
    int why = SSL_get_error(link->ssl, done);
    if (why == SSL_ERROR_WANT_READ) return watch(pool, link, false);
    if (why == SSL_ERROR_WANT_WRITE) return watch(pool, link, true);
    const char *words = ERR_reason_error_string(ERR_peek_error());
    return ln_bench_fail(pool, link, "TLS handshake: %s", words ? words : "the server hung up");
}

int ln_bench_link_start(ln_bench_pool *pool, ln_bench_link *link) {
    int family = pool->addr.ss_family;
    link->fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    if (link->fd < 0) return ln_bench_fail(pool, link, "socket: %s", strerror(errno));
    link->state = LN_BENCH_CONNECTING;
    link->began_ns = ln_bench_now_ns();
    pool->opening++;
    int on = 1;
    if (pool->o->kind != LN_BENCH_CONNECT)
        setsockopt(link->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (bind_source(pool, link) < 0) return -1;
    if (connect(link->fd, (struct sockaddr *)&pool->addr, pool->addr_len) < 0 &&
        errno != EINPROGRESS)
        return ln_bench_fail(pool, link, "connecting: %s", strerror(errno));

    /* A request is sent at once: over loopback TCP is there already, and elsewhere
     * the socket says EAGAIN and is waited for like any full one. */
    bool at_once = !pool->tls && !pool->o->raw;
    struct epoll_event ev = { .events = EPOLLIN | (at_once ? 0 : EPOLLOUT), .data.ptr = link };
    link->wants_room = !at_once;
    if (epoll_ctl(pool->epoll, EPOLL_CTL_ADD, link->fd, &ev) < 0)
        return ln_bench_fail(pool, link, "epoll: %s", strerror(errno));
    return at_once ? link_connected(pool, link) : 0;
}

static int link_writable(ln_bench_pool *pool, ln_bench_link *link) {
    if (link->state == LN_BENCH_SECURING) return link_secure(pool, link);
    if (link->state != LN_BENCH_CONNECTING) {
        if (flush(pool, link) < 0) return -1;
        bool tell = link->state == LN_BENCH_OPEN && ln_bench_link_idle(link);
        return tell && pool->calls->flushed ? pool->calls->flushed(pool, link) : 0;
    }
    int err = 0;
    socklen_t len = sizeof err;
    getsockopt(link->fd, SOL_SOCKET, SO_ERROR, &err, &len);
    if (err) return ln_bench_fail(pool, link, "connecting: %s", strerror(err));
    if (pool->tls) {
        link->ssl = SSL_new(pool->tls);
        if (!link->ssl) return ln_bench_fail(pool, link, "out of memory");
        SSL_set_fd(link->ssl, link->fd);
        SSL_set_connect_state(link->ssl);
        SSL_set_tlsext_host_name(link->ssl, pool->o->host);
        link->state = LN_BENCH_SECURING;
        return link_secure(pool, link);
    }
    if (watch(pool, link, false) < 0) return -1;
    return link_connected(pool, link);
}

/* -- the answer ---------------------------------------------------------- */

/* The value of a header field in head, which ends in an empty line. */
static const char *field(const char *head, const char *end, const char *name, size_t *n) {
    size_t len = strlen(name);
    for (const char *line = head; line < end;) {
        const char *stop = memmem(line, (size_t)(end - line), "\r\n", 2);
        if (!stop) return NULL;
        if ((size_t)(stop - line) > len && line[len] == ':' && strncasecmp(line, name, len) == 0) {
            const char *value = line + len + 1;
            while (value < stop && *value == ' ')
                value++;
            *n = (size_t)(stop - value);
            return value;
        }
        line = stop + 2;
    }
    return NULL;
}

static int check_extensions(ln_bench_pool *pool, ln_bench_link *link, const char *value, size_t n) {
    if (!value)
        return pool->o->deflate
                   ? ln_bench_fail(pool, link, "the server does not agree to permessage-deflate")
                   : 0;
    ln_bench_extension x;
    if (!pool->o->deflate || !ln_bench_extension_parse(&x, value, n))
        return ln_bench_fail(pool, link, "an extension that was not offered: %.*s", (int)n, value);
    if (!pool->extension.agreed) pool->extension = x;
    const ln_bench_extension *first = &pool->extension;
    if (x.server_takeover != first->server_takeover || x.client_bits != first->client_bits ||
        x.client_takeover != first->client_takeover)
        return ln_bench_fail(pool, link, "other extension parameters than the first connection's");
    return 0;
}

static int check_answer(
    ln_bench_pool *pool, ln_bench_link *link, const char *head, const char *end) {
    size_t line = (size_t)((const char *)memmem(head, (size_t)(end - head), "\r\n", 2) - head);
    if (line < 12 || memcmp(head, "HTTP/1.1 101", 12) != 0)
        return ln_bench_fail(
            pool, link, "the upgrade was refused: %.*s", (int)(line < 100 ? line : 100), head);
    size_t n = 0;
    const char *accept = field(head, end, "Sec-WebSocket-Accept", &n);
    if (!accept || n != 28 || memcmp(accept, pool->accept, 28) != 0)
        return ln_bench_fail(pool, link, "a wrong Sec-WebSocket-Accept");
    const char *extensions = field(head, end, "Sec-WebSocket-Extensions", &n);
    return check_extensions(pool, link, extensions, n);
}

/* Bytes of the answer; whatever follows it belongs to the reader. */
static int link_answer(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    const char *head = (const char *)p;
    size_t have = n, before = link->head_len;
    if (before) {
        char *grown = realloc(link->head, before + n);
        if (!grown) return ln_bench_fail(pool, link, "out of memory");
        memcpy(grown + before, p, n);
        head = link->head = grown;
        have = link->head_len = before + n;
    }
    const char *end = memmem(head, have, "\r\n\r\n", 4);
    if (!end) {
        if (have > ANSWER_MAX) return ln_bench_fail(pool, link, "an answer without an end");
        if (before) return 0;
        link->head = ln_bench_alloc(1, n);
        memcpy(link->head, p, n);
        link->head_len = n;
        return 0;
    }
    size_t used = (size_t)(end + 4 - head) - before;
    if (check_answer(pool, link, head, end + 2) < 0) return -1;
    free(link->head);
    link->head = NULL;
    link->head_len = 0;
    if (link_opened(pool, link) < 0) return -1;
    if (used == n || link->state != LN_BENCH_OPEN) return 0;
    return pool->calls->received(pool, link, p + used, n - used);
}

/* -- receiving ----------------------------------------------------------- */

int ln_bench_link_read(ln_bench_pool *pool, ln_bench_link *link, const uint8_t *p, size_t n) {
    if (ln_bench_reader_feed(&link->reader, p, n) == 0) return 0;
    return ln_bench_fail(pool, link, "%s", link->reader.why);
}

int ln_bench_link_control(
    ln_bench_pool *pool, ln_bench_link *link, uint8_t opcode, const uint8_t *p, size_t n) {
    if (opcode == LN_BENCH_OP_CLOSE) {
        unsigned code = n >= 2 ? (unsigned)p[0] << 8 | p[1] : 1005;
        return ln_bench_fail(pool, link, "the server closed with %u %.*s", code,
            n > 2 ? (int)n - 2 : 0, n > 2 ? (const char *)p + 2 : "");
    }
    if (opcode != LN_BENCH_OP_PING) return 0;
    uint8_t mask[4], pong[125 + LN_BENCH_HEAD_MAX];
    ln_bench_mask(mask);
    size_t len = ln_bench_frame(pong, LN_BENCH_OP_PONG, mask, p, n);
    return ln_bench_link_send_copy(pool, link, pong, len);
}

static int link_bytes(ln_bench_pool *pool, ln_bench_link *link, size_t n) {
    if (link->state == LN_BENCH_OPEN) return pool->calls->received(pool, link, pool->buffer, n);
    return link_answer(pool, link, pool->buffer, n);
}

static int link_ended(ln_bench_pool *pool, ln_bench_link *link) {
    return ln_bench_fail(pool, link, "the server hung up%s",
        link->state == LN_BENCH_OPEN ? "" : " before the handshake was over");
}

static int link_readable_tls(ln_bench_pool *pool, ln_bench_link *link) {
    if (link->state == LN_BENCH_SECURING) return link_secure(pool, link);
    while (link->ssl) {
        size_t n = 0;
        if (SSL_read_ex(link->ssl, pool->buffer, BUFFER_BYTES, &n) == 1) {
            if (link_bytes(pool, link, n) < 0) return -1;
            continue;
        }
        int why = SSL_get_error(link->ssl, 0);
        if (why == SSL_ERROR_WANT_READ) return 0;
        if (why == SSL_ERROR_WANT_WRITE) return watch(pool, link, true);
        return link_ended(pool, link);
    }
    return 0;
}

static int link_readable(ln_bench_pool *pool, ln_bench_link *link) {
    if (link->ssl) return link_readable_tls(pool, link);
    ssize_t n = recv(link->fd, pool->buffer, BUFFER_BYTES, 0);
    if (n > 0) return link_bytes(pool, link, (size_t)n);
    if (n == 0) return link_ended(pool, link);
    if (errno == EAGAIN) return 0;
    return ln_bench_fail(pool, link, "receiving: %s", strerror(errno));
}

void ln_bench_link_drop(ln_bench_pool *pool, ln_bench_link *link) {
    if (link->state == LN_BENCH_OPEN)
        pool->open--;
    else if (link->state != LN_BENCH_UNUSED && link->state != LN_BENCH_CLOSED)
        pool->opening--;
    link->state = LN_BENCH_CLOSED;
    SSL_free(link->ssl);
    link->ssl = NULL;
    if (link->fd >= 0) {
        struct linger at_once = { .l_onoff = 1 };
        setsockopt(link->fd, SOL_SOCKET, SO_LINGER, &at_once, sizeof at_once);
        close(link->fd);
    }
    link->fd = -1;
    free(link->copy);
    free(link->head);
    link->copy = NULL;
    link->head = NULL;
    link->tx_len = link->copy_at = link->copy_len = link->copy_cap = link->head_len = 0;
}

/* -- the loop ------------------------------------------------------------ */

int ln_bench_pool_turn(ln_bench_pool *pool, int timeout_ms) {
    struct epoll_event events[EVENTS];
    int n = epoll_wait(pool->epoll, events, EVENTS, pool->o->spin ? 0 : timeout_ms);
    if (n < 0 && errno != EINTR) return ln_bench_fail(pool, NULL, "epoll: %s", strerror(errno));
    for (int i = 0; i < n; i++) {
        ln_bench_link *link = events[i].data.ptr;
        uint32_t what = events[i].events;
        if (link->state == LN_BENCH_CONNECTING || (what & EPOLLOUT && link->wants_room)) {
            if (link_writable(pool, link) < 0) return -1;
        }
        if (what & (EPOLLIN | EPOLLHUP | EPOLLERR) && link->fd >= 0) {
            if (link_readable(pool, link) < 0) return -1;
        }
    }
    return n < 0 ? 0 : n;
}

int ln_bench_pool_alive(ln_bench_pool *pool, bool moved, uint64_t now_ns) {
    if (moved || pool->deadline_ns == 0)
        pool->deadline_ns = now_ns + (uint64_t)STANDSTILL_S * 1000000000u;
    if (now_ns < pool->deadline_ns) return 0;
    return ln_bench_fail(pool, NULL,
        "nothing came for %d seconds (%zu connections open, %zu under way)", STANDSTILL_S,
        pool->open, pool->opening);
}

int ln_bench_pool_open(ln_bench_pool *pool, size_t first, size_t n) {
    size_t started = 0, open_before = pool->open, wanted = open_before + n;
    pool->deadline_ns = 0;
    while (pool->open < wanted) {
        size_t before = pool->open;
        while (started < n && pool->opening < OPENING_MAX) {
            if (ln_bench_link_start(pool, ln_bench_pool_link(pool, first + started)) < 0) return -1;
            started++;
        }
        if (ln_bench_pool_turn(pool, 100) < 0) return -1;
        if (ln_bench_pool_alive(pool, pool->open > before, ln_bench_now_ns()) < 0) return -1;
    }
    return 0;
}
