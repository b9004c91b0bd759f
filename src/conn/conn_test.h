/* conn_test.h -- one connection of ours on the simulator's network, and its peer.
 *
 * The peer is a plain sock that says bytes and keeps what it hears; or nobody, when the test plays
 * both sides itself with two connections. Time is virtual: `rig_pass` is exact. What the
 * connection tells its owner is written down in `said`, one word group per event, and `act` may do
 * something inside each of them, as a host would.
 */
#ifndef LN_CONN_CONN_TEST_H
#define LN_CONN_CONN_TEST_H
#include "base/mem.h"
#include "base/testing.h"
#include "conn/exchange.h"
#include "conn/inner.h"
#include "net/dns.h"
#include "net/sim.h"
#include <stdio.h>

enum { RIG_CONN = 1, RIG_DOOR, RIG_PEER, RIG_TIMER, RIG_DNS };

typedef struct rig rig;
struct rig {
    ln_simnet *net;
    ln_loop *loop;
    ln_env env;
    ln_log log;
    ln_listener door;
    ln_tls_ctx *tls;
    ln_conn *conn; /* NULL: none, or its memory has gone */
    ln_sock *peer;
    ln_buf heard, unsaid; /* what the peer got, and what it could not send yet */
    int end;              /* of the peer's stream; 1: open */
    int fd;               /* accepted, -1 */
    bool raw;             /* accepted ones get no exchange */
    bool plain_door;      /* accepted ones are the peer: it is us who dial */
    ln_conn *mate;        /* our own end of a dial */
    struct ln_dns *dns;
    unsigned dead, idle, turns;
    ln_conn_config config;
    char said[4096];
    void (*act)(rig *r, ln_conn *c, const char *event);
    void (*on_request)(ln_conn *c, ln_exchange *x);
    void (*on_body)(ln_conn *c, ln_exchange *x);
    void *extra;
    unsigned gone;
};

static inline rig *rig_of(const ln_conn *c) {
    return c->env->host;
}

__attribute__((format(printf, 2, 3))) static inline void rig_say(rig *r, const char *format, ...) {
    size_t at = strlen(r->said);
    va_list args;
    if (at > sizeof r->said - 200) return; /* enough is enough */
    va_start(args, format);
    if (at) r->said[at++] = '|';
    vsnprintf(r->said + at, sizeof r->said - at, format, args);
    va_end(args);
}

#define rig_said(r, text)                                                                          \
    do {                                                                                           \
        assert_string_equal((r)->said, text);                                                      \
        (r)->said[0] = 0;                                                                          \
    } while (0)

/* ---- the owner --------------------------------------------------------------------------- */

static inline void rig_act(ln_conn *c, const char *event) {
    rig *r = rig_of(c);
    if (r->act) r->act(r, c, event);
}

static inline void rig_open(ln_conn *c) {
    rig_say(rig_of(c), "open");
    rig_act(c, "open");
}

static inline void rig_message(ln_conn *c, uint8_t opcode, ln_wslice data) {
    if (data.size <= 40)
        rig_say(rig_of(c), "%s %.*s", opcode == LN_OP_TEXT ? "text" : "binary", (int)data.size,
            (const char *)data.data);
    else
        rig_say(rig_of(c), "%s of %zu", opcode == LN_OP_TEXT ? "text" : "binary", data.size);
    rig_act(c, "message");
}

static inline void rig_drain(ln_conn *c) {
    rig_say(rig_of(c), "drain");
    rig_act(c, "drain");
}

static inline void rig_ping(ln_conn *c, ln_slice payload) {
    rig_say(rig_of(c), "ping %.*s", (int)payload.size, (const char *)payload.data);
    rig_act(c, "ping");
}

static inline void rig_pong(ln_conn *c, ln_slice payload, uint32_t rtt) {
    if (rtt == UINT32_MAX)
        rig_say(rig_of(c), "pong %.*s", (int)payload.size, (const char *)payload.data);
    else
        rig_say(rig_of(c), "pong in %u", rtt);
    rig_act(c, "pong");
}

static inline void rig_close(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    rig_say(rig_of(c), "close %u %.*s%s%s", code, (int)reason.size, (const char *)reason.data,
        reason.size && err ? " " : "", err ? linnet_errname(err) : "");
    rig_act(c, "close");
}

