/* upgrade.c -- from a request on a WebSocket route to an open connection, at once or later.
 *
 * A linnet_upgrade lives on the stack of on_upgrade only. A deferred one leaves the exchange at
 * WORK with its route in x->host; when the answer comes by mail, everything is derived again from
 * the head, which the exchange has kept: pure functions, so nothing has to be carried over.
 */
#include "base/mem.h"
#include "lib/hub.h"
#include "lib/reader.h"
#include "lib/server.h"
#include "wire/target.h"

/* Behind a proxy on this machine a visitor is not on this machine for that. */
bool ln_route_origin_ok(
    const linnet_conn *conn, const ln_exchange *x, const ln_route *r, ln_slice origin) {
    ln_visitor v;
    ln_visitor_of(conn, &x->head, &v);
    bool loopback = conn->listen ? conn->listen->loopback : false;
    if (v.forwarded && !ln_ip_is_loopback(&v.ip)) loopback = false;
    ln_origin_policy p = {
        .allowed = r->origins, .allowed_count = r->origin_count, .secure = v.tls
    };
    bool own = r->own_origins;
    ln_host_hub_origins(ln_worker_of(conn), r, &p, &own);
    p.loopback = loopback && !own;
    return ln_origin_ok(&p, origin, v.host.size ? v.host : x->head.host);
}

/* Memory for windows is bounded for all connections of a worker; later ones go without (THREATS row
 * 64). */
static void spare_memory(linnet_loop *w, const ln_route *r, ln_pmd_policy *policy) {
    size_t cost = 0;
    if (policy->server_takeover)
        cost += ln_deflater_cost(policy->server_bits_max, r->config.ws.deflate_memory);
    if (policy->client_takeover) cost += ln_inflater_cost(policy->client_bits_max);
    const ln_pmd_tools *t = &w->env.tools.pmd;
    if (!cost || t->memory + cost <= t->memory_max) return;
    policy->enabled = false;
    ln_stat_add(&w->memory.declined, 1);
}

static int set_protocol(linnet_conn *conn, ln_slice protocol) {
    if (!protocol.size) return LINNET_OK;
    conn->protocol = ln_slice_dup(protocol);
    return conn->protocol ? LINNET_OK : LINNET_ERR_NOMEM;
}

/* protocol: NULL: chosen from the route's list; "": none. */
static int finish(linnet_conn *conn, ln_exchange *x, const ln_route *r, const ln_upgrade *asked,
    void *user, const char *protocol) {
    linnet_loop *w = ln_worker_of(conn);
    ln_slice chosen = protocol ? linnet_str(protocol)
                               : ln_upgrade_choose(asked, r->protocols, r->protocol_count);
    ln_pmd_policy policy = r->deflate;
    ln_pmd_params params;
    ln_pmd_text answer;
    spare_memory(w, r, &policy);
    int agreed = ln_pmd_accept(&policy, &x->head, &params, &answer);
    ln_exchange_accept a = { .key = asked->key,
        .protocol = chosen,
        .extension = agreed == 1 ? ln_pmd_slice(&answer) : ln_slice_of("", 0),
        .params = agreed == 1 ? &params : NULL,
        .config = &r->config,
        .ops = r->ops,
        .owner = (void *)(uintptr_t)r };
    ln_visitor v;
    ln_visitor_of(conn, &x->head, &v);
    int err = v.forwarded ? ln_visitor_keep(conn, &v) : LINNET_OK;
    if (err == LINNET_OK) err = set_protocol(conn, chosen);
    conn->events = &r->events;
    conn->user = user;
    if (err == LINNET_OK) err = ln_exchange_become_ws(x, &a);
    if (err < 0 && conn->c.http == x) ln_exchange_refuse(x, LN_HTTP1_FAULT_INTERNAL);
    return err;
}

static void reject(ln_exchange *x, int status, const char *body) {
    ln_slice words = linnet_str(body ? body : ln_http1_status_words((unsigned)status));
    x->close_after = true;
    ln_exchange_answer(x, (unsigned)status, LN_SLICE("text/plain; charset=utf-8"), words);
}

/* Until then the exchange is at work, and its route says for what. */
static void await_verdict(linnet_conn *conn, ln_exchange *x, const ln_route *r) {
    x->host = (void *)(uintptr_t)r;
    x->deadline = ln_loop_now(conn->c.env->loop) + ln_worker_of(conn)->server->options.head_ms;
    ln_conn_arm(&conn->c, x->deadline);
}

