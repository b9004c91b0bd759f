/* client.c -- dialling for the host: options in, an open connection or words about why not. */
#include "base/mem.h"
#include "conn/dial.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "wire/url.h"
#include <arpa/inet.h>
#include <netinet/in.h>

#define FIELDS_MAX    LN_HTTP1_FIELDS_MAX
#define PROTOCOLS_MAX LN_UPGRADE_PROTOCOLS_MAX

/* What an attempt keeps, and then the connection: its limits and events must outlive it. */
typedef struct ln_dialing {
    linnet_conn_events events;
    ln_conn_config config;
    void (*on_fail)(void *user, int err, int status, const char *words);
} ln_dialing;

/* TLS settings used before, by this loop, so that a thousand dials read the certificates once. */
typedef struct ln_tls_cached {
    ln_list node;
    ln_tls_ctx *ctx;
    char *ca_file; /* NULL: the system's */
    bool insecure;
} ln_tls_cached;

void ln_client_dead(linnet_conn *conn) {
    ln_free(conn->dialing);
    conn->dialing = NULL;
}

void ln_client_fini(linnet_loop *w) {
    for (ln_list *node; (node = ln_list_pop(&w->tls_cache));) {
        ln_tls_cached *t = ln_list_item(node, ln_tls_cached, node);
        ln_tls_ctx_unref(t->ctx);
        ln_free(t->ca_file);
        ln_free(t);
    }
}

static bool same_text(const char *a, const char *b) {
    return a == b || (a && b && strcmp(a, b) == 0);
}

static int tls_for(linnet_loop *w, const linnet_dial_options *o, ln_tls_ctx **out) {
    LN_LIST_FOREACH(node, &w->tls_cache) {
        ln_tls_cached *t = ln_list_item(node, ln_tls_cached, node);
        if (t->insecure != o->tls_insecure || !same_text(t->ca_file, o->tls_ca_file)) continue;
        *out = t->ctx;
        return LINNET_OK;
    }
    ln_tls_cached *t = ln_calloc(1, sizeof *t);
    if (!t) return LINNET_ERR_NOMEM;
    ln_list_init(&t->node);
    ln_tls_options tls = {
        .ca_file = o->tls_ca_file, .verify = !o->tls_insecure, .alpn = "http/1.1"
    };
    char reason[256];
    t->insecure = o->tls_insecure;
    int err = ln_tls_ctx_new(&tls, &t->ctx, reason);
    if (err == LINNET_OK && o->tls_ca_file &&
        !(t->ca_file = ln_slice_dup(linnet_str(o->tls_ca_file)))) {
        ln_tls_ctx_unref(t->ctx);
        err = LINNET_ERR_NOMEM;
    }
    if (err < 0) {
        ln_free(t);
        return err;
    }
    ln_list_push(&w->tls_cache, &t->node);
    *out = t->ctx;
    return LINNET_OK;
}

static int dns_for(linnet_loop *w) {
    if (w->dns) return LINNET_OK;
    ln_dns_options o = { .servers = w->dns_servers, .timer_kind = LN_TIMER_OF_DNS };
    return ln_dns_new(w->net, &o, &w->dns);
}

static void on_fail(ln_conn *c, int err, int status, const char *words) {
    linnet_conn *conn = ln_conn_outer(c);
    const ln_dialing *d = conn->dialing;
    if (d->on_fail) d->on_fail(conn->user, err, status, words);
}

static int on_agreed(ln_conn *c, ln_slice protocol, bool deflate) {
    linnet_conn *conn = ln_conn_outer(c);
    (void)deflate;
    if (!protocol.size) return LINNET_OK;
    conn->protocol = ln_slice_dup(protocol);
    return conn->protocol ? LINNET_OK : LINNET_ERR_NOMEM;
}