static const ln_conn_ops rig_ops = { .on_open = rig_open,
    .on_message = rig_message,
    .on_drain = rig_drain,
    .on_ping = rig_ping,
    .on_pong = rig_pong,
    .on_close = rig_close };

static inline void rig_dead(ln_conn *c) {
    rig *r = rig_of(c);
    r->dead++;
    assert_false(ln_timer_armed(&c->timer)); /* it would point into freed memory */
    assert_false(ln_list_linked(&c->turn));
    if (c == r->conn) r->conn = NULL;
    if (c == r->mate) r->mate = NULL;
    free(c);
}

static inline void rig_gone(ln_conn *c, ln_exchange *x) {
    (void)x;
    rig_of(c)->gone++;
}

static inline void rig_requested(ln_conn *c, ln_exchange *x) {
    if (rig_of(c)->on_request) rig_of(c)->on_request(c, x);
}

static inline void rig_embodied(ln_conn *c, ln_exchange *x) {
    if (rig_of(c)->on_body) rig_of(c)->on_body(c, x);
}

/* ---- the loop ---------------------------------------------------------------------------- */

static inline void rig_accept(rig *r, int fd) {
    if (r->plain_door) {
        r->peer = malloc(sizeof *r->peer);
        assert_non_null(r->peer);
        assert_int_equal(ln_sock_adopt(r->loop, r->peer, RIG_PEER, fd), LINNET_OK);
        assert_int_equal(ln_sock_recv_start(r->loop, r->peer), LINNET_OK);
        r->end = 1;
        return;
    }
    ln_conn *c = calloc(1, sizeof *c);
    assert_non_null(c);
    assert_int_equal(ln_conn_accept(c, &r->env, RIG_CONN, RIG_TIMER, fd, r->tls), LINNET_OK);
    r->conn = c;
    if (r->raw) return;
    assert_int_equal(ln_exchange_begin(c, 10000), LINNET_OK);
    ln_conn_resume(c, 0);
}

static inline void rig_peer_told(rig *r, const ln_completion *c) {
    if (c->kind == LN_C_RECV && c->result > 0) {
        assert_int_equal(ln_buf_add(&r->heard, ln_slice_of(c->data.data, c->data.size)), 0);
    } else if (c->kind == LN_C_RECV) {
        r->end = c->result;
    } else if (c->kind == LN_C_SENT) {
        ln_buf_clear(&r->unsaid);
    } else if (c->kind == LN_C_CLOSED) {
        free(r->peer);
        r->peer = NULL;
    }
}

static inline void rig_take(rig *r, const ln_completion *c) {
    if (c->kind == LN_C_ACCEPT)
        rig_accept(r, c->fd);
    else if (c->sock && c->sock->kind == RIG_CONN)
        ln_conn_complete(ln_list_item(c->sock, ln_conn, sock), c);
    else if (c->sock && c->sock->kind == RIG_PEER)
        rig_peer_told(r, c);
}

/* One turn as a worker does it, that waits no longer than `until`. */
static inline bool rig_turn_until(rig *r, ln_msec until) {
    ln_completion c;
    bool any = !ln_list_empty(&r->env.ready) || !ln_list_empty(&r->env.dirty);
    assert_int_equal(ln_loop_wait(r->loop, any ? ln_loop_now(r->loop) : until), LINNET_OK);
    r->turns++;
    ln_env_ready(&r->env);
    while (ln_loop_next(r->loop, &c)) {
        any = true;
        rig_take(r, &c);
    }
    if (r->dns) ln_dns_turn(r->dns);
    for (ln_timer *t; (t = ln_wheel_pull(ln_loop_wheel(r->loop), ln_loop_now(r->loop)));) {
        any = true;
        if (t->kind == RIG_DNS)
            ln_dns_timer(r->dns, t);
        else
            ln_conn_timer(ln_list_item(t, ln_conn, timer));
    }
    any = any || !ln_list_empty(&r->env.dirty);
    ln_env_flush(&r->env);
    assert_null(r->env.cork_owner);
    return any;
}

/* Until nothing happens any more; a few milliseconds. */
static inline void rig_settle(rig *r) {
    for (int quiet = 0; quiet < 3;)
        quiet = rig_turn_until(r, ln_loop_now(r->loop) + 1) ? 0 : quiet + 1;
}