/* The host is asked. */
static void decide(linnet_conn *conn, ln_exchange *x, const ln_route *r, const ln_upgrade *asked) {
    linnet_upgrade u = { .x = x, .conn = conn, .route = r, .asked = *asked, .user = r->user };
    ln_buf_init(&u.scratch, LN_SCRATCH_MAX);
    conn->user = r->user;
    linnet_verdict verdict = r->on_upgrade ? r->on_upgrade(&u, r->user) : LINNET_ACCEPT;
    if (verdict != LINNET_DEFER || u.rejected || u.accepted) ln_owe_nothing(conn);
    if (u.rejected || verdict == LINNET_REJECT) { /* of two answers the safe one */
        reject(x, u.rejected ? u.status : 403, u.body);
    } else if (verdict == LINNET_DEFER && !u.accepted) {
        await_verdict(conn, x, r);
    } else {
        finish(conn, x, r, &u.asked, u.user, u.protocol);
    }
    ln_free(u.body);
    ln_buf_fini(&u.scratch);
}

/* The exchange that waits at the route of a WebSocket, with what was asked; NULL: none does. */
static ln_exchange *waiting(linnet_conn *conn, ln_upgrade *asked) {
    ln_exchange *x = conn && conn->c.state == LN_CONN_HTTP ? conn->c.http : NULL;
    const ln_route *r = x && x->state == LN_EXCHANGE_WORK ? x->host : NULL;
    bool there = r && r->is_ws && ln_upgrade_check(&x->head, asked) == LN_HTTP1_FAULT_NONE;
    return there ? x : NULL;
}

/* The home of the visitor's address has said whether there is room for one more. */
static void admitted(void *ctx, ln_admission *a) {
    linnet_loop *w = ctx;
    linnet_conn *conn = ln_worker_find(w, a->handle);
    ln_upgrade asked;
    ln_exchange *x = waiting(conn, &asked);
    if (!x || a->err < 0) {
        ln_http1_fault why = a->err == LINNET_ERR_LIMIT ? LN_HTTP1_FAULT_TOO_MANY
                                                        : LN_HTTP1_FAULT_INTERNAL;
        ln_visitor_give_back(w, a);
        if (x) ln_exchange_refuse(x, why);
        return;
    }
    const ln_route *r = x->host;
    x->host = NULL;
    ln_visitor_let_in(conn, a);
    if (w->draining)
        ln_exchange_refuse(x, LN_HTTP1_FAULT_DRAINING);
    else
        decide(conn, x, r, &asked);
}

void ln_upgrade_again(linnet_loop *w, linnet_conn_id id) {
    linnet_conn *conn = ln_worker_find(w, id);
    ln_upgrade asked;
    ln_exchange *x = waiting(conn, &asked);
    if (!x) {
        ln_reader_again(w, id);
        return;
    }
    const ln_route *r = x->host;
    x->host = NULL;
    if (w->draining)
        ln_exchange_refuse(x, LN_HTTP1_FAULT_DRAINING);
    else
        decide(conn, x, r, &asked);
}

void ln_upgrade_begin(linnet_conn *conn, ln_exchange *x, const ln_route *r) {
    ln_upgrade asked;
    ln_http1_fault fault = ln_upgrade_check(&x->head, &asked);
    if (fault == LN_HTTP1_FAULT_NONE && !ln_route_origin_ok(conn, x, r, asked.origin))
        fault = LN_HTTP1_FAULT_UPGRADE_ORIGIN;
    if (fault == LN_HTTP1_FAULT_NONE && ln_budget_crowded(&ln_worker_of(conn)->server->budget))
        fault = LN_HTTP1_FAULT_CROWDED;
    if (fault != LN_HTTP1_FAULT_NONE) {
        ln_exchange_refuse(x, fault);
        return;
    }
    int err = ln_visitor_admitted(conn) ? LINNET_OK : ln_visitor_admit(conn, &x->head, admitted);
    if (err < 0)
        ln_exchange_refuse(x, LN_HTTP1_FAULT_INTERNAL);
    else if (err == LN_PENDING)
        await_verdict(conn, x, r);
    else
        decide(conn, x, r, &asked);
}

/* ---- what on_upgrade may ask and say ------------------------------------------------ */

linnet_slice linnet_upgrade_path(const linnet_upgrade *u) {
    ln_buf *scratch = (ln_buf *)(uintptr_t)&u->scratch; /* a cache */
    ln_slice raw = u->x->head.path;
    uint8_t *at = ln_scratch_room(scratch, raw.size + 1);
    if (!at) return raw;
    size_t n = ln_target_unescape(raw, false, at);
    ln_buf_commit(scratch, n);
    return ln_slice_of(at, n);
}

