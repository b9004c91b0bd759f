#include "lib/auth.h"
#include "base/mem.h"
#include "lib/server.h"
#include "lib/sized.h"
#include "lib/token.h"
#include "wire/http1.h"
#include <stdio.h>

#define NAMES_MAX      64
#define TOKEN_PROTOCOL "linnet.token."

/* ---- options ----------------------------------------------------------------------- */

static size_t count_of(const char *const *list) {
    size_t count = 0;
    while (list && list[count])
        count++;
    return count;
}

static int copy_names(ln_gate *g, const linnet_auth_options *o) {
    size_t issuers = count_of(o->issuers), audiences = count_of(o->audiences);
    if (issuers > NAMES_MAX || audiences > NAMES_MAX) return LINNET_ERR_INVAL;
    g->names = ln_calloc(issuers + audiences + 1, sizeof *g->names);
    if (!g->names) return LINNET_ERR_NOMEM;
    for (size_t i = 0; i < issuers + audiences; i++) {
        const char *text = i < issuers ? o->issuers[i] : o->audiences[i - issuers];
        const char *copy = ln_slice_dup(linnet_str(text));
        if (!copy) return LINNET_ERR_NOMEM;
        g->names[i] = linnet_str(copy);
    }
    g->auth.policy = (ln_jws_policy){ g->names, issuers, g->names + issuers, audiences };
    return LINNET_OK;
}

static int take(ln_gate *g, const linnet_auth_options *o) {
    if (!ln_sized(o, sizeof *o) || !o->keys || (unsigned)o->reject > LINNET_AUTH_REJECT_CLOSE ||
        (unsigned)o->anonymous > LINNET_ANONYMOUS_PUBLISH)
        return LINNET_ERR_INVAL;
    if (o->cookie && !ln_http1_is_token(linnet_str(o->cookie))) return LINNET_ERR_INVAL;
    g->on = true;
    g->reject = o->reject;
    g->auth.anonymous = o->anonymous != LINNET_ANONYMOUS_NOTHING;
    g->auth.personal = o->personal;
    g->keys = o->keys->keys;
    g->auth.keys = g->keys;
    o->keys->used = true;
    ln_jws_keys_ref(g->keys);
    if (o->cookie && !(g->cookie = ln_slice_dup(linnet_str(o->cookie)))) return LINNET_ERR_NOMEM;
    int err = ln_keyring_config_new(o, &g->jwks);
    return err < 0 ? err : copy_names(g, o);
}

int ln_gate_init(ln_gate *g, const linnet_auth_options *o) {
    *g = (ln_gate){ 0 };
    int err = o ? take(g, o) : LINNET_OK;
    if (err < 0) ln_gate_fini(g);
    return err;
}

void ln_gate_fini(ln_gate *g) {
    for (size_t i = 0; g->names && g->names[i].data; i++)
        ln_free((void *)(uintptr_t)g->names[i].data);
    ln_free(g->names);
    ln_free(g->cookie);
    ln_jws_keys_unref(g->keys);
    ln_keyring_config_free(g->jwks);
    *g = (ln_gate){ 0 };
}

/* ---- finding a token --------------------------------------------------------------- */

typedef enum place { NOWHERE, IN_FIELD, IN_ADDRESS, IN_COOKIE, TWICE } place;

/* "Bearer TOKEN"; what other schemes say is for others. */
static place in_field(const linnet_upgrade *u, ln_slice *token) {
    ln_slice field = linnet_upgrade_header(u, "authorization", 0), scheme;
    if (!field.data || !ln_slice_cut(&field, ' ', &scheme)) return NOWHERE;
    if (!field.data || !ln_slice_eq_ci(scheme, LN_SLICE("Bearer"))) return NOWHERE;
    *token = ln_slice_trim(field);
    return linnet_upgrade_header(u, "authorization", 1).data ? TWICE : IN_FIELD;
}

static place in_protocol(const linnet_upgrade *u, ln_slice *token) {
    ln_slice offered, prefix = LN_SLICE(TOKEN_PROTOCOL);
    for (unsigned i = 0; (offered = linnet_upgrade_offered(u, i)).data; i++) {
        if (!ln_slice_starts(offered, prefix)) continue;
        *token = ln_slice_sub(offered, prefix.size, offered.size);
        return IN_ADDRESS;
    }
    return NOWHERE;
}

/* Of two cookies with one name the page cannot know which is its own. */
static place in_cookie(const linnet_upgrade *u, const char *name, ln_slice *token) {
    ln_slice field, one, key;
    place found = NOWHERE;
    for (unsigned i = 0; name && (field = linnet_upgrade_header(u, "cookie", i)).data; i++) {
        while (ln_slice_cut(&field, ';', &one)) {
            one = ln_slice_trim(one);
            if (!ln_slice_cut(&one, '=', &key) || !one.data) continue;
            if (!ln_slice_eq(key, linnet_str(name))) continue;
            if (found) return TWICE;
            found = IN_COOKIE;
            *token = one;
        }
    }
    return found;
}

static place find(const ln_gate *g, linnet_upgrade *u, ln_slice *token) {
    place at = in_field(u, token);
    if (at == NOWHERE) {
        *token = linnet_upgrade_query(u, "token");
        if (token->data) at = IN_ADDRESS;
    }
    if (at == NOWHERE) at = in_protocol(u, token);
    if (at == NOWHERE) at = in_cookie(u, g->cookie, token);
    return at;
}

