/* exchange.c -- HTTP/1.1 on a server connection. */
#include "conn/exchange.h"
#include "base/mem.h"
#include "conn/inner.h"
#include "wire/chunked.h"
#include <assert.h>

#define HEAD_KEEP_MS  60000u              /* an idle kept connection */
#define BODY_MS       30000u              /* a whole body */
#define BODY_GRACE_MS 5000u               /* before its rate is judged */
#define BODY_RATE     256u                /* bytes per second */
#define WORK_MS       30000u              /* for whoever answers later */
#define IN_MAX        (256u * 1024)       /* part of a head, and a receive or a carry behind it */
#define STREAM_MAX    (16u * 1024 * 1024) /* written, and not yet read by the peer */
#define FIELDS_MAX    8192u

/* ---- life ------------------------------------------------------------------------- */

static ln_msec now_of(const ln_exchange *x) {
    return ln_loop_now(x->conn->env->loop);
}

static void phase(ln_exchange *x, ln_exchange_state state, uint32_t ms) {
    x->state = (uint8_t)state;
    x->since = now_of(x);
    x->deadline = x->since + ms;
    ln_conn_arm(x->conn, x->deadline);
}

int ln_exchange_begin(ln_conn *c, uint32_t head_ms) {
    ln_exchange *x = ln_pool_get(&c->env->exchanges);
    if (!x) return LINNET_ERR_NOMEM;
    memset(x, 0, offsetof(ln_exchange, head));
    x->head.count = 0;
    x->conn = c;
    x->head_ms = head_ms;
    ln_buf_init(&x->in, IN_MAX);
    ln_buf_init(&x->fields, FIELDS_MAX);
    ln_buf_init(&x->body, 0);
    c->http = x;
    phase(x, LN_EXCHANGE_HEAD, head_ms);
    return LINNET_OK;
}

void ln_exchange_free(ln_exchange *x) {
    if (x->delivering) {
        x->state = LN_EXCHANGE_ANSWERED;
        x->left = true;
        return;
    }
    ln_buf_fini(&x->in);
    ln_buf_fini(&x->body);
    ln_buf_fini(&x->fields);
    ln_pool_put(&x->conn->env->exchanges, x);
}

ln_msec ln_exchange_deadline(const ln_exchange *x) {
    return x->deadline;
}

/* The connection could have died inside a callback, and the exchange with it. */
static bool alive(const ln_conn *c, const ln_exchange *x) {
    return c->state == LN_CONN_HTTP && c->http == x;
}

/* ---- answers ---------------------------------------------------------------------- */

static bool keeps(const ln_exchange *x) {
    return x->head.keep_alive && !x->close_after && !ln_conn_is(x->conn, LN_CF_EOF);
}

static void put_fields(const ln_exchange *x, ln_http1_writer *w) {
    if (w->err == LINNET_OK) w->err = ln_buf_add(w->out, ln_buf_slice(&x->fields));
    if (!keeps(x)) ln_http1_put(w, LN_SLICE("Connection"), LN_SLICE("close"));
}

/* The answer is complete. Inside a delivery the loop there goes on; else it is started again. */
static void answered(ln_exchange *x) {
    ln_conn *c = x->conn;
    bool on = keeps(x);
    x->answered++;
    x->state = LN_EXCHANGE_ANSWERED;
    if (!on) {
        ln_conn_linger(c);
        return;
    }
    if (x->delivering) return;
    ln_conn_resume(c, LN_PAUSE_WAIT);
    ln_wslice none = { NULL, 0 };
    ln_exchange_input(c, none);
}

static int give_up(ln_exchange *x, int err) {
    ln_conn_drop(x->conn, err);
    return err;
}

static int send_head(ln_exchange *x, ln_http1_writer *w) {
    int err = ln_http1_finish(w);
    if (err < 0) return err;
    ln_buf *out = w->out;
    err = ln_conn_send_raw(x->conn, ln_buf_slice(out));
    ln_buf_clear(out);
    if (err == LINNET_OK) ln_buf_clear(&x->fields);
    return err;
}

static ln_http1_writer begin_head(ln_exchange *x, unsigned status) {
    ln_buf_clear(&x->conn->env->gather);
    return ln_http1_answer(&x->conn->env->gather, status);
}