/* "Name: value" lines. */
static int fields_of(const char *const *lines, ln_http1_field *out, size_t *count) {
    size_t n = 0;
    for (; lines && lines[n]; n++) {
        ln_slice rest = linnet_str(lines[n]), name;
        if (n == FIELDS_MAX || !ln_slice_cut(&rest, ':', &name) || !rest.data)
            return LINNET_ERR_INVAL;
        out[n] = (ln_http1_field){ name, ln_slice_trim(rest) };
    }
    *count = n;
    return LINNET_OK;
}

static int source_of(const char *text, ln_addr *out) {
    memset(out, 0, sizeof *out);
    struct sockaddr_in *v4 = (struct sockaddr_in *)&out->storage;
    struct sockaddr_in6 *v6 = (struct sockaddr_in6 *)&out->storage;
    if (inet_pton(AF_INET, text, &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        out->size = sizeof *v4;
        return LINNET_OK;
    }
    if (inet_pton(AF_INET6, text, &v6->sin6_addr) != 1) return LINNET_ERR_INVAL;
    v6->sin6_family = AF_INET6;
    out->size = sizeof *v6;
    return LINNET_OK;
}

static int start(linnet_loop *w, linnet_conn *conn, const linnet_dial_options *o) {
    ln_http1_field fields[FIELDS_MAX];
    ln_slice protocols[PROTOCOLS_MAX];
    ln_dial_options d = { .url = linnet_str(o->url), .fields = fields, .protocols = protocols };
    ln_url url;
    ln_addr source;
    int err = ln_url_parse(d.url, &url);
    if (err < 0) return err;
    if (url.scheme != LN_URL_WS && url.scheme != LN_URL_WSS) return LINNET_ERR_URL;
    if ((err = fields_of(o->headers, fields, &d.field_count)) < 0) return err;
    for (; o->subprotocols && o->subprotocols[d.protocol_count]; d.protocol_count++) {
        if (d.protocol_count == PROTOCOLS_MAX) return LINNET_ERR_INVAL;
        protocols[d.protocol_count] = linnet_str(o->subprotocols[d.protocol_count]);
    }
    if ((err = ln_limits_conn(&o->limits, true, &conn->dialing->config, &d.deflate)) < 0)
        return err;
    if (url.secure && (err = tls_for(w, o, &d.tls)) < 0) return err;
    if (o->source_address && (err = source_of(o->source_address, &source)) < 0) return err;
    d.source = o->source_address ? &source : NULL;
    d.unix_path = linnet_str(o->unix_path);
    d.tls_name = linnet_str(o->tls_server_name);
    d.timeout_ms = o->timeout_ms ? o->timeout_ms : LN_LIM_DIAL_MS;
    d.config = &conn->dialing->config;
    d.ops = &ln_host_ops;
    d.on_fail = on_fail;
    d.on_agreed = on_agreed;
    return ln_dial_start(&conn->c, w->dns, &d);
}

int linnet_client_dial(linnet_loop *w, const linnet_dial_options *o, linnet_conn_id *id) {
    if (!w || !o || !ln_sized(o, sizeof *o) || !o->url) return LINNET_ERR_INVAL;
    if (w->ended) return LINNET_ERR_STATE;
    int err = dns_for(w);
    if (err < 0) return err;
    linnet_conn *conn = ln_worker_conn(w);
    if (!conn) return LINNET_ERR_LIMIT;
    ln_conn_init(&conn->c, &w->env, LN_SOCK_OF_CONN, LN_TIMER_OF_CONN);
    conn->dialing = ln_calloc(1, sizeof *conn->dialing);
    err = LINNET_ERR_NOMEM;
    if (conn->dialing) {
        conn->dialing->events = o->events;
        conn->dialing->on_fail = o->on_fail;
        conn->events = &conn->dialing->events;
        conn->user = o->user;
        err = start(w, conn, o);
    }
    if (err < 0) {
        ln_client_dead(conn);
        ln_worker_unconn(w, conn);
        return err;
    }
    if (id) *id = ln_conn_name(conn);
    return LINNET_OK;
}
