/* dial.c -- the client's way to an open WebSocket. */
#include "conn/dial.h"
#include "base/mem.h"
#include "conn/inner.h"
#include <netinet/in.h>
#include <stdio.h>
#include <sys/un.h>

#define HEAD_MAX 16384u

typedef enum dial_step { RESOLVE, CONNECT, TLS, ANSWER } dial_step;

struct ln_dial {
    ln_conn *conn;
    ln_dial_options o; /* its slices point into `text` and the arrays behind this struct */
    ln_url url;
    ln_buf text; /* copies of everything the caller lent us */
    ln_dns_query *query;
    ln_addr addrs[LN_DNS_ADDRS_MAX], source;
    unsigned addr_count, addr_next;
    ln_msec deadline;
    ln_buf in;
    ln_http1_scan scan;
    ln_http1_field fields[LN_HTTP1_FIELDS_MAX];
    ln_slice protocols[LN_UPGRADE_PROTOCOLS_MAX];
    uint8_t nonce[16];
    uint8_t step;
    bool failed;
};

void ln_dial_free(ln_dial *d) {
    if (d->query) {
        d->failed = true; /* the callback finds nobody to tell */
        ln_dns_cancel(d->query);
    }
    ln_tls_ctx_unref(d->o.tls);
    ln_buf_fini(&d->text);
    ln_buf_fini(&d->in);
    ln_free(d);
}

ln_msec ln_dial_deadline(const ln_dial *d) {
    return d->deadline;
}

/* The end of an attempt. The connection dies without an on_close, because it never opened. */
static void fail(ln_conn *c, int err, int status, const char *words) {
    ln_dial *d = c->dial;
    void (*on_fail)(ln_conn *, int, int, const char *) = d->o.on_fail;
    char copy[256];
    if (d->failed) return;
    snprintf(copy, sizeof copy, "%s", words);
    d->failed = true;
    c->dial = NULL;
    bool begun = ln_conn_is(c, LN_CF_DIALED);
    ln_dial_free(d);
    if (begun)
        ln_conn_drop(c, err);
    else
        ln_conn_unborn(c);
    on_fail(c, err, status, copy);
}

void ln_dial_fail(ln_conn *c, int err) {
    fail(c, err, 0, linnet_strerror(err));
}

/* ---- copies of what was lent ---------------------------------------------------------- */

static int lend(ln_dial *d, ln_slice *s) {
    size_t at = d->text.size;
    int err = ln_buf_add(&d->text, *s);
    if (err == LINNET_OK) err = ln_buf_add_byte(&d->text, 0);
    *s = ln_slice_of((const uint8_t *)(uintptr_t)at, s->size); /* an offset until all is there */
    return err;
}

static void settle(const ln_dial *d, ln_slice *s) {
    s->data = d->text.data + (uintptr_t)s->data;
}

static int copy_options(ln_dial *d, const ln_dial_options *o) {
    d->o = *o;
    ln_buf_init(&d->text, 256 * 1024);
    int err = lend(d, &d->o.url);
    if (err == LINNET_OK) err = lend(d, &d->o.unix_path);
    if (err == LINNET_OK) err = lend(d, &d->o.tls_name);
    for (size_t i = 0; i < o->field_count && err == LINNET_OK; i++) {
        d->fields[i] = o->fields[i];
        err = lend(d, &d->fields[i].name);
        if (err == LINNET_OK) err = lend(d, &d->fields[i].value);
    }
    for (size_t i = 0; i < o->protocol_count && err == LINNET_OK; i++) {
        d->protocols[i] = o->protocols[i];
        err = lend(d, &d->protocols[i]);
    }
    if (err < 0) return err == LINNET_ERR_TOO_BIG ? LINNET_ERR_INVAL : err;
    settle(d, &d->o.url);
    settle(d, &d->o.unix_path);
    settle(d, &d->o.tls_name);
    for (size_t i = 0; i < o->field_count; i++) {
        settle(d, &d->fields[i].name);
        settle(d, &d->fields[i].value);
    }
    for (size_t i = 0; i < o->protocol_count; i++)
        settle(d, &d->protocols[i]);
    d->o.fields = d->fields;
    d->o.protocols = d->protocols;
    if (o->source) d->source = *o->source;
    return LINNET_OK;
}

static ln_upgrade_ask_options asking(const ln_dial *d) {
    return (ln_upgrade_ask_options){ .url = &d->url,
        .nonce = d->nonce,
        .protocols = d->o.protocols,
        .protocol_count = d->o.protocol_count,
        .deflate = d->o.deflate,
        .extra = d->o.fields,
        .extra_count = d->o.field_count };
}

/* ---- the steps ------------------------------------------------------------------------ */

