#include "lib/keyring.h"
#include "base/mem.h"
#include "fetch/fetch.h"
#include "lib/hub.h"
#include "lib/server.h"
#include "lib/sized.h"

typedef struct waiting {
    ln_list node;
    linnet_conn_id id;
    ln_msec until;
} waiting;

struct ln_keyring {
    ln_keyring_config *config;
    linnet_loop *w;
    ln_sessions *sessions;
    ln_keeper *keeper; /* NULL: it is another worker's */
    ln_jws_source sources[LN_JWS_SOURCES_MAX];
    ln_jws_keys *keys[LN_JWS_SOURCES_MAX]; /* theirs, a reference each */
    ln_msec asked[LN_JWS_SOURCES_MAX];     /* the keeper is, and will have answered then */
    ln_msec pointless[LN_JWS_SOURCES_MAX]; /* to ask again before */
    ln_list handshakes;                    /* waiting, by how long yet */
    uint32_t count;
    bool late; /* what waits is not to wait again */
};

/* ---- configuration ------------------------------------------------------------------- */

void ln_keyring_config_free(ln_keyring_config *c) {
    if (!c) return;
    for (size_t i = 0; i < LN_JWS_SOURCES_MAX; i++) {
        ln_free(c->sources[i].issuer);
        ln_free(c->sources[i].url);
    }
    ln_free(c->ca_file);
    ln_free(c);
}

static int take_source(ln_keyring_source *s, const linnet_jwks *from) {
    size_t size = from->issuer ? strlen(from->issuer) : 0;
    if (!size || size > LN_JWS_ISSUER_MAX || !from->url) return LINNET_ERR_INVAL;
    if (from->alg && !(s->alg = ln_jws_alg_of(linnet_str(from->alg)))) return LINNET_ERR_INVAL;
    int err = ln_fetch_url_check(from->url);
    if (err < 0) return err;
    s->issuer = ln_slice_dup(linnet_str(from->issuer));
    s->url = ln_slice_dup(linnet_str(from->url));
    return s->issuer && s->url ? LINNET_OK : LINNET_ERR_NOMEM;
}

static int take_sources(ln_keyring_config *c, const linnet_auth_options *o) {
    const char *at = (const char *)o->jwks;
    for (size_t i = 0; i < o->jwks_count; i++, at += o->jwks->size) {
        const linnet_jwks *one = (const linnet_jwks *)(const void *)at;
        if (one->size != o->jwks->size || one->size < sizeof *one) return LINNET_ERR_INVAL;
        int err = take_source(&c->sources[i], one);
        if (err < 0) return err;
        c->count++;
    }
    if (!o->jwks_ca) return LINNET_OK;
    c->ca_file = ln_slice_dup(linnet_str(o->jwks_ca));
    return c->ca_file ? LINNET_OK : LINNET_ERR_NOMEM;
}

int ln_keyring_config_new(const linnet_auth_options *o, ln_keyring_config **out) {
    *out = NULL;
    if (!o->jwks_count) return LINNET_OK;
    if (!o->jwks) return LINNET_ERR_INVAL;
    if (o->jwks_count > LN_JWS_SOURCES_MAX) return LINNET_ERR_LIMIT;
    ln_keyring_config *c = ln_calloc(1, sizeof *c);
    if (!c) return LINNET_ERR_NOMEM;
    int err = take_sources(c, o);
    if (err < 0)
        ln_keyring_config_free(c);
    else
        *out = c;
    return err;
}

/* ---- who lacks a key ------------------------------------------------------------------- */

/* As ln_auth.want. */
static int want(void *ctx, uint32_t source) {
    ln_keyring *k = ctx;
    ln_msec now = ln_loop_now(k->w->net);
    if (now < k->asked[source]) return LN_PENDING;
    if (now < k->pointless[source]) return k->keys[source] ? LINNET_ERR_DENIED : LINNET_ERR_AGAIN;
    ln_post *m = ln_post_new(LN_POST_WANT, k->w->index, (int)source, NULL, LN_SLICE(""));
    if (!m || ln_worker_post(k->w->server->workers[0], m) < 0) return LINNET_ERR_AGAIN;
    k->asked[source] = now + LN_KEYRING_WAIT_MS;
    return LN_PENDING;
}

bool ln_keyring_hold(ln_keyring *k, linnet_conn_id id) {
    waiting *h = k->late || k->count == LN_KEYRING_WAITING ? NULL : ln_malloc(sizeof *h);
    if (!h) return false;
    *h = (waiting){ .id = id, .until = ln_loop_now(k->w->net) + LN_KEYRING_WAIT_MS };
    ln_list_init(&h->node);
    ln_list_push(&k->handshakes, &h->node);
    k->count++;
    return true;
}