static bool answerable(const ln_exchange *x) {
    return x->state == LN_EXCHANGE_WORK;
}

static bool bodiless(unsigned status) {
    return status == 204 || status == 304;
}

static int answer(ln_exchange *x, unsigned status, ln_slice type, ln_slice body, uint64_t length) {
    if (!answerable(x)) return LINNET_ERR_STATE;
    if (status < 200 || status > 599) return LINNET_ERR_INVAL;
    if (x->head.expect_continue && x->head.body != LN_HTTP1_BODY_NONE && !x->body_done)
        x->close_after =
            true; /* its body was never asked for, so nothing behind it can be trusted */
    ln_http1_writer w = begin_head(x, status);
    if (type.size) ln_http1_put(&w, LN_SLICE("Content-Type"), type);
    if (status != 204) ln_http1_put_u64(&w, LN_SLICE("Content-Length"), length);
    put_fields(x, &w);
    int err = send_head(x, &w);
    if (err == LINNET_OK && body.size && !x->head_only && !bodiless(status))
        err = ln_conn_send_raw(x->conn, body);
    if (err == LINNET_ERR_INVAL) return err;
    if (err < 0) return give_up(x, err);
    answered(x);
    return LINNET_OK;
}

int ln_exchange_answer(ln_exchange *x, unsigned status, ln_slice type, ln_slice body) {
    return answer(x, status, type, body, body.size);
}

int ln_exchange_answer_head(ln_exchange *x, unsigned status, ln_slice type, uint64_t length) {
    return answer(x, status, type, ln_slice_of("", 0), length);
}

int ln_exchange_refuse(ln_exchange *x, ln_http1_fault fault) {
    ln_conn *c = x->conn;
    ln_buf *out = &c->env->gather;
    if (x->state == LN_EXCHANGE_ANSWERED) return LINNET_ERR_STATE;
    ln_buf_clear(out);
    int err = x->state == LN_EXCHANGE_STREAM ? LINNET_ERR_STATE : ln_http1_refuse(out, fault);
    if (err == LINNET_OK && x->head_only) { /* a HEAD is refused without words */
        ln_slice all = ln_buf_slice(out);
        const uint8_t *end = memmem(all.data, all.size, "\r\n\r\n", 4);
        if (end) out->size = (uint32_t)(end + 4 - all.data);
    }
    if (err == LINNET_OK) err = ln_conn_send_raw(c, ln_buf_slice(out));
    ln_buf_clear(out);
    ln_stat_add(&c->env->faults[fault], 1);
    ln_conn_log_refusal(c, "HTTP_", ln_http1_fault_name(fault), ln_http1_fault_status(fault));
    if (err < 0) return give_up(x, err);
    x->state = LN_EXCHANGE_ANSWERED;
    ln_conn_linger(c);
    return LINNET_OK;
}

int ln_exchange_stream(ln_exchange *x, unsigned status, ln_slice type) {
    if (!answerable(x)) return LINNET_ERR_STATE;
    if (status < 200 || status > 599 || bodiless(status)) return LINNET_ERR_INVAL;
    x->chunk_out = x->head.minor > 0;
    if (!x->chunk_out) x->close_after = true; /* HTTP/1.0 ends a body with the connection */
    ln_http1_writer w = begin_head(x, status);
    if (type.size) ln_http1_put(&w, LN_SLICE("Content-Type"), type);
    if (x->chunk_out) ln_http1_put(&w, LN_SLICE("Transfer-Encoding"), LN_SLICE("chunked"));
    put_fields(x, &w);
    int err = send_head(x, &w);
    if (err == LINNET_ERR_INVAL) return err;
    if (err < 0) return give_up(x, err);
    x->state = LN_EXCHANGE_STREAM;
    x->deadline = LN_NEVER;
    return LINNET_OK;
}

/* It is listened to for its end only. What comes meanwhile is kept, and then nothing more is taken:
 * whoever asks on behind a stream without end is not waiting for an answer. */
