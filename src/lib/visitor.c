/* visitor.c -- who is at the other end, when a proxy stands between.
 *
 * A connection belongs to its sock's peer. A trusted peer may say that it speaks for somebody else:
 * by a PROXY header, for the whole connection, or by the fields of a head, for that request and the
 * WebSocket it becomes. If the one a PROXY header names is trusted too, the fields of his heads are
 * read as well: proxies may stand behind each other.
 *
 * What was said is kept beside the connection and only for those of whom it was said, because an
 * idle connection is counted in bytes.
 */
#include "base/mem.h"
#include "lib/server.h"
#include <stdio.h>

typedef struct guest { /* in w->visitors, by its slot */
    uint32_t slot;
    uint16_t port;
    bool has_ip, tls;
    ln_ip ip;
} guest;

static ln_slice slot_of(const void *value) {
    const guest *g = value;
    return ln_slice_of(&g->slot, sizeof g->slot);
}

void ln_visitors_init(linnet_loop *w, ln_map_key key) {
    ln_map_init(&w->visitors, key, slot_of, LN_LIM_SLOTS);
}

static guest *guest_of(const linnet_conn *conn) {
    const linnet_loop *w = ln_worker_of(conn);
    if (!w->visitors.count) return NULL;
    return ln_map_get(&w->visitors, ln_slice_of(&conn->c.slot, sizeof conn->c.slot));
}

/* ---- trust ------------------------------------------------------------------------------- */

int ln_visitor_trust(linnet_server *s, const char *const *proxies) {
    size_t count = 0;
    while (proxies && proxies[count])
        count++;
    if (count > LN_LIM_PROXIES) return LINNET_ERR_LIMIT;
    if (!count) return LINNET_OK;
    if (!(s->trusted = ln_calloc(count, sizeof *s->trusted))) return LINNET_ERR_NOMEM;
    for (size_t i = 0; i < count; i++) {
        ln_slice text = linnet_str(proxies[i]);
        if (ln_slice_eq(text, LN_SLICE("unix")))
            s->trusts_unix = true;
        else if (ln_cidr_parse(text, &s->trusted[s->trusted_count]))
            s->trusted_count++;
        else
            return LINNET_ERR_INVAL;
    }
    return LINNET_OK;
}

static bool trusted(const linnet_server *s, const ln_visitor *v) {
    return v->has_ip ? ln_cidrs_have(s->trusted, s->trusted_count, &v->ip) : s->trusts_unix;
}

static void peer_of(const linnet_conn *conn, ln_visitor *out) {
    ln_addr a;
    *out = (ln_visitor){ .tls = conn->c.tls != NULL };
    if (ln_sock_peer(&conn->c.sock, &a) < 0) return;
    out->has_ip = ln_addr_host(&a, &out->ip);
    out->port = ln_addr_port(&a);
}

/* Without a list those who are on this machine anyway. */
bool ln_visitor_may_proxy(const linnet_conn *conn) {
    const linnet_server *s = ln_worker_of(conn)->server;
    ln_visitor peer;
    peer_of(conn, &peer);
    if (s->trusted) return trusted(s, &peer);
    return !peer.has_ip || ln_ip_is_loopback(&peer.ip);
}

/* ---- who ---------------------------------------------------------------------------------- */

static void read_fields(const linnet_server *s, const ln_http1_head *head, ln_visitor *v) {
    ln_forwarded f;
    ln_forwarded_read(head, s->forwarded_by, s->trusted, s->trusted_count, &f);
    if (f.told_tls) v->tls = f.tls;
    v->host = f.host;
    if (!f.known) return;
    v->ip = f.ip;
    v->port = 0;
    v->has_ip = v->forwarded = true;
}

void ln_visitor_of(const linnet_conn *conn, const ln_http1_head *head, ln_visitor *out) {
    const linnet_server *s = ln_worker_of(conn)->server;
    const guest *g = guest_of(conn);
    peer_of(conn, out);
    if (g)
        *out = (ln_visitor){
            .ip = g->ip, .port = g->port, .has_ip = g->has_ip, .forwarded = true, .tls = g->tls
        };
    if (head && s && s->trusted && trusted(s, out)) read_fields(s, head, out);
}

size_t ln_visitor_text(const ln_visitor *v, char out[64]) {
    char ip[LN_IP_TEXT] = "unix";
    if (v->has_ip) ln_ip_text(&v->ip, ip);
    bool v6 = v->has_ip && !ln_ip_is_v4(&v->ip);
    const char *open = v6 ? "[" : "", *close = v6 ? "]" : "";
    int n = v->port ? snprintf(out, 64, "%s%s%s:%u", open, ip, close, v->port)
                    : snprintf(out, 64, "%s%s%s", open, ip, close);
    return (size_t)n;
}

int ln_visitor_keep(linnet_conn *conn, const ln_visitor *v) {
    linnet_loop *w = ln_worker_of(conn);
    guest *g = guest_of(conn), *fresh = NULL;
    if (!g && !(fresh = g = ln_malloc(sizeof *g))) return LINNET_ERR_NOMEM;
    *g = (guest){
        .slot = conn->c.slot, .port = v->port, .has_ip = v->has_ip, .tls = v->tls, .ip = v->ip
    };
    int err = fresh ? ln_map_add(&w->visitors, fresh) : LINNET_OK;
    if (err < 0) ln_free(fresh);
    return err;
}

void ln_visitor_forget(linnet_conn *conn) {
    guest *g = guest_of(conn);
    if (!g) return;
    ln_map_remove(&ln_worker_of(conn)->visitors, slot_of(g));
    ln_free(g);
}

int ln_visitor_proxied(ln_conn *c, const ln_proxy *header) {
    linnet_conn *conn = ln_conn_outer(c);
    ln_visitor v;
    if (!header->known) return LINNET_OK; /* a health check of the proxy itself, mostly */
    ln_visitor_of(conn, NULL, &v);
    v.ip = header->from;
    v.port = header->from_port;
    v.has_ip = true;
    v.tls |= header->tls;
    return ln_visitor_keep(conn, &v);
}

void ln_visitor_name(ln_conn *c, char out[64]) {
    linnet_conn_peer(ln_conn_outer(c), out);
}