static inline void rig_pass(rig *r, uint32_t ms) {
    ln_msec end = ln_loop_now(r->loop) + ms;
    rig_settle(r); /* what was said outside a turn leaves at the end of the next */
    while (ln_loop_now(r->loop) < end)
        rig_turn_until(r, end);
    rig_settle(r);
}

/* ---- the peer ---------------------------------------------------------------------------- */

/* Says bytes; what the network does not take is kept until it does. */
static inline void rig_peer_says(rig *r, ln_slice bytes) {
    assert_int_equal(r->unsaid.size, 0);
    assert_int_equal(ln_buf_add(&r->unsaid, bytes), LINNET_OK);
    if (ln_sock_send(r->loop, r->peer, ln_buf_slice(&r->unsaid)) == LN_DONE)
        ln_buf_clear(&r->unsaid);
}

static inline void rig_peer_deaf(rig *r, bool deaf) {
    if (deaf)
        ln_sock_recv_pause(r->loop, r->peer);
    else
        assert_int_equal(ln_sock_recv_start(r->loop, r->peer), LINNET_OK);
}

static inline void rig_peer_leaves(rig *r, bool abort) {
    if (r->peer && !ln_sock_closing(r->peer)) ln_sock_close(r->loop, r->peer, abort);
}

/* Appends a frame of a client, masked with zeros so that it can be read. */
static inline void rig_frame(ln_buf *out, uint8_t first, ln_slice payload) {
    uint8_t head[14] = { first, 0x80 };
    size_t n = 2;
    if (payload.size < 126) {
        head[1] = (uint8_t)(0x80 | payload.size);
    } else {
        size_t bytes = payload.size < 65536 ? 2 : 8;
        head[1] = bytes == 2 ? 0xfe : 0xff;
        for (size_t i = 0; i < bytes; i++)
            head[n++] = (uint8_t)((uint64_t)payload.size >> 8 * (bytes - 1 - i));
    }
    memset(head + n, 0, 4);
    assert_int_equal(ln_buf_add(out, ln_slice_of(head, n + 4)), LINNET_OK);
    assert_int_equal(ln_buf_add(out, payload), LINNET_OK);
}

static inline void rig_peer_frame(rig *r, uint8_t first, const char *payload) {
    ln_buf b;
    ln_buf_init(&b, LN_BUF_MAX);
    rig_frame(&b, first, ln_slice_str(payload));
    rig_peer_says(r, ln_buf_slice(&b));
    ln_buf_fini(&b);
}

/* One server frame off the front; false when there is none whole. */
static inline bool rig_peer_next(rig *r, ln_frame *f, ln_slice *payload) {
    ln_frame_rules rules = { .length_max = LN_BUF_MAX, .masked = false, .rsv1 = true };
    ln_slice in = ln_buf_slice(&r->heard), rest = in;
    if (ln_frame_decode(&rules, &rest, f) != LN_DONE || rest.size < f->length) return false;
    *payload = ln_slice_of(rest.data, (size_t)f->length);
    ln_buf_consume(&r->heard, in.size - rest.size + (size_t)f->length);
    return true;
}

/* What the peer heard, as text, and forgets it: "text hi|close 1000 bye|end". */
static inline const char *rig_peer_heard(rig *r) {
    static const char *const names[] = { "more", "text", "binary", "3", "4", "5", "6", "7", "close",
        "ping", "pong" };
    static char out[4096];
    size_t at = 0;
    ln_frame f = { 0 };
    ln_slice p = { NULL, 0 };
    out[0] = 0;
    while (rig_peer_next(r, &f, &p) && at < sizeof out - 200) {
        if (at) out[at++] = '|';
        at += (size_t)snprintf(out + at, sizeof out - at, "%s%s%s", names[f.opcode],
            f.rsv1 ? "*" : "", f.fin ? "" : "-");
        if (f.opcode == LN_OP_CLOSE && p.size >= 2) {
            at += (size_t)snprintf(out + at, sizeof out - at, " %u", p.data[0] << 8 | p.data[1]);
            ln_slice_skip(&p, 2);
        }
        if (f.rsv1 || p.size > 100)
            at += (size_t)snprintf(out + at, sizeof out - at, " of %zu", p.size);
        else if (p.size)
            at += (size_t)snprintf(
                out + at, sizeof out - at, " %.*s", (int)p.size, (const char *)p.data);
    }
    assert_int_equal(r->heard.size, 0);
    if (r->end != 1)
        snprintf(out + at, sizeof out - at, "%s%s", at ? "|" : "", r->end ? "reset" : "end");
    return out;
}

