#include "daemon/access.h"
#include "daemon/tokenkey.h"
#include <stdlib.h>

bool ln_access_wanted(const ln_options *o) {
    return o->auth_keys.count || o->auth_secrets.count || o->auth_jwks.count;
}

/* Their texts were checked with the other options. */
static bool take_jwks(ln_access *a, const ln_options *o) {
    for (size_t i = 0; i < o->auth_jwks.count; i++) {
        linnet_jwks one = LINNET_JWKS_INIT;
        if (!ln_jwks_read(o->auth_jwks.items[i], &a->from[i])) return false;
        a->issuers[i] = ln_jwks_issuer(&a->from[i], &o->auth_issuers);
        if (!a->issuers[i]) return false;
        one.issuer = a->issuers[i];
        one.url = a->from[i].url;
        if (a->from[i].alg[0]) one.alg = a->from[i].alg;
        a->jwks[i] = one;
    }
    a->auth.jwks = a->jwks;
    a->auth.jwks_count = o->auth_jwks.count;
    a->auth.jwks_ca = o->auth_jwks_ca;
    return true;
}

static bool take_keys(ln_access *a, const ln_options *o) {
    for (size_t i = 0; i < o->auth_keys.count; i++)
        if (!ln_tokenkey_add(a->keys, o->auth_keys.items[i], false, o->insecure)) return false;
    for (size_t i = 0; i < o->auth_secrets.count; i++)
        if (!ln_tokenkey_add(a->keys, o->auth_secrets.items[i], true, o->insecure)) return false;
    return true;
}

bool ln_access_init(ln_access *a, const ln_options *o) {
    *a = (ln_access){ .auth = LINNET_AUTH_OPTIONS_INIT };
    if (!ln_access_wanted(o)) return true;
    if (linnet_keys_new(&a->keys) < 0) {
        ln_say("cannot start: no memory is left");
        return false;
    }
    a->auth.keys = a->keys;
    if (o->auth_issuers.count) a->auth.issuers = o->auth_issuers.items;
    if (o->auth_audiences.count) a->auth.audiences = o->auth_audiences.items;
    a->auth.cookie = o->auth_cookie;
    a->auth.anonymous = (linnet_anonymous)o->auth_anonymous;
    a->auth.reject = (linnet_auth_reject)o->auth_reject;
    a->auth.personal = o->auth_personal;
    if (take_keys(a, o) && take_jwks(a, o)) return true;
    ln_access_fini(a);
    return false;
}

void ln_access_fini(ln_access *a) {
    for (size_t i = 0; i < LN_JWKS_MAX; i++) {
        free(a->issuers[i]);
        a->issuers[i] = NULL;
    }
    linnet_keys_free(a->keys);
    a->keys = NULL;
}
