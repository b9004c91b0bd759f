/* route.c -- from a request head to whoever serves it. */
#include "base/mem.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/sse.h"
#include "wire/http1.h"
#include "wire/target.h"
#include <stdio.h>

/* ---- the table -------------------------------------------------------------------- */

static bool same_kind(const ln_route *r, const char *path, bool is_ws) {
    size_t size = strlen(path);
    bool prefix = size >= 2 && path[size - 1] == '*';
    if (prefix) size--;
    return r->is_ws == is_ws && r->prefix == prefix && r->path_size == size &&
           memcmp(r->path, path, size) == 0;
}

int ln_route_add(linnet_server *s, const char *path, bool is_ws, ln_route **out) {
    if (ln_flag_up(&s->running)) return LINNET_ERR_STATE;
    size_t size = path ? strlen(path) : 0;
    if (!size || path[0] != '/') return LINNET_ERR_INVAL;
    bool prefix = path[size - 1] == '*';
    if (prefix && (size < 2 || path[size - 2] != '/')) return LINNET_ERR_INVAL;
    for (ln_route *r = s->routes; r; r = r->next)
        if (same_kind(r, path, is_ws)) return LINNET_ERR_EXISTS;
    ln_route *r = ln_calloc(1, sizeof *r);
    if (!r) return LINNET_ERR_NOMEM;
    if (!(r->path = ln_slice_dup(linnet_str(path)))) {
        ln_free(r);
        return LINNET_ERR_NOMEM;
    }
    r->path_size = prefix ? size - 1 : size;
    r->prefix = prefix;
    r->is_ws = is_ws;
    r->next = s->routes;
    s->routes = r;
    *out = r;
    return LINNET_OK;
}

void ln_route_free_list(ln_slice *list, size_t count) {
    for (size_t i = 0; i < count; i++)
        ln_free((void *)(uintptr_t)list[i].data);
    ln_free(list);
}

void ln_routes_free(linnet_server *s) {
    for (ln_route *r = s->routes, *next; r; r = next) {
        next = r->next;
        ln_route_free_list(r->protocols, r->protocol_count);
        ln_route_free_list(r->origins, r->origin_count);
        ln_asset_free(r->asset);
        ln_free(r->path);
        ln_free(r);
    }
    s->routes = NULL;
}

/* Exact before prefix, the longest prefix first. */
const ln_route *ln_route_find(const linnet_server *s, ln_slice path, bool ws) {
    const ln_route *best = NULL;
    for (const ln_route *r = s->routes; r; r = r->next) {
        if (r->is_ws != ws) continue;
        if (!r->prefix) {
            if (r->path_size == path.size && memcmp(r->path, path.data, path.size) == 0) return r;
        } else if (path.size >= r->path_size && memcmp(r->path, path.data, r->path_size) == 0) {
            if (!best || r->path_size > best->path_size) best = r;
        }
    }
    return best;
}

/* ---- declaring -------------------------------------------------------------------- */

int ln_route_copy_list(const char *const *list, ln_slice **out, size_t *count) {
    size_t n = 0;
    while (list && list[n])
        n++;
    *count = 0;
    if (!n) return LINNET_OK;
    ln_slice *copy = ln_calloc(n, sizeof *copy);
    if (!copy) return LINNET_ERR_NOMEM;
    *out = copy;
    for (size_t i = 0; i < n; i++) {
        char *text = ln_slice_dup(linnet_str(list[i]));
        if (!text) return LINNET_ERR_NOMEM;
        copy[i] = linnet_str(text);
        *count = i + 1;
    }
    return LINNET_OK;
}

static void unadd(linnet_server *s, ln_route *r) {
    s->routes = r->next; /* it was just put there */
    r->next = NULL;
    ln_route *rest = s->routes;
    s->routes = r;
    ln_routes_free(s);
    s->routes = rest;
}

