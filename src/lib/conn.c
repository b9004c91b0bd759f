/* conn.c -- the public face of a connection, and the events its host gets. */
#include "base/mem.h"
#include "conn/inner.h"
#include "lib/server.h"

/* ---- what was sent by id too early ------------------------------------------------- */

typedef struct ln_held {
    ln_letter *first, **last;
    size_t bytes;
} ln_held;

/* Nothing can come between the fragments of a message, and before the handshake is over there are
 * no messages. */
static bool too_early(const linnet_conn *conn) {
    const ln_conn *c = &conn->c;
    if (c->state == LN_CONN_WS) return ln_conn_is(c, LN_CF_FRAGMENTS);
    if (ln_conn_is(c, LN_CF_CLIENT)) return c->state < LN_CONN_WS;
    const ln_exchange *x = c->state == LN_CONN_HTTP ? c->http : NULL;
    return x && x->state == LN_EXCHANGE_WORK && x->host; /* an upgrade that was deferred */
}

static int hold(linnet_conn *conn, ln_post *m) {
    ln_held *h = conn->held;
    size_t max = conn->c.config ? conn->c.config->queued_max : LN_LIM_QUEUED;
    if (h && h->bytes + m->size + ln_conn_queued(&conn->c) > max) return LINNET_ERR_SLOW;
    if (!h) {
        if (!(h = ln_malloc(sizeof *h))) return LINNET_ERR_NOMEM;
        *h = (ln_held){ .last = &h->first };
        conn->held = h;
    }
    m->letter.next = NULL;
    *h->last = &m->letter;
    h->last = &m->letter.next;
    h->bytes += m->letter.bytes;
    return LINNET_OK;
}

/* Whoever sent it was told LINNET_OK, so it is not left out without a word. */
static void send_posted(linnet_conn *conn, const ln_post *m) {
    int err = ln_conn_send(&conn->c, (uint8_t)m->code, ln_post_data(m));
    if (err == LINNET_ERR_NOMEM) ln_conn_fail(&conn->c, err);
}

bool ln_host_mail(linnet_conn *conn, ln_post *m) {
    if (!too_early(conn)) {
        send_posted(conn, m);
        return false;
    }
    int err = hold(conn, m);
    if (err < 0) ln_conn_fail(&conn->c, err);
    return err == LINNET_OK;
}

void ln_host_unhold(linnet_conn *conn) {
    for (ln_letter *l = conn->held ? conn->held->first : NULL, *next; l; l = next) {
        next = l->next;
        ln_post_free((ln_post *)(void *)l);
    }
    ln_free(conn->held);
    conn->held = NULL;
}

static void send_held(linnet_conn *conn) {
    if (!conn->held || too_early(conn)) return;
    for (ln_letter *l = conn->held->first; l; l = l->next)
        send_posted(conn, (ln_post *)(void *)l);
    ln_host_unhold(conn);
}

/* ---- events ------------------------------------------------------------------------ */

static void on_open(ln_conn *c) {
    linnet_conn *conn = ln_conn_outer(c);
    if (conn->events->on_open) conn->events->on_open(conn);
    send_held(conn);
}

static void on_message(ln_conn *c, uint8_t opcode, ln_wslice data) {
    linnet_conn *conn = ln_conn_outer(c);
    if (conn->events->on_message)
        conn->events->on_message(conn, (linnet_opcode)opcode, ln_slice_of(data.data, data.size));
}

static void on_drain(ln_conn *c) {
    linnet_conn *conn = ln_conn_outer(c);
    if (conn->events->on_drain) conn->events->on_drain(conn);
}

static void on_pong(ln_conn *c, ln_slice payload, uint32_t rtt_ms) {
    linnet_conn *conn = ln_conn_outer(c);
    if (conn->events->on_pong) conn->events->on_pong(conn, payload, rtt_ms);
}

static void on_close(ln_conn *c, uint16_t code, ln_slice reason, int err) {
    linnet_conn *conn = ln_conn_outer(c);
    if (ln_worker_of(conn)->hub) ln_raw_close(&conn->raw, ln_worker_of(conn)->hub);
    if (conn->events->on_close) conn->events->on_close(conn, code, reason, err);
}