#define rig_peer_got(r, text) assert_string_equal(rig_peer_heard(r), text)

/* ---- life -------------------------------------------------------------------------------- */

static inline rig *rig_bare(void) {
    rig *r = calloc(1, sizeof *r);
    assert_non_null(r);
    r->end = 1;
    r->config = (ln_conn_config){ .queued_max = 1024 * 1024,
        .queued_age_ms = 10000,
        .high = 256 * 1024,
        .low = 64 * 1024,
        .ping_ms = 25000,
        .pong_ms = 10000,
        .message_ms = 30000,
        .close_ms = 5000,
        .linger_ms = 2000,
        .control_per_s = 50,
        .slow_code = 3008 };
    r->config.ws = (ln_ws_config){
        .message_max = 4 * 1024 * 1024, .fragments_max = 1024, .deflate_level = 1
    };
    r->net = ln_simnet_new(1, NULL);
    ln_loop_options o = { .backend = &ln_sim_ops, .backend_arg = r->net };
    assert_int_equal(ln_loop_new(&o, &r->loop), LINNET_OK);
    ln_log_init(&r->log, NULL, NULL, LINNET_LOG_ERROR);
    assert_int_equal(ln_env_init(&r->env, r->loop, &r->log), LINNET_OK);
    r->env.host = r;
    r->env.on_dead = rig_dead;
    r->env.on_gone = rig_gone;
    r->env.on_request = rig_requested;
    r->env.on_body = rig_embodied;
    ln_buf_init(&r->heard, LN_BUF_MAX);
    ln_buf_init(&r->unsaid, LN_BUF_MAX);
    ln_addr at;
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.1:80"), &at), LINNET_OK);
    assert_int_equal(ln_listen(r->loop, &r->door, RIG_DOOR, &at, NULL, NULL), LINNET_OK);
    return r;
}

static inline void rig_connect(rig *r) {
    ln_addr at;
    assert_int_equal(ln_addr_parse(LN_SLICE("127.0.0.1:80"), &at), LINNET_OK);
    r->peer = malloc(sizeof *r->peer);
    assert_non_null(r->peer);
    assert_int_equal(ln_sock_connect(r->loop, r->peer, RIG_PEER, &at, NULL), LINNET_OK);
    rig_settle(r);
    assert_non_null(r->conn);
    assert_int_equal(ln_sock_recv_start(r->loop, r->peer), LINNET_OK);
}

/* A server connection at HTTP, its peer connected. */
static inline rig *rig_http(void) {
    rig *r = rig_bare();
    rig_connect(r);
    return r;
}

/* A server connection that is an open WebSocket already. */
static inline rig *rig_ws_with(void (*change)(ln_conn_config *config)) {
    rig *r = rig_bare();
    r->raw = true;
    if (change) change(&r->config);
    rig_connect(r);
    assert_int_equal(ln_conn_open_ws(r->conn, &r->config, &rig_ops, NULL, NULL), LINNET_OK);
    ln_conn_resume(r->conn, 0);
    rig_said(r, "open");
    return r;
}

static inline rig *rig_ws(void) {
    return rig_ws_with(NULL);
}

/* Whatever is left is dropped, and everything must come back. */
static inline void rig_free(rig *r) {
    r->act = NULL;
    if (r->conn) ln_conn_terminate(r->conn);
    if (r->mate) ln_conn_terminate(r->mate);
    rig_peer_leaves(r, true);
    ln_listener_close(r->loop, &r->door);
    rig_settle(r);
    for (int i = 0; i < 100 && r->loop->open; i++) /* where the network is slow */
        rig_pass(r, 10);
    assert_null(r->conn);
    assert_null(r->mate);
    assert_null(r->peer);
    if (r->dns) ln_dns_free(r->dns);
    ln_env_fini(&r->env);
    ln_buf_fini(&r->heard);
    ln_buf_fini(&r->unsaid);
    ln_tls_ctx_unref(r->tls);
    ln_loop_free(r->loop);
    ln_simnet_free(r->net);
    free(r);
}
#endif