void ln_exchange_endless(ln_exchange *x) {
    assert(x->state == LN_EXCHANGE_STREAM);
    x->endless = true;
    if (!x->delivering && x->in.size == x->used) ln_conn_resume(x->conn, LN_PAUSE_WAIT);
}

int ln_exchange_write(ln_exchange *x, ln_slice data) {
    if (x->state != LN_EXCHANGE_STREAM) return LINNET_ERR_STATE;
    if (x->head_only || !data.size) return LINNET_OK;
    uint32_t waiting = ln_conn_queued(x->conn);
    if (waiting && data.size > STREAM_MAX - (waiting < STREAM_MAX ? waiting : STREAM_MAX))
        return give_up(x, LINNET_ERR_SLOW);
    ln_buf *out = &x->conn->env->gather;
    ln_buf_clear(out);
    int err = x->chunk_out ? ln_chunked_write(out, data) : LINNET_OK;
    if (err == LINNET_OK) err = ln_conn_send_raw(x->conn, x->chunk_out ? ln_buf_slice(out) : data);
    ln_buf_clear(out);
    return err < 0 ? give_up(x, err) : LINNET_OK;
}

int ln_exchange_end(ln_exchange *x) {
    if (x->state != LN_EXCHANGE_STREAM) return LINNET_ERR_STATE;
    if (x->chunk_out && !x->head_only) {
        int err = ln_conn_send_raw(x->conn, LN_SLICE("0\r\n\r\n"));
        if (err < 0) return give_up(x, err);
    }
    answered(x);
    return LINNET_OK;
}

static bool ours(ln_slice name) {
    static const ln_slice names[] = { LN_SLICE_INIT("Content-Length"),
        LN_SLICE_INIT("Transfer-Encoding"), LN_SLICE_INIT("Connection"), LN_SLICE_INIT("Upgrade"),
        LN_SLICE_INIT("Date") };
    for (size_t i = 0; i < sizeof names / sizeof names[0]; i++)
        if (ln_slice_eq_ci(name, names[i])) return true;
    ln_slice ws = LN_SLICE("Sec-WebSocket-");
    return name.size >= ws.size && ln_slice_eq_ci(ln_slice_sub(name, 0, ws.size), ws);
}

int ln_exchange_add_field(ln_exchange *x, ln_slice name, ln_slice value) {
    if (!answerable(x)) return LINNET_ERR_STATE;
    if (!ln_http1_is_token(name) || !ln_http1_is_value(value) || ours(name))
        return LINNET_ERR_INVAL;
    size_t n = name.size + value.size + 4;
    int err = ln_buf_reserve(&x->fields, n);
    if (err < 0) return err;
    ln_buf_add(&x->fields, name);
    ln_buf_add(&x->fields, LN_SLICE(": "));
    ln_buf_add(&x->fields, value);
    return ln_buf_add(&x->fields, LN_SLICE("\r\n"));
}

/* ---- the head --------------------------------------------------------------------- */

/* What an answer given later may still look at must not lie in the worker's receive buffer.
 * Everything moves by the same distance. */
static void move_slice(ln_slice *s, const uint8_t *from, const uint8_t *to, size_t size) {
    if (s->data >= from && s->data <= from + size) s->data = to + (s->data - from);
}

static void rebase(ln_exchange *x, const uint8_t *from, const uint8_t *to, size_t size) {
    ln_http1_head *h = &x->head;
    ln_slice *moved[] = { &h->target, &h->path, &h->query, &h->host };
    if (from == to) return;
    for (size_t i = 0; i < sizeof moved / sizeof moved[0]; i++)
        move_slice(moved[i], from, to, size);
    for (uint32_t i = 0; i < h->count; i++) {
        move_slice(&h->fields[i].name, from, to, size);
        move_slice(&h->fields[i].value, from, to, size);
    }
}

/* Appends to x->in while a head in it is in use. */
static int in_add(ln_exchange *x, ln_slice more) {
    ln_slice before = ln_buf_slice(&x->in);
    int err = ln_buf_add(&x->in, more);
    rebase(x, before.data, ln_buf_slice(&x->in).data, before.size);
    return err;
}