static void connect_next(ln_conn *c) {
    ln_dial *d = c->dial;
    d->step = CONNECT;
    while (d->addr_next < d->addr_count) {
        const ln_addr *to = &d->addrs[d->addr_next++];
        const ln_addr *from = d->o.source ? &d->source : NULL;
        if (from && from->sa.sa_family != to->sa.sa_family) from = NULL;
        if (ln_sock_connect(c->env->loop, &c->sock, c->sock.kind, to, from) < 0) continue;
        ln_conn_set(c, LN_CF_DIALED);
        return;
    }
    fail(c, LINNET_ERR_CONNECT, 0, linnet_strerror(LINNET_ERR_CONNECT));
}

static void on_resolved(void *user, int status, const ln_addr *addrs, unsigned count) {
    ln_conn *c = user;
    ln_dial *d = c->dial;
    if (!d) return; /* cancelled by ln_dial_free */
    d->query = NULL;
    if (d->failed) return;
    if (status < 0) {
        fail(c, status, 0, linnet_strerror(status));
        return;
    }
    for (unsigned i = 0; i < count && i < LN_DNS_ADDRS_MAX; i++)
        d->addrs[d->addr_count++] = addrs[i];
    connect_next(c);
}

static int begin(ln_conn *c, ln_dns *dns) {
    ln_dial *d = c->dial;
    if (d->o.unix_path.size) {
        struct sockaddr_un *un = (struct sockaddr_un *)&d->addrs[0].storage;
        if (d->o.unix_path.size >= sizeof un->sun_path) return LINNET_ERR_INVAL;
        un->sun_family = AF_UNIX;
        memcpy(un->sun_path, d->o.unix_path.data, d->o.unix_path.size);
        d->addrs[0].size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) +
                                       d->o.unix_path.size + 1);
        d->addr_count = 1;
        d->step = CONNECT;
        ln_conn_arm(c, ln_loop_now(c->env->loop)); /* from a later turn, as a name would */
        return LINNET_OK;
    }
    char host[256];
    if (d->url.host.size >= sizeof host) return LINNET_ERR_URL;
    memcpy(host, d->url.host.data, d->url.host.size);
    host[d->url.host.size] = 0;
    return ln_dns_resolve(dns, host, d->url.port, on_resolved, c, &d->query);
}

int ln_dial_start(ln_conn *c, ln_dns *dns, const ln_dial_options *o) {
    if (o->field_count > LN_HTTP1_FIELDS_MAX || o->protocol_count > LN_UPGRADE_PROTOCOLS_MAX)
        return LINNET_ERR_INVAL;
    ln_dial *d = ln_calloc(1, sizeof *d);
    if (!d) return LINNET_ERR_NOMEM;
    d->conn = c;
    ln_buf_init(&d->in, HEAD_MAX + LN_RECV_ORDINARY);
    int err = copy_options(d, o);
    d->o.tls = NULL;
    if (err == LINNET_OK) err = ln_url_parse(d->o.url, &d->url);
    if (err == LINNET_OK) {
        ln_rand_bytes(&c->env->rand, d->nonce, sizeof d->nonce);
        ln_upgrade_ask_options ask = asking(d);
        ln_buf_clear(&c->env->gather); /* a trial, so that nonsense is refused at once */
        err = ln_upgrade_ask(&c->env->gather, &ask);
        ln_buf_clear(&c->env->gather);
    }
    if (err == LINNET_OK && o->tls) d->o.tls = ln_tls_ctx_ref(o->tls);
    if (err == LINNET_OK) {
        c->dial = d;
        d->deadline = ln_loop_now(c->env->loop) + o->timeout_ms;
        ln_conn_arm(c, d->deadline);
        err = begin(c, dns);
    }
    if (err < 0) {
        ln_timer_stop(ln_loop_wheel(c->env->loop), &c->timer);
        c->dial = NULL;
        ln_dial_free(d);
    }
    return err;
}

static void ask(ln_conn *c) {
    ln_dial *d = c->dial;
    ln_upgrade_ask_options o = asking(d);
    d->step = ANSWER;
    ln_buf_clear(&c->env->gather);
    int err = ln_upgrade_ask(&c->env->gather, &o);
    if (err == LINNET_OK) err = ln_conn_send_raw(c, ln_buf_slice(&c->env->gather));
    ln_buf_clear(&c->env->gather);
    if (err < 0 && c->dial) fail(c, err, 0, linnet_strerror(err));
}

static void begin_tls(ln_conn *c) {
    ln_dial *d = c->dial;
    char host[256];
    ln_slice name = d->o.tls_name.size ? d->o.tls_name : d->url.host;
    size_t size = name.size < sizeof host ? name.size : sizeof host - 1;
    memcpy(host, name.data, size);
    host[size] = 0;
    d->step = TLS;
    int err = ln_tls_new(d->o.tls, host, NULL, &c->tls);
    ln_slice none = { NULL, 0 };
    if (err == LINNET_OK) err = ln_tls_handshake(c->tls, &none, &c->env->cipher);
    if (err < 0) {
        fail(c, err, 0, linnet_strerror(err));
        return;
    }
    ln_send_cipher(c);
}