const ln_conn_ops ln_host_ops = { .on_open = on_open,
    .on_message = on_message,
    .on_drain = on_drain,
    .on_pong = on_pong,
    .on_close = on_close };

/* ---- sending ---------------------------------------------------------------------- */

/* Text is checked, except when it is the message being delivered: that was checked on its way in.
 */
static int check(const linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    if (opcode != LINNET_TEXT && opcode != LINNET_BINARY) return LINNET_ERR_INVAL;
    if (data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    if (opcode == LINNET_BINARY) return LINNET_OK;
    const ln_env *env = conn->c.env;
    if (data.size && data.data == env->current && data.size == env->current_size &&
        env->current_text)
        return LINNET_OK;
    return ln_utf8_valid(data) ? LINNET_OK : LINNET_ERR_UTF8;
}

int linnet_conn_send(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    int err = check(conn, opcode, data);
    return err < 0 ? err : ln_conn_send(&conn->c, (uint8_t)opcode, data);
}

int linnet_conn_send_plain(linnet_conn *conn, linnet_opcode opcode, linnet_slice data) {
    int err = check(conn, opcode, data);
    return err < 0 ? err : ln_conn_send_plain(&conn->c, (uint8_t)opcode, data);
}

int linnet_conn_send_fragment(
    linnet_conn *conn, linnet_opcode opcode, bool fin, linnet_slice data) {
    if ((unsigned)opcode > LINNET_BINARY) return LINNET_ERR_INVAL;
    if (data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    ln_conn *c = &conn->c;
    bool text = opcode == LINNET_TEXT || (opcode == LINNET_CONTINUATION && c->ws.sending_text);
    ln_utf8 state = opcode == LINNET_TEXT ? 0 : c->ws.sending_utf8;
    if (text && (!ln_utf8_feed(&state, data) || (fin && !ln_utf8_complete(state))))
        return LINNET_ERR_UTF8;
    if (conn->raw.first && opcode != LINNET_CONTINUATION)
        ln_raw_hasten(&conn->raw, ln_worker_of(conn)->hub);
    int err = ln_conn_send_fragment(c, (uint8_t)opcode, fin, data);
    if (err < 0) return err;
    c->ws.sending_text = text && !fin;
    c->ws.sending_utf8 = fin ? 0 : state;
    send_held(conn);
    return LINNET_OK;
}

int linnet_conn_ping(linnet_conn *conn, linnet_slice payload) {
    return ln_conn_ping(&conn->c, payload);
}

int linnet_conn_close(linnet_conn *conn, uint16_t code, const char *reason) {
    return ln_conn_close(&conn->c, code, linnet_str(reason));
}

int linnet_conn_finish(linnet_conn *conn, uint16_t code, const char *reason) {
    return ln_conn_finish(&conn->c, code, linnet_str(reason));
}

void linnet_conn_terminate(linnet_conn *conn) {
    ln_conn_terminate(&conn->c);
}

void linnet_conn_pause(linnet_conn *conn) {
    ln_conn_pause(&conn->c, LN_PAUSE_USER);
}

void linnet_conn_resume(linnet_conn *conn) {
    ln_conn_resume(&conn->c, LN_PAUSE_USER);
}

/* ---- asking ----------------------------------------------------------------------- */

size_t linnet_conn_buffered(const linnet_conn *conn) {
    const ln_env *env = conn->c.env;
    return ln_conn_queued(&conn->c) + (env->cork_owner == &conn->c ? env->corked : 0);
}

linnet_conn_id linnet_conn_get_id(const linnet_conn *conn) {
    return ln_conn_name(conn);
}

linnet_loop *linnet_conn_loop(const linnet_conn *conn) {
    return ln_worker_of(conn);
}

void *linnet_conn_user(const linnet_conn *conn) {
    return conn->user;
}

void linnet_conn_set_user(linnet_conn *conn, void *user) {
    conn->user = user;
}

linnet_slice linnet_conn_subprotocol(const linnet_conn *conn) {
    return linnet_str(conn->protocol ? conn->protocol : "");
}

size_t linnet_conn_peer(const linnet_conn *conn, char out[64]) {
    ln_addr a;
    ln_visitor v;
    out[0] = 0;
    if (ln_worker_of(conn)->visitors.count) {
        ln_visitor_of(conn, NULL, &v);
        if (v.forwarded) return ln_visitor_text(&v, out);
    }
    if (ln_sock_peer(&conn->c.sock, &a) < 0) return 0;
    return ln_addr_text(&a, out);
}

bool linnet_conn_deflated(const linnet_conn *conn) {
    return conn->c.ws.pmd != NULL;
}

bool linnet_conn_tls(const linnet_conn *conn) {
    ln_visitor v;
    if (!ln_worker_of(conn)->visitors.count) return conn->c.tls != NULL;
    ln_visitor_of(conn, NULL, &v);
    return v.tls;
}

/* ---- raw topics ------------------------------------------------------------------- */

int linnet_conn_subscribe(linnet_conn *conn, linnet_slice topic) {
    ln_hub *hub = ln_worker_of(conn)->hub;
    if (!hub || ln_conn_is(&conn->c, LN_CF_CLIENT)) return LINNET_ERR_UNSUPPORTED;
    if (conn->c.state != LN_CONN_WS) return LINNET_ERR_CLOSED;
    if (ln_conn_is(&conn->c, LN_CF_FRAGMENTS)) return LINNET_ERR_STATE;
    int err = ln_raw_subscribe(&conn->raw, hub, &conn->c, topic, LN_LIM_TOPICS);
    if (err == LINNET_OK) ln_conn_batch(&conn->c, true);
    return err;
}

int linnet_conn_unsubscribe(linnet_conn *conn, linnet_slice topic) {
    ln_hub *hub = ln_worker_of(conn)->hub;
    if (!hub) return LINNET_ERR_UNSUPPORTED;
    int err = ln_raw_unsubscribe(&conn->raw, hub, topic);
    if (!conn->raw.first) ln_conn_batch(&conn->c, false);
    return err;
}

int linnet_conn_publish(
    linnet_conn *conn, linnet_slice topic, linnet_opcode opcode, linnet_slice data) {
    ln_hub *hub = ln_worker_of(conn)->hub;
    if (!hub) return LINNET_ERR_UNSUPPORTED;
    if (opcode != LINNET_TEXT && opcode != LINNET_BINARY) return LINNET_ERR_INVAL;
    if (data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    if (opcode == LINNET_TEXT && !ln_utf8_valid(data)) return LINNET_ERR_UTF8;
    return ln_raw_publish(hub, topic, (uint8_t)opcode, data);
}

/* ---- by id, from any thread --------------------------------------------------------- */

int linnet_loop_send(
    linnet_loop *loop, linnet_conn_id id, linnet_opcode opcode, linnet_slice data) {
    if (!ln_worker_named(loop, id) || (opcode != LINNET_TEXT && opcode != LINNET_BINARY))
        return LINNET_ERR_INVAL;
    if (data.size > LN_LIM_MESSAGE_CEILING) return LINNET_ERR_TOO_BIG;
    if (opcode == LINNET_TEXT && !ln_utf8_valid(data)) return LINNET_ERR_UTF8;
    return ln_worker_post(loop, ln_post_new(LN_POST_SEND, id, (int)opcode, NULL, data));
}

int linnet_loop_close(linnet_loop *loop, linnet_conn_id id, uint16_t code, const char *reason) {
    ln_slice words = linnet_str(reason);
    if (!ln_worker_named(loop, id) || (code && code != 1005 && !ln_ws_code_valid(code)) ||
        words.size > 123 || !ln_utf8_valid(words))
        return LINNET_ERR_INVAL;
    return ln_worker_post(
        loop, ln_post_new(LN_POST_CLOSE, id, code, reason ? reason : "", ln_slice_of("", 0)));
}