static int keep_head(ln_exchange *x, ln_slice all) {
    if (x->in.size) return LINNET_OK; /* it lies there already */
    int err = ln_buf_add(&x->in, ln_slice_sub(all, 0, x->head.size));
    if (err == LINNET_OK) rebase(x, all.data, ln_buf_slice(&x->in).data, x->head.size);
    return err;
}

/* The host has returned. False when the exchange ended meanwhile; then it is freed now. */
static bool delivered(ln_exchange *x) {
    bool left = x->left;
    x->delivering = false;
    if (left) ln_exchange_free(x);
    return !left;
}

/* Delivers a complete head. `all` begins with it; what lies behind is body, or the next request. */
static void deliver_head(ln_conn *c, ln_exchange *x, ln_slice all) {
    x->head_only = x->head.method == LN_HTTP1_HEAD;
    x->body_done = x->head.body == LN_HTTP1_BODY_NONE;
    phase(x, LN_EXCHANGE_WORK, WORK_MS);
    if (!x->body_done) x->close_after = true; /* until somebody wants the body */
    x->behind = all;
    ln_slice_skip(&x->behind, x->head.size);
    x->delivering = true;
    c->env->on_request(c, x);
    if (!delivered(x)) return;
    if (x->state == LN_EXCHANGE_ANSWERED) return;
    if (keep_head(x, all) < 0) ln_conn_drop(c, LINNET_ERR_NOMEM);
}

/* ---- the body ---------------------------------------------------------------------- */

void ln_exchange_want_body(ln_exchange *x, uint64_t body_max) {
    if (!answerable(x)) return;
    if (body_max > LN_BUF_MAX) body_max = LN_BUF_MAX;
    x->body_max = body_max;
    x->body_seen = 0;
    x->close_after = false;
    ln_buf_fini(&x->body);
    ln_buf_init(&x->body, (uint32_t)body_max);
    if (x->head.body == LN_HTTP1_BODY_LENGTH && x->head.length > body_max) {
        ln_exchange_refuse(x, LN_HTTP1_FAULT_BODY_LONG);
        return;
    }
    ln_chunked_init(&x->chunked, body_max);
    if (x->head.expect_continue && !x->body_done &&
        ln_conn_send_raw(x->conn, LN_SLICE("HTTP/1.1 100 Continue\r\n\r\n")) < 0) {
        ln_conn_drop(x->conn, LINNET_ERR_NOMEM);
        return;
    }
    phase(x, LN_EXCHANGE_BODY, BODY_MS);
    ln_conn_arm(x->conn, x->since + BODY_GRACE_MS);
}

/* Takes body bytes off *in. LN_DONE, LN_MORE, or a refusal was sent (< 0). */
static int take_body(ln_exchange *x, ln_slice *in) {
    int err = LINNET_OK;
    if (x->body_done) return LN_DONE;
    if (x->head.body == LN_HTTP1_BODY_LENGTH) {
        uint64_t left = x->head.length - x->body_seen;
        size_t n = left < in->size ? (size_t)left : in->size;
        err = ln_buf_add(&x->body, ln_slice_sub(*in, 0, n));
        x->body_seen += n;
        ln_slice_skip(in, n);
        if (err == LINNET_OK) return x->body_seen == x->head.length ? LN_DONE : LN_MORE;
    }
    while (err == LINNET_OK) {
        ln_slice data;
        int r = ln_chunked_feed(&x->chunked, in, &data);
        if (r == LN_CHUNKED_DATA) {
            err = ln_buf_add(&x->body, data);
            x->body_seen += data.size;
        } else if (r == LINNET_ERR_HTTP) {
            ln_exchange_refuse(x, (ln_http1_fault)x->chunked.fault);
            return r;
        } else {
            return r;
        }
    }
    if (err == LINNET_ERR_TOO_BIG)
        ln_exchange_refuse(x, LN_HTTP1_FAULT_BODY_LONG);
    else
        ln_conn_drop(x->conn, err);
    return err;
}

static void deliver_body(ln_conn *c, ln_exchange *x) {
    x->body_done = true;
    phase(x, LN_EXCHANGE_WORK, WORK_MS);
    x->delivering = true;
    c->env->on_body(c, x);
    delivered(x);
}

/* ---- input -------------------------------------------------------------------------- */