int linnet_server_ws(linnet_server *s, const char *path, const linnet_ws_route *route) {
    if (!route || !ln_sized(route, sizeof *route)) return LINNET_ERR_INVAL;
    ln_conn_config config;
    ln_pmd_policy deflate;
    int err = ln_limits_conn(&route->limits, false, &config, &deflate);
    if (err < 0) return err;
    for (const char *const *p = route->subprotocols; p && *p; p++)
        if (!ln_http1_is_token(linnet_str(*p))) return LINNET_ERR_INVAL;
    ln_route *r;
    if ((err = ln_route_add(s, path, true, &r)) < 0) return err;
    r->events = route->events;
    r->user = route->user;
    r->on_upgrade = route->on_upgrade;
    r->config = config;
    r->deflate = deflate;
    r->ops = &ln_host_ops;
    r->own_origins = route->origins != NULL;
    err = ln_route_copy_list(route->subprotocols, &r->protocols, &r->protocol_count);
    if (err == LINNET_OK) err = ln_route_copy_list(route->origins, &r->origins, &r->origin_count);
    if (err < 0) unadd(s, r);
    return err;
}

static int methods_of(const char *names, unsigned *out) {
    ln_slice rest = linnet_str(names), word;
    unsigned bits = 0;
    while (ln_slice_cut(&rest, ' ', &word)) {
        if (!word.size) continue;
        unsigned m = LN_HTTP1_GET;
        while (m <= LN_HTTP1_PATCH && !ln_slice_eq(word, linnet_str(ln_http1_method_name(m))))
            m++;
        if (m > LN_HTTP1_PATCH) return LINNET_ERR_INVAL;
        bits |= 1u << m;
    }
    if (bits & 1u << LN_HTTP1_GET) bits |= 1u << LN_HTTP1_HEAD;
    *out = bits;
    return bits ? LINNET_OK : LINNET_ERR_INVAL;
}

int linnet_server_http(linnet_server *s, const char *path, const linnet_http_route *route) {
    unsigned methods;
    if (!route || !ln_sized(route, sizeof *route) || !route->handler ||
        methods_of(route->methods ? route->methods : "GET", &methods) < 0)
        return LINNET_ERR_INVAL;
    ln_route *r;
    int err = ln_route_add(s, path, false, &r);
    if (err < 0) return err;
    r->handler = route->handler;
    r->user = route->user;
    r->methods = methods;
    r->body_max = route->body_max ? route->body_max : LN_LIM_BODY;
    return LINNET_OK;
}

static void begin_stream(linnet_request *r, void *user) {
    (void)user;
    ln_sse_begin(r);
}

const ln_route *ln_sse_route(const linnet_server *s, const ln_exchange *x) {
    uint8_t path[8192]; /* heads are at most so long */
    ln_slice decoded = ln_slice_of(path, ln_target_unescape(x->head.path, false, path));
    const ln_route *r = ln_route_find(s, decoded, false);
    return r && r->handler == begin_stream ? r : NULL;
}

int ln_route_streams(linnet_server *s, const char *path, const char *const *origins) {
    linnet_http_route route = LINNET_HTTP_ROUTE_INIT;
    route.handler = begin_stream;
    int err = linnet_server_http(s, path, &route);
    if (err < 0) return err;
    ln_route *r = s->routes; /* the one just declared */
    r->own_origins = origins != NULL;
    err = ln_route_copy_list(origins, &r->origins, &r->origin_count);
    if (err < 0) unadd(s, r);
    return err;
}

/* ---- a request -------------------------------------------------------------------- */

ln_slice ln_header_of(const ln_exchange *x, const char *name, unsigned index) {
    ln_slice wanted = linnet_str(name);
    for (uint32_t i = 0; i < x->head.count; i++)
        if (ln_slice_eq_ci(x->head.fields[i].name, wanted) && index-- == 0)
            return x->head.fields[i].value;
    return ln_slice_of(NULL, 0);
}

/* The host keeps what it was given until it returns, so the memory is taken once and whole. */
uint8_t *ln_scratch_room(ln_buf *scratch, size_t n) {
    if (!scratch->data && ln_buf_reserve(scratch, scratch->max) < 0) return NULL;
    ln_wslice room = ln_buf_room(scratch);
    return n <= room.size ? room.data : NULL;
}