static void connected(ln_conn *c) {
    ln_conn_resume(c, 0);
    if (c->state == LN_CONN_DEAD) return;
    if (c->dial->o.tls) {
        begin_tls(c);
        return;
    }
    ln_conn_dialled(c);
    ask(c);
}

void ln_dial_complete(ln_conn *c, const ln_completion *completion) {
    ln_dial *d = c->dial;
    if (!d || completion->kind != LN_C_CONNECT) return;
    if (completion->result == LINNET_OK) {
        connected(c);
    } else if (d->addr_next < d->addr_count) {
        ln_conn_redial(c); /* the sock must be CLOSED before it is used again */
    } else {
        fail(c, completion->result, 0, linnet_strerror(completion->result));
    }
}

void ln_dial_again(ln_conn *c) {
    if (c->dial) connect_next(c);
}

void ln_dial_tls_done(ln_conn *c) {
    ask(c);
}

/* ---- the answer ------------------------------------------------------------------------ */

static void refused(ln_conn *c, const ln_http1_head *head) {
    char words[160];
    snprintf(words, sizeof words, "the server answered %u %.*s instead of 101", head->status,
        (int)(head->reason.size < 80 ? head->reason.size : 80), (const char *)head->reason.data);
    fail(c, LINNET_ERR_UPGRADE_STATUS, head->status, words);
}

static void verified(ln_conn *c, const ln_upgrade_agreed *agreed, ln_wslice behind) {
    ln_dial *d = c->dial;
    ln_dial_options o = d->o;
    ln_pmd_params params = agreed->params;
    ln_buf kept = d->in; /* `behind` and the protocol lie in it */
    ln_buf_init(&d->in, 0);
    int err = o.on_agreed ? o.on_agreed(c, agreed->protocol, agreed->deflate) : LINNET_OK;
    c->dial = NULL;
    const ln_conn_ops *ops = o.ops;
    const ln_conn_config *config = o.config;
    void *owner = o.owner;
    bool corked = ln_send_cork(c);
    if (err == LINNET_OK)
        err = ln_conn_open_ws(c, config, ops, owner, agreed->deflate ? &params : NULL);
    if (err < 0) {
        c->dial = d;
        ln_buf_fini(&kept);
        if (corked) ln_send_uncork(c);
        fail(c, err, 0, linnet_strerror(err));
        return;
    }
    ln_dial_free(d);
    if (behind.size) ln_conn_input(c, behind);
    if (corked) ln_send_uncork(c);
    ln_buf_fini(&kept);
}

void ln_dial_input(ln_conn *c, ln_wslice data) {
    ln_dial *d = c->dial;
    if (!d) return;
    int err = ln_buf_add(&d->in, ln_slice_of(data.data, data.size));
    while (err == LINNET_OK) {
        ln_http1_head head;
        ln_http1_limits limits = LN_HTTP1_LIMITS_CLIENT;
        ln_slice in = ln_buf_slice(&d->in);
        int r = ln_http1_response(&d->scan, &limits, in, &head);
        if (r == LN_MORE) return;
        if (r < 0) {
            fail(c, LINNET_ERR_UPGRADE_HEADER, 0,
                ln_http1_fault_words((ln_http1_fault)d->scan.fault));
            return;
        }
        if (head.status >= 100 && head.status < 200 && head.status != 101) {
            ln_buf_consume(&d->in, head.size); /* an interim answer; the deadline bounds how many */
            continue;
        }
        ln_upgrade_ask_options o = asking(d);
        ln_upgrade_agreed agreed;
        err = ln_upgrade_verify(&o, &head, &agreed);
        if (err == LINNET_ERR_UPGRADE_STATUS) {
            refused(c, &head);
        } else if (err < 0) {
            fail(c, err, head.status, linnet_strerror(err));
        } else {
            ln_wslice behind = { d->in.data + d->in.head + head.size, d->in.size - head.size };
            verified(c, &agreed, behind);
        }
        return;
    }
    fail(c, err == LINNET_ERR_TOO_BIG ? LINNET_ERR_UPGRADE_HEADER : err, 0, linnet_strerror(err));
}

void ln_dial_timer(ln_conn *c) {
    ln_dial *d = c->dial;
    if (!d) return;
    if (ln_loop_now(c->env->loop) >= d->deadline) {
        fail(c, LINNET_ERR_TIMEOUT, 0, "not open in time");
        return;
    }
    ln_conn_arm(c, d->deadline);
    if (d->step == CONNECT && d->addr_next == 0) connect_next(c);
}