/* Where the next request begins: everything of the last one is forgotten. */
static void next_request(ln_exchange *x) {
    ln_buf_fini(&x->body);
    ln_buf_clear(&x->fields);
    x->scan = (ln_http1_scan){ 0 };
    x->close_after = x->chunk_out = x->head_only = x->endless = false;
    x->host = NULL;
    phase(x, LN_EXCHANGE_HEAD, HEAD_KEEP_MS);
}

/* One step through what has come. `in` lies in x->in or in the receive buffer. False: wait for
 * more, or for an answer, or it is over. */
static bool step(ln_conn *c, ln_exchange *x, ln_slice *in) {
    if (x->state == LN_EXCHANGE_ANSWERED) next_request(x);
    if (x->state == LN_EXCHANGE_BODY) {
        int r = take_body(x, in);
        if (r != LN_DONE) return false;
        deliver_body(c, x);
        return alive(c, x) && x->state == LN_EXCHANGE_ANSWERED;
    }
    if (x->state != LN_EXCHANGE_HEAD || !in->size) return false;
    if (x->answered && !x->scan.seen) phase(x, LN_EXCHANGE_HEAD, x->head_ms);
    ln_http1_limits limits = LN_HTTP1_LIMITS_SERVER;
    int r = ln_http1_request(&x->scan, &limits, *in, &x->head);
    if (r == LINNET_ERR_HTTP) {
        x->head_only = false;
        x->state = LN_EXCHANGE_WORK;
        ln_conn_set(c, LN_CF_DEAF);
        ln_exchange_refuse(x, (ln_http1_fault)x->scan.fault);
        return false;
    }
    if (r != LN_DONE) return false;
    ln_slice all = *in;
    ln_slice_skip(in, x->head.size);
    deliver_head(c, x, all);
    return alive(c, x) && (x->state == LN_EXCHANGE_ANSWERED || x->state == LN_EXCHANGE_BODY);
}

/* What was used up is dropped, the rest kept in x->in; but the head of a request at work stays in
 * front of it, and `used` says how far. */
static void keep_rest(ln_conn *c, ln_exchange *x, ln_slice rest, bool owned) {
    bool working = x->state != LN_EXCHANGE_HEAD;
    if (owned && working) {
        x->used = (uint32_t)(x->in.size - rest.size);
    } else if (owned) {
        ln_buf_consume(&x->in, x->in.size - rest.size);
    } else {
        x->used = working ? x->in.size : 0;
        if (in_add(x, rest) < 0) ln_conn_drop(c, LINNET_ERR_NOMEM);
    }
    bool listens = x->endless && x->in.size == x->used;
    if (x->state == LN_EXCHANGE_WORK || (x->state == LN_EXCHANGE_STREAM && !listens))
        ln_conn_pause(c, LN_PAUSE_WAIT);
}

/* Answers wait for a slow reader: its further requests wait with them, in the carry buffer, until
 * the queue has drained (row 25). */
static void hold_back(ln_conn *c, ln_exchange *x, ln_slice rest) {
    ln_conn_unread(c, rest);
    ln_buf_clear(&x->in);
    x->used = 0;
}

/* Behind the head of a stream that is endless. */
static void keep_for_later(ln_conn *c, ln_exchange *x, ln_slice in) {
    if (in_add(x, in) < 0)
        ln_conn_drop(c, LINNET_ERR_NOMEM);
    else
        ln_conn_pause(c, LN_PAUSE_WAIT);
}

