#include "daemon/jwks.h"
#include <stdlib.h>
#include <string.h>

static bool is_url(const char *text) {
    return strncmp(text, "http://", 7) == 0 || strncmp(text, "https://", 8) == 0;
}

bool ln_jwks_read(const char *text, ln_jwks *out) {
    *out = (ln_jwks){ .issuer = text };
    if (strlen(text) > 6 && text[5] == ':' && memchr("HRPE", text[0], 4)) {
        memcpy(out->alg, text, 5);
        text += 6;
    }
    out->issuer = text;
    out->url = text;
    for (const char *at = text; (at = strchr(at, '=')) != NULL; at++) {
        if (!is_url(at + 1)) continue;
        out->issuer_size = (size_t)(at - text);
        out->url = at + 1;
        return out->issuer_size > 0;
    }
    return is_url(text);
}

bool ln_jwks_is_open(const char *url) {
    static const char *const near[] = { "127.", "localhost:", "localhost/", "[::1]" };
    if (strncmp(url, "http://", 7) != 0) return false;
    for (size_t i = 0; i < sizeof near / sizeof near[0]; i++)
        if (strncmp(url + 7, near[i], strlen(near[i])) == 0) return false;
    return true;
}

char *ln_jwks_issuer(const ln_jwks *j, const ln_arg_list *issuers) {
    if (j->issuer_size) return strndup(j->issuer, j->issuer_size);
    return issuers->count == 1 ? strdup(issuers->items[0]) : NULL;
}

static bool is_listed(const ln_jwks *j, const ln_arg_list *issuers) {
    for (size_t i = 0; i < issuers->count; i++)
        if (strlen(issuers->items[i]) == j->issuer_size &&
            memcmp(issuers->items[i], j->issuer, j->issuer_size) == 0)
            return true;
    return false;
}

const char *ln_jwks_wrong(const ln_options *o, const char *text) {
    static const char *const algs[] = { "RS256", "RS384", "RS512", "PS256", "PS384", "PS512",
        "ES256", "ES384", "ES512", "EdDSA" };
    ln_jwks j;
    bool known = false;
    if (!ln_jwks_read(text, &j)) return "wants [ALG:][ISSUER=]URL, with http:// or https://";
    for (size_t i = 0; i < sizeof algs / sizeof algs[0]; i++)
        known = known || strcmp(j.alg, algs[i]) == 0;
    if (j.alg[0] && !known) return "names an algorithm that is none for public keys";
    if (!j.issuer_size && o->auth_issuers.count != 1)
        return "wants to know for whose tokens: ISSUER=URL, or one auth.issuers beside it";
    if (j.issuer_size && o->auth_issuers.count && !is_listed(&j, &o->auth_issuers))
        return "names an issuer that is not among auth.issuers, so that its tokens are refused";
    if (ln_jwks_is_open(j.url) && !o->insecure)
        return "wants https://: whoever is on the way could put his own keys there (--insecure if "
               "that cannot be)";
    return NULL;
}
