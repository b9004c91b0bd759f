/* visitor.c -- who is at the other end, when a proxy stands between.
 *
 * A connection belongs to its sock's peer. A trusted peer may say that it speaks for somebody else:
 * by a PROXY header, for the whole connection, or by the fields of a head, for that request and the
 * WebSocket it becomes. If the one a PROXY header names is trusted too, the fields of his heads are
 * read as well: proxies may stand behind each other.
 *
 * What was said is kept beside the connection and only for those of whom it was said, because an
 * idle connection is counted in bytes. So is the admission of its address, where there is a cap: it
 * goes back to the address's home when the connection has gone.
 */
#include "base/mem.h"
#include "lib/server.h"
#include <stdio.h>

typedef struct guest { /* in w->visitors, by its slot */
    uint32_t slot;
    uint16_t port;
    bool named; /* by a proxy; else the next three and port say nothing */
    bool has_ip, tls;
    ln_ip ip;
    ln_admission *admitted; /* NULL: nobody counts it */
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
    if (g && g->named)
        *out = (ln_visitor){
            .ip = g->ip, .port = g->port, .has_ip = g->has_ip, .forwarded = true, .tls = g->tls
        };
    if (head && s && s->trusted && trusted(s, out)) read_fields(s, head, out);
}

bool ln_visitor_address(const linnet_conn *conn, const ln_http1_head *head, ln_ip *out) {
    ln_visitor v;
    ln_visitor_of(conn, head, &v);
    if (v.has_ip) *out = ln_ip_subscriber(&v.ip);
    return v.has_ip;
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

/* NULL without memory. */
static guest *guest_take(linnet_conn *conn) {
    guest *g = guest_of(conn);
    if (g) return g;
    if (!(g = ln_calloc(1, sizeof *g))) return NULL;
    g->slot = conn->c.slot;
    if (ln_map_add(&ln_worker_of(conn)->visitors, g) == LINNET_OK) return g;
    ln_free(g);
    return NULL;
}

int ln_visitor_keep(linnet_conn *conn, const ln_visitor *v) {
    guest *g = guest_take(conn);
    if (!g) return LINNET_ERR_NOMEM;
    g->named = true;
    g->port = v->port;
    g->has_ip = v->has_ip;
    g->tls = v->tls;
    g->ip = v->ip;
    return LINNET_OK;
}

void ln_visitor_forget(linnet_conn *conn) {
    guest *g = guest_of(conn);
    if (!g) return;
    linnet_loop *w = ln_worker_of(conn);
    ln_map_remove(&w->visitors, slot_of(g));
    if (g->admitted) ln_visitor_give_back(w, g->admitted);
    ln_free(g);
}

/* ---- how many of an address ---------------------------------------------------------------- */

void ln_visitor_give_back(linnet_loop *w, ln_admission *a) {
    if (w->hub && a->err == LINNET_OK)
        ln_hub_release(w->hub, a);
    else
        ln_free(a);
}

bool ln_visitor_admitted(const linnet_conn *conn) {
    const guest *g = guest_of(conn);
    return g && g->admitted;
}

int ln_visitor_admit(
    linnet_conn *conn, const ln_http1_head *head, void (*told)(void *ctx, ln_admission *a)) {
    linnet_loop *w = ln_worker_of(conn);
    ln_visitor v;
    ln_visitor_of(conn, head, &v);
    if (!w->server->options.connections_per_ip || !v.has_ip) return LINNET_OK;
    ln_ip whose = ln_ip_subscriber(&v.ip);
    ln_admission *a = ln_admission_new(LN_CAP_ADDRESS, ln_slice_of(&whose, sizeof whose));
    if (!a || !guest_take(conn)) { /* the place for it is taken now, so that it cannot fail later */
        ln_free(a);
        return LINNET_ERR_NOMEM;
    }
    a->told = told;
    a->ctx = w;
    a->handle = ln_conn_name(conn);
    a->max = w->server->options.connections_per_ip;
    ln_hub_admit(w->hub, a);
    return LN_PENDING;
}

void ln_visitor_let_in(linnet_conn *conn, ln_admission *a) {
    guest_of(conn)->admitted = a;
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
