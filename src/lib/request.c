/* request.c -- HTTP handlers of the host. A linnet_request is a view that lives as long as its
 * handler runs; whoever answers later has the id.
 */
#include "base/mem.h"
#include "lib/server.h"
#include "wire/target.h"

void ln_request_begin(linnet_conn *conn, ln_exchange *x, const ln_route *route) {
    linnet_request r = { .x = x, .conn = conn, .route = route };
    ln_buf_init(&r.scratch, LN_SCRATCH_MAX);
    route->handler(&r, route->user);
    /* It began an answer that nobody can end. */
    if (x->state == LN_EXCHANGE_STREAM && !r.named) ln_conn_drop(&conn->c, LINNET_ERR_STATE);
    ln_buf_fini(&r.scratch);
}

linnet_slice linnet_request_method(const linnet_request *r) {
    return linnet_str(ln_http1_method_name(r->x->head.method));
}

linnet_slice linnet_request_path(const linnet_request *r) {
    ln_buf *scratch = (ln_buf *)(uintptr_t)&r->scratch; /* a cache */
    ln_slice raw = r->x->head.path;
    uint8_t *at = ln_scratch_room(scratch, raw.size + 1);
    if (!at) return raw;
    size_t n = ln_target_unescape(raw, false, at);
    ln_buf_commit(scratch, n);
    return ln_slice_of(at, n);
}

linnet_slice linnet_request_header(const linnet_request *r, const char *name, unsigned index) {
    return ln_header_of(r->x, name, index);
}

linnet_slice linnet_request_query(linnet_request *r, const char *name) {
    return ln_query_of(r->x, &r->scratch, name);
}

linnet_slice linnet_request_body(const linnet_request *r) {
    return ln_buf_slice(&r->x->body);
}

size_t linnet_request_peer(const linnet_request *r, char out[64]) {
    ln_visitor v;
    ln_visitor_of(r->conn, &r->x->head, &v);
    return ln_visitor_text(&v, out);
}

linnet_conn_id linnet_request_id(const linnet_request *r) {
    ((linnet_request *)(uintptr_t)r)->named = true; /* it lies on our stack */
    bool begun = r->x->state == LN_EXCHANGE_STREAM;
    ln_owe(r->conn, r->x, begun ? LN_OWED_STREAM : LN_OWED_REQUEST);
    return ln_conn_name(r->conn);
}

int linnet_request_add_header(linnet_request *r, const char *name, const char *value) {
    return ln_exchange_add_field(r->x, linnet_str(name), linnet_str(value));
}

static ln_slice type_of(const char *type) {
    return type ? linnet_str(type) : LN_SLICE("text/plain; charset=utf-8");
}

/* Inside a handler: whoever has the id learns what was said here. */
static int told(linnet_request *r, int err) {
    linnet_conn *conn = r->conn;
    if (err == LINNET_OK && r->x->state == LN_EXCHANGE_ANSWERED) ln_owe_nothing(conn);
    return err;
}

int linnet_request_answer(linnet_request *r, int status, const char *type, linnet_slice body) {
    if (status < 200 || status > 599) return LINNET_ERR_INVAL;
    bool inside = r->x->delivering;
    int err = ln_exchange_answer(r->x, (unsigned)status, type_of(type), body);
    return inside ? told(r, err) : err; /* else it may be gone by now, or be the next request */
}

int linnet_request_begin(linnet_request *r, int status, const char *type) {
    if (status < 200 || status > 599) return LINNET_ERR_INVAL;
    linnet_conn *conn = r->conn;
    int err = ln_exchange_stream(r->x, (unsigned)status, type_of(type));
    if (err == LINNET_OK)
        (void)ln_slots_settle(&ln_worker_of(conn)->slots, conn->c.slot, conn->c.generation,
            LN_OWED_REQUEST, LN_OWED_STREAM);
    return err;
}

int linnet_request_write(linnet_request *r, linnet_slice data) {
    return ln_exchange_write(r->x, data);
}

int linnet_request_end(linnet_request *r) {
    return told(r, ln_exchange_end(r->x));
}

size_t linnet_request_buffered(const linnet_request *r) {
    return linnet_conn_buffered(r->conn);
}

/* ---- from any thread ---------------------------------------------------------------- */

/* What could not be said later is refused now: there is nobody to tell then. */
static bool sayable(int status, const char *type, bool stream) {
    if (status < 200 || status > 599 || (stream && (status == 204 || status == 304))) return false;
    return !type || ln_http1_is_value(linnet_str(type));
}

int linnet_server_answer(
    linnet_server *s, linnet_conn_id id, int status, const char *type, linnet_slice body) {
    if (!sayable(status, type, false)) return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_ANSWER, id, status, type, body);
    return ln_server_decide(s, m, LN_OWED_REQUEST, LN_OWED_NOTHING);
}

int linnet_server_answer_begin(linnet_server *s, linnet_conn_id id, int status, const char *type) {
    if (!sayable(status, type, true)) return LINNET_ERR_INVAL;
    ln_post *m = ln_post_new(LN_POST_BEGIN, id, status, type, ln_slice_of("", 0));
    return ln_server_decide(s, m, LN_OWED_REQUEST, LN_OWED_STREAM);
}

int linnet_server_answer_write(linnet_server *s, linnet_conn_id id, linnet_slice data) {
    ln_post *m = ln_post_new(LN_POST_WRITE, id, 0, NULL, data);
    return ln_server_decide(s, m, LN_OWED_STREAM, LN_OWED_STREAM);
}

int linnet_server_answer_end(linnet_server *s, linnet_conn_id id) {
    ln_post *m = ln_post_new(LN_POST_END, id, 0, NULL, ln_slice_of("", 0));
    return ln_server_decide(s, m, LN_OWED_STREAM, LN_OWED_NOTHING);
}

void ln_request_mail(linnet_loop *w, ln_post *m) {
    linnet_conn *conn = ln_worker_find(w, m->id);
    ln_exchange *x = conn && conn->c.state == LN_CONN_HTTP ? conn->c.http : NULL;
    if (!x || x->host) return; /* gone, or an upgrade that waits for something else */
    switch ((ln_post_kind)m->letter.kind) {
    case LN_POST_ANSWER:
        if (x->state == LN_EXCHANGE_WORK)
            ln_exchange_answer(x, (unsigned)m->code, type_of(ln_post_text(m)), ln_post_data(m));
        return;
    case LN_POST_BEGIN:
        if (x->state == LN_EXCHANGE_WORK)
            ln_exchange_stream(x, (unsigned)m->code, type_of(ln_post_text(m)));
        return;
    case LN_POST_WRITE: ln_exchange_write(x, ln_post_data(m)); return;
    default: ln_exchange_end(x); return;
    }
}