/* ---- the verdict ------------------------------------------------------------------- */

static linnet_verdict unauthorized(linnet_upgrade *u, const char *words) {
    linnet_upgrade_add_header(u, "WWW-Authenticate", "Bearer");
    linnet_upgrade_reject(u, 401, words);
    return LINNET_REJECT;
}

static linnet_verdict forbidden(linnet_upgrade *u) {
    linnet_upgrade_reject(u, 403, "banned\n");
    return LINNET_REJECT;
}

static linnet_verdict refuse(const ln_gate *g, linnet_upgrade *u, place at, ln_entrant *out) {
    bool close = g->reject == LINNET_AUTH_REJECT_CLOSE ||
                 (g->reject == LINNET_AUTH_REJECT_AUTO && at == IN_ADDRESS);
    if (close && out->refused && !u->stream) return LINNET_ACCEPT;
    return out->refused == LN_JWS_FAULT_BANNED ? forbidden(u) : unauthorized(u, "invalid token\n");
}

linnet_verdict ln_gate_too_many(linnet_upgrade *u, uint32_t wait_ms, const char *words) {
    ln_conn *c = &u->conn->c;
    char seconds[16];
    snprintf(seconds, sizeof seconds, "%u", (wait_ms + 999) / 1000);
    linnet_upgrade_add_header(u, "Retry-After", seconds);
    linnet_upgrade_reject(u, 429, words);
    ln_stat_add(&c->env->faults[LN_HTTP1_FAULT_TOO_MANY], 1);
    ln_conn_log_refusal(c, "HTTP_", ln_http1_fault_name(LN_HTTP1_FAULT_TOO_MANY), 429);
    return LINNET_REJECT;
}

static bool is_banned(const ln_gate *g, const ln_ip *address, uint64_t now_s) {
    const ln_ban_who who = { .address = address };
    return ln_bans_judge(g->auth.bans, &who, now_s) != LN_BAN_FREE;
}

linnet_verdict ln_gate_address(const ln_gate *g, linnet_upgrade *u, uint64_t now_s) {
    ln_ip who;
    bool known = ln_visitor_address(u->conn, &u->x->head, &who);
    return known && is_banned(g, &who, now_s) ? forbidden(u) : LINNET_ACCEPT;
}

/* A page's own GET comes without Origin, but with where it is from; and a foreign page could not
 * read what it gets. */
static bool is_page_known(const linnet_upgrade *u) {
    if (linnet_upgrade_header(u, "origin", 0).data) return true;
    ln_slice site = linnet_upgrade_header(u, "sec-fetch-site", 0);
    return u->stream && (!site.data || ln_slice_eq(site, LN_SLICE("same-origin")) ||
                            ln_slice_eq(site, LN_SLICE("none")));
}

linnet_verdict ln_gate_ask(
    const ln_gate *g, linnet_upgrade *u, ln_rate failures, uint64_t now_s, ln_entrant *out) {
    ln_hub *hub = ln_worker_of(u->conn)->hub;
    ln_account debtor = 0;
    uint32_t wait_ms;
    ln_ip who;
    ln_slice token;
    *out = (ln_entrant){ 0 };
    bool known = ln_visitor_address(u->conn, &u->x->head, &who);
    if (known && is_banned(g, &who, now_s)) return forbidden(u);
    if (!g->on) return LINNET_ACCEPT;
    place at = find(g, u, &token);
    if (at == NOWHERE) {
        bool http = g->reject == LINNET_AUTH_REJECT_HTTP || u->stream;
        bool wanted = http && !g->auth.anonymous;
        return wanted ? unauthorized(u, "a token is wanted\n") : LINNET_ACCEPT;
    }
    if (at == IN_COOKIE && !is_page_known(u)) {
        linnet_upgrade_reject(u, 403, "with a cookie, Origin is wanted\n");
        return LINNET_REJECT;
    }
    if (failures.per_s && known)
        debtor = ln_account_named(
            hub->key, LN_ACCOUNT_ADDRESS_TOKENS, ln_slice_of(&who, sizeof who));
    if (debtor && ln_hub_owes(hub, debtor, failures, &wait_ms))
        return ln_gate_too_many(u, wait_ms, "too many bad tokens\n");
    out->refused = LN_JWS_FAULT_FORM;
    if (at == TWICE) return refuse(g, u, at, out);
    int err = ln_identity_read(&g->auth, token, now_s, &out->identity, &out->refused);
    bool bad = err == LINNET_ERR_DENIED && out->refused != LN_JWS_FAULT_BANNED;
    if (bad && debtor) ln_hub_owe(hub, debtor, failures);
    if (err == LINNET_ERR_DENIED) return refuse(g, u, at, out);
    if (err == LINNET_OK) return LINNET_ACCEPT;
    linnet_loop *w = ln_worker_of(u->conn);
    if (err == LN_PENDING && ln_keyring_hold(w->keyring, ln_conn_name(u->conn)))
        return LINNET_DEFER;
    linnet_upgrade_reject(u, 503, NULL);
    return LINNET_REJECT;
}