static void decide(ln_keyring *k, waiting *h) {
    linnet_conn_id id = h->id;
    ln_list_remove(&h->node);
    ln_free(h);
    k->count--;
    ln_upgrade_again(k->w, id);
}

/* Those that wait now; who has to wait again is put back. */
static void decide_all(ln_keyring *k) {
    ln_list some;
    ln_list_init(&some);
    ln_list_splice(&some, &k->handshakes);
    while (!ln_list_empty(&some))
        decide(k, ln_list_item(some.next, waiting, node));
}

void ln_keyring_tick(ln_keyring *k) {
    ln_msec now = k ? ln_loop_now(k->w->net) : 0;
    while (k && !ln_list_empty(&k->handshakes)) {
        waiting *h = ln_list_item(k->handshakes.next, waiting, node);
        if (h->until > now) return;
        k->late = true;
        decide(k, h);
        k->late = false;
    }
}

ln_msec ln_keyring_deadline(const ln_keyring *k) {
    if (!k || ln_list_empty(&k->handshakes)) return LN_NEVER;
    return ln_list_item(k->handshakes.next, waiting, node)->until;
}

/* ---- keys that come ---------------------------------------------------------------------- */

/* The mail's reference is taken. */
static void come(ln_keyring *k, ln_post *m) {
    uint32_t source = (uint32_t)m->code;
    if (m->ctx) {
        ln_jws_keys_unref(k->keys[source]);
        k->keys[source] = m->ctx;
        k->sources[source].keys = m->ctx;
        m->ctx = NULL;
    }
    k->asked[source] = 0;
    k->pointless[source] = ln_loop_now(k->w->net) + m->id;
    ln_sessions_keys(k->sessions);
    decide_all(k);
}

void ln_keyring_mail(ln_keyring *k, ln_post *m) {
    if (!k) return; /* the server has left this loop */
    if (m->letter.kind == LN_POST_KEYS)
        come(k, m);
    else
        ln_keeper_want(k->keeper, (uint32_t)m->code, (uint32_t)m->id);
}

void ln_keyring_refresh(ln_keyring *k) {
    if (k && k->keeper) ln_keeper_refresh(k->keeper);
}

bool ln_keyring_ready(ln_keyring *k, const ln_completion *c) {
    return k && k->keeper && ln_keeper_ready(k->keeper, c);
}

void ln_keyring_timer(ln_keyring *k, ln_timer *timer) {
    ln_keeper_timer(k->keeper, timer);
}

/* ---- life ---------------------------------------------------------------------------------- */

int ln_keyring_new(ln_keyring_config *config, linnet_loop *w, ln_sessions *sessions, ln_auth *auth,
    ln_keyring **out) {
    *out = NULL;
    if (!config) return LINNET_OK;
    ln_keyring *k = ln_calloc(1, sizeof *k);
    if (!k) return LINNET_ERR_NOMEM;
    k->config = config;
    k->w = w;
    k->sessions = sessions;
    ln_list_init(&k->handshakes);
    for (size_t i = 0; i < config->count; i++)
        k->sources[i].issuer = linnet_str(config->sources[i].issuer);
    int err = w->index == 0 ? ln_keeper_new(config, w, &k->keeper) : LINNET_OK;
    if (err < 0) {
        ln_free(k);
        return err;
    }
    auth->policy.sources = k->sources;
    auth->policy.source_count = config->count;
    auth->want = want;
    auth->ctx = k;
    *out = k;
    return LINNET_OK;
}

void ln_keyring_free(ln_keyring *k) {
    if (!k) return;
    ln_keeper_free(k->keeper);
    for (ln_list *node; (node = ln_list_pop(&k->handshakes));)
        ln_free(ln_list_item(node, waiting, node));
    for (size_t i = 0; i < LN_JWS_SOURCES_MAX; i++)
        ln_jws_keys_unref(k->keys[i]);
    ln_free(k);
}

/* ---- from anywhere -------------------------------------------------------------------------- */

const char *linnet_hub_next_jwks(const linnet_hub *hub, unsigned *at, linnet_jwks_stats *out) {
    const ln_keyring_config *c = ln_host_hub_jwks(hub);
    if (!c || *at >= c->count || !ln_sized(out, sizeof *out)) return NULL;
    const ln_keyring_source *s = &c->sources[(*at)++];
    out->fetches = ln_stat_get(&s->fetches);
    out->failures = ln_stat_get(&s->failures);
    out->keys = ln_stat_get(&s->keys);
    out->came_ms = ln_stat_get(&s->came);
    return s->issuer;
}