void ln_exchange_input(ln_conn *c, ln_wslice data) {
    ln_exchange *x = c->http;
    ln_slice in = ln_slice_of(data.data, data.size);
    if (x->state == LN_EXCHANGE_STREAM) {
        keep_for_later(c, x, in);
        return;
    }
    bool owned = false, corked = ln_send_cork(c);
    if (x->state ==
        LN_EXCHANGE_ANSWERED) { /* answered later: its head goes, what came behind stays */
        ln_buf_consume(&x->in, x->used);
        x->used = 0;
    }
    if (x->in.size && x->state != LN_EXCHANGE_BODY) {
        if (ln_buf_add(&x->in, in) < 0) {
            ln_conn_drop(c, LINNET_ERR_NOMEM);
            goto out;
        }
        in = ln_buf_slice(&x->in);
        owned = true;
    }
    while (step(c, x, &in)) {
        if (x->state == LN_EXCHANGE_ANSWERED && in.size && c->pauses & LN_PAUSE_QUEUE) {
            hold_back(c, x, in);
            break;
        }
        if (x->state != LN_EXCHANGE_ANSWERED || owned || !x->in.size) continue;
        /* A body came behind a kept head: both are done with. */
        ln_buf_clear(&x->in);
        x->used = 0;
    }
    if (alive(c, x) && x->state != LN_EXCHANGE_ANSWERED) keep_rest(c, x, in, owned);
out:
    if (corked) ln_send_uncork(c);
}

/* ---- time ---------------------------------------------------------------------------- */

void ln_exchange_timer(ln_conn *c) {
    ln_exchange *x = c->http;
    if (!x) return;
    ln_msec now = now_of(x);
    if (x->state == LN_EXCHANGE_BODY && now - x->since >= BODY_GRACE_MS &&
        x->body_seen < (now - x->since) / 1000 * BODY_RATE) {
        x->deadline = now;
    }
    if (now < x->deadline) {
        ln_msec next = x->deadline;
        if (x->state == LN_EXCHANGE_BODY && next > now + 1000) next = now + 1000;
        if (next != LN_NEVER) ln_conn_arm(c, next);
        return;
    }
    if (ln_conn_is(c, LN_CF_PROXIED)) {
        ln_conn_fail(c, LINNET_ERR_PROXY); /* whoever is there does not wait for HTTP */
    } else if (x->state == LN_EXCHANGE_WORK) {
        if (c->env->on_gone) c->env->on_gone(c, x);
        ln_exchange_refuse(x, LN_HTTP1_FAULT_UNANSWERED);
    } else if (x->state == LN_EXCHANGE_HEAD && x->answered && !x->scan.seen) {
        ln_conn_linger(c); /* it was only idle */
    } else if (x->state != LN_EXCHANGE_STREAM) {
        x->state = LN_EXCHANGE_WORK;
        ln_exchange_refuse(x, LN_HTTP1_FAULT_TIMEOUT);
    }
}

/* ---- the other way out ---------------------------------------------------------------- */

int ln_exchange_become_ws(ln_exchange *x, const ln_exchange_accept *a) {
    ln_conn *c = x->conn;
    ln_upgrade_reply reply = { .protocol = a->protocol, .extension = a->extension };
    ln_buf *out = &c->env->gather;
    if (x->state != LN_EXCHANGE_WORK) return LINNET_ERR_STATE;
    ln_buf_clear(out);
    int err = ln_upgrade_answer(out, a->key, &reply);
    if (err == LINNET_OK && x->fields.size) { /* before the empty line */
        out->size -= 2;
        err = ln_buf_add(out, ln_buf_slice(&x->fields));
        if (err == LINNET_OK) err = ln_buf_add(out, LN_SLICE("\r\n"));
    }
    if (err == LINNET_OK) err = ln_conn_send_raw(c, ln_buf_slice(out));
    ln_buf_clear(out);
    if (err < 0) return err;
    bool later = !x->delivering;
    ln_slice behind = later ? ln_slice_sub(ln_buf_slice(&x->in), x->used, x->in.size) : x->behind;
    ln_buf kept = x->in;
    ln_buf_init(&x->in, 0);
    c->http = NULL;
    ln_exchange_free(x);
    if (later) ln_conn_unread(c, behind); /* before what has come meanwhile */
    err = LINNET_ERR_NOMEM;               /* of unread */
    if (c->state == LN_CONN_HTTP) err = ln_conn_open_ws(c, a->config, a->ops, a->owner, a->params);
    if (err < 0)
        ln_conn_drop(c, err);
    else if (later)
        ln_conn_resume(c, LN_PAUSE_WAIT);
    else if (behind.size && c->state == LN_CONN_WS)
        ln_conn_input(c, (ln_wslice){ (uint8_t *)(uintptr_t)behind.data, behind.size });
    ln_buf_fini(&kept);
    return err;
}