ln_slice ln_query_of(const ln_exchange *x, ln_buf *scratch, const char *name) {
    ln_slice raw;
    if (ln_target_find(x->head.query, linnet_str(name), &raw) != 1) return ln_slice_of(NULL, 0);
    uint8_t *at = ln_scratch_room(scratch, raw.size + 1);
    if (!at) return ln_slice_of(NULL, 0);
    size_t n = ln_target_unescape(raw, true, at);
    ln_buf_commit(scratch, n);
    return ln_slice_of(at, n);
}

static void method_not_allowed(ln_exchange *x, unsigned methods) {
    char allow[80] = "";
    size_t used = 0;
    for (unsigned m = LN_HTTP1_GET; m <= LN_HTTP1_PATCH; m++) {
        if (!(methods & 1u << m)) continue;
        used += (size_t)snprintf(
            allow + used, sizeof allow - used, "%s%s", used ? ", " : "", ln_http1_method_name(m));
    }
    ln_exchange_add_field(x, LN_SLICE("Allow"), linnet_str(allow));
    ln_exchange_answer(x, 405, LN_SLICE("text/plain"), LN_SLICE("method not allowed\n"));
}

static void serve_http(linnet_conn *conn, ln_exchange *x, const ln_route *r) {
    unsigned methods = r->asset ? 1u << LN_HTTP1_GET | 1u << LN_HTTP1_HEAD : r->methods;
    if (!(methods & 1u << x->head.method)) {
        method_not_allowed(x, methods);
    } else if (r->asset) {
        ln_asset_answer(x, r);
    } else if (x->head.body != LN_HTTP1_BODY_NONE) {
        x->host = (void *)(uintptr_t)r;
        ln_exchange_want_body(x, r->body_max);
    } else {
        ln_request_begin(conn, x, r);
    }
}

void ln_route_request(ln_conn *c, ln_exchange *x) {
    linnet_conn *conn = ln_conn_outer(c);
    linnet_loop *w = ln_worker_of(conn);
    linnet_server *s = w->server;
    if (x->answered) ln_worker_rename(w, conn); /* who has the last one's id is not to meet this */
    uint8_t path[8192];                         /* heads are at most so long */
    ln_slice decoded = ln_slice_of(path, ln_target_unescape(x->head.path, false, path));
    if (s->name) ln_exchange_add_field(x, LN_SLICE("Server"), linnet_str(s->name));
    if (w->draining) {
        ln_exchange_refuse(x, LN_HTTP1_FAULT_DRAINING);
        return;
    }
    if (ln_server_live(s) > s->connections_max) {
        ln_exchange_refuse(x, LN_HTTP1_FAULT_OVERLOAD);
        return;
    }
    const ln_route *ws = ln_route_find(s, decoded, true), *http = ln_route_find(s, decoded, false);
    if (ws && (ln_upgrade_wanted(&x->head) || !http))
        ln_upgrade_begin(conn, x, ws);
    else if (http)
        serve_http(conn, x, http);
    else
        ln_exchange_refuse(x, LN_HTTP1_FAULT_NOT_FOUND);
}

void ln_route_body(ln_conn *c, ln_exchange *x) {
    const ln_route *r = x->host;
    x->host = NULL;
    ln_request_begin(ln_conn_outer(c), x, r);
}

void ln_owe(linnet_conn *conn, const ln_exchange *x, ln_owed what) {
    if (x->state == LN_EXCHANGE_WORK || x->state == LN_EXCHANGE_STREAM)
        ln_slots_owe(&ln_worker_of(conn)->slots, conn->c.slot, what);
}

void ln_owe_nothing(linnet_conn *conn) {
    ln_slots_forgive(&ln_worker_of(conn)->slots, conn->c.slot);
}

void ln_route_gone(ln_conn *c, ln_exchange *x) {
    ln_sse_gone(x);
    x->host = NULL; /* a route */
    ln_owe_nothing(ln_conn_outer(c));
}