linnet_slice linnet_upgrade_target(const linnet_upgrade *u) {
    return u->x->head.target;
}

linnet_slice linnet_upgrade_header(const linnet_upgrade *u, const char *name, unsigned index) {
    return ln_header_of(u->x, name, index);
}

linnet_slice linnet_upgrade_query(linnet_upgrade *u, const char *name) {
    return ln_query_of(u->x, &u->scratch, name);
}

size_t linnet_upgrade_peer(const linnet_upgrade *u, char out[64]) {
    ln_visitor v;
    ln_visitor_of(u->conn, &u->x->head, &v);
    return ln_visitor_text(&v, out);
}

bool linnet_upgrade_tls(const linnet_upgrade *u) {
    ln_visitor v;
    ln_visitor_of(u->conn, &u->x->head, &v);
    return v.tls;
}

linnet_slice linnet_upgrade_offered(const linnet_upgrade *u, unsigned index) {
    return index < u->asked.protocol_count ? u->asked.protocols[index] : ln_slice_of(NULL, 0);
}

linnet_conn_id linnet_upgrade_id(const linnet_upgrade *u) {
    ln_owe(u->conn, u->x, LN_OWED_UPGRADE);
    return ln_conn_name(u->conn);
}

linnet_loop *linnet_upgrade_loop(const linnet_upgrade *u) {
    return ln_worker_of(u->conn);
}

int linnet_upgrade_accept(linnet_upgrade *u, void *user, const char *subprotocol) {
    if (subprotocol && *subprotocol) {
        size_t size = strlen(subprotocol);
        if (size >= sizeof u->chosen || !ln_upgrade_offered(&u->asked, linnet_str(subprotocol)))
            return LINNET_ERR_UPGRADE_PROTOCOL;
        memcpy(u->chosen, subprotocol, size + 1);
        u->protocol = u->chosen;
    } else if (subprotocol) {
        u->protocol = "";
    }
    u->user = user;
    u->accepted = true;
    return LINNET_OK;
}

int linnet_upgrade_reject(linnet_upgrade *u, int status, const char *body) {
    if (status < 300 || status > 599) return LINNET_ERR_INVAL;
    char *copy = body ? ln_slice_dup(linnet_str(body)) : NULL;
    if (body && !copy) return LINNET_ERR_NOMEM;
    ln_free(u->body);
    u->body = copy;
    u->status = status;
    u->rejected = true;
    return LINNET_OK;
}

int linnet_upgrade_add_header(linnet_upgrade *u, const char *name, const char *value) {
    return ln_exchange_add_field(u->x, linnet_str(name), linnet_str(value));
}

/* ---- deferred ----------------------------------------------------------------------- */

int linnet_server_accept(linnet_server *s, linnet_conn_id id, void *user, const char *subprotocol) {
    if (subprotocol && *subprotocol && !ln_http1_is_token(linnet_str(subprotocol)))
        return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_ACCEPT, id, 0, subprotocol, ln_slice_of("", 0));
    if (m) m->ctx = user;
    return ln_server_decide(s, m, LN_OWED_UPGRADE, LN_OWED_NOTHING);
}

int linnet_server_reject(linnet_server *s, linnet_conn_id id, int status, const char *body) {
    if (status < 300 || status > 599) return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_REJECT, id, status, body, ln_slice_of("", 0));
    return ln_server_decide(s, m, LN_OWED_UPGRADE, LN_OWED_NOTHING);
}

void ln_upgrade_abandon(const linnet_server *s, const ln_post *m) {
    if (m->letter.kind == LN_POST_ACCEPT && s && s->on_abandon) s->on_abandon(m->ctx);
}

void ln_upgrade_mail(linnet_loop *w, ln_post *m) {
    linnet_conn *conn = ln_worker_find(w, m->id);
    ln_upgrade asked;
    ln_exchange *x = waiting(conn, &asked);
    if (!x) {
        ln_upgrade_abandon(w->server, m);
        return;
    }
    const ln_route *r = x->host;
    x->host = NULL;
    if (m->letter.kind == LN_POST_REJECT) {
        reject(x, m->code, ln_post_text(m));
        return;
    }
    if (w->draining) { /* the goodbyes have been said */
        ln_exchange_refuse(x, LN_HTTP1_FAULT_DRAINING);
        ln_upgrade_abandon(w->server, m);
        return;
    }
    const char *protocol = ln_post_text(m);
    if (protocol && *protocol && !ln_upgrade_offered(&asked, linnet_str(protocol))) protocol = "";
    if (finish(conn, x, r, &asked, m->ctx, protocol) < 0) ln_upgrade_abandon(w->server, m);
}
