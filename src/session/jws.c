/* jws.c -- is this token one of ours? */
#include "base/b64url.h"
#include "session/jws_key.h"
#include <assert.h>
#include <openssl/crypto.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/rsa.h>

#define HEADER_KEYS 32
#define CLAIM_KEYS  256

const char *ln_jws_fault_words(ln_jws_fault fault) {
    static const char *const words[] = {
#define ROW(name, words) words,
        LN_JWS_FAULTS(ROW)
#undef ROW
    };
    return words[fault];
}

/* What is under check. */
typedef struct checking {
    ln_slice signed_part; /* header and payload as they came, with the dot */
    ln_slice signature;   /* decoded */
    ln_json_value header, claims;
    ln_slice kid, issuer; /* as they say; data NULL: they do not */
    ln_jws_alg alg;
    ln_buf *scratch;
} checking;

/* Parts ----------------------------------------------------------------------------------- */

static bool decode(checking *c, ln_slice text, ln_slice *out) {
    uint32_t before = c->scratch->size;
    if (text.size == 0 || ln_b64url_get(text, c->scratch) < 0) return false;
    ln_slice all = ln_buf_slice(c->scratch);
    *out = ln_slice_sub(all, before, all.size);
    return true;
}

/* The content of a string. Room is there, so nothing moves. */
static ln_slice content(checking *c, const ln_json_value *string) {
    if (!string->escaped) return string->text;
    uint32_t before = c->scratch->size;
    if (ln_json_unescape(string, c->scratch) < 0) return ln_slice_of(NULL, 0);
    ln_slice all = ln_buf_slice(c->scratch);
    return ln_slice_sub(all, before, all.size);
}

/* Of what stands twice one reader takes the first and another the last. A name may be written in
 * more ways than one, so names are compared as what they mean. */
static bool object_of(checking *c, ln_slice text, uint32_t most, ln_json_value *out) {
    if (ln_json_check(text, out) < 0 || out->kind != LN_JSON_OBJECT) return false;
    ln_slice names[CLAIM_KEYS];
    uint32_t count = 0, keep = c->scratch->size;
    ln_json_iter it = ln_json_iter_of(out);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        if (count == most) return false;
        names[count] = content(c, &key);
        for (uint32_t i = 0; i < count; i++)
            if (ln_slice_eq(names[i], names[count])) return false;
        count++;
    }
    c->scratch->size = keep;
    return true;
}

/* NULL: it is not there. */
static bool member(const ln_json_value *object, const char *name, ln_json_value *out) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key;
    while (ln_json_next(&it, &key, out))
        if (ln_json_is(&key, ln_slice_str(name))) return true;
    return false;
}

static bool split(checking *c, ln_slice token, ln_slice parts[3]) {
    ln_slice rest = token;
    for (int i = 0; i < 3; i++)
        if (!ln_slice_cut(&rest, '.', &parts[i])) return false;
    c->signed_part = ln_slice_sub(token, 0, parts[0].size + 1 + parts[1].size);
    return rest.data == NULL; /* five parts: encrypted */
}

/* Extensions that must be understood, content that is not encoded, compressed or encrypted: none of
 * it is taken here. Where keys could be fetched (jku, x5u) or stand (jwk, x5c) is not looked at. */
static bool read_header(checking *c) {
    static const char *const refused[] = { "crit", "b64", "zip", "enc" };
    ln_json_value v;
    for (size_t i = 0; i < sizeof refused / sizeof refused[0]; i++)
        if (member(&c->header, refused[i], &v)) return false;
    if (member(&c->header, "kid", &v)) {
        if (v.kind != LN_JSON_STRING) return false;
        c->kid = content(c, &v);
        if (!c->kid.data || c->kid.size > LN_JWS_KID_MAX) return false;
    }
    if (!member(&c->header, "alg", &v) || v.kind != LN_JSON_STRING) return false;
    c->alg = ln_jws_alg_of(content(c, &v));
    return c->alg != LN_JWS_NO_ALG;
}

static ln_jws_fault read(checking *c, ln_slice token) {
    ln_slice parts[3], text;
    ln_json_value v;
    if (!split(c, token, parts)) return LN_JWS_FAULT_FORM;
    if (!decode(c, parts[0], &text) || !object_of(c, text, HEADER_KEYS, &c->header))
        return LN_JWS_FAULT_FORM;
    if (!read_header(c)) return LN_JWS_FAULT_HEADER;
    if (!decode(c, parts[1], &text)) return LN_JWS_FAULT_FORM;
    if (!object_of(c, text, CLAIM_KEYS, &c->claims)) return LN_JWS_FAULT_CLAIMS;
    if (!decode(c, parts[2], &c->signature)) return LN_JWS_FAULT_FORM;
    if (!member(&c->claims, "iss", &v)) return LN_JWS_FAULT_NONE;
    if (v.kind != LN_JSON_STRING) return LN_JWS_FAULT_CLAIMS;
    c->issuer = content(c, &v);
    return c->issuer.data ? LN_JWS_FAULT_NONE : LN_JWS_FAULT_CLAIMS;
}

/* Signature ------------------------------------------------------------------------------- */

/* OpenSSL wants r and s in DER; a token has them side by side, each in its full length. NULL: the
 * length is wrong, or there is no memory. */
static uint8_t *ec_der(const ln_jws_key *k, ln_slice raw, size_t *size) {
    if (raw.size != ln_jws_ec_size((ln_jws_alg)k->alg)) return NULL;
    ECDSA_SIG *sig = ECDSA_SIG_new();
    int half = (int)raw.size / 2;
    BIGNUM *r = BN_bin2bn(raw.data, half, NULL), *s = BN_bin2bn(raw.data + half, half, NULL);
    uint8_t *der = NULL;
    if (sig && r && s && ECDSA_SIG_set0(sig, r, s)) {
        r = s = NULL;
        int n = i2d_ECDSA_SIG(sig, &der);
        *size = n > 0 ? (size_t)n : 0;
    }
    BN_free(r);
    BN_free(s);
    ECDSA_SIG_free(sig);
    return der;
}

static bool padding(EVP_PKEY_CTX *ctx, ln_jws_alg alg) {
    if (ln_jws_family_of(alg) != LN_JWS_FAMILY_PSS) return true;
    return EVP_PKEY_CTX_set_rsa_padding(ctx, RSA_PKCS1_PSS_PADDING) == 1 &&
           EVP_PKEY_CTX_set_rsa_pss_saltlen(ctx, RSA_PSS_SALTLEN_DIGEST) == 1;
}

static bool verified(const ln_jws_key *k, ln_slice bytes, ln_slice signature) {
    ln_jws_alg alg = (ln_jws_alg)k->alg;
    EVP_MD_CTX *ctx = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pctx = NULL;
    bool good = ctx && EVP_DigestVerifyInit_ex(
                           ctx, &pctx, ln_jws_digest_of(alg), NULL, NULL, k->pkey, NULL) == 1;
    good = good && padding(pctx, alg);
    good = good &&
           EVP_DigestVerify(ctx, signature.data, signature.size, bytes.data, bytes.size) == 1;
    EVP_MD_CTX_free(ctx);
    return good;
}

static bool matches(const ln_jws_key *k, const checking *c) {
    if (k->secret) {
        uint8_t mac[EVP_MAX_MD_SIZE];
        size_t size;
        if (ln_jws_mac(k, c->signed_part, mac, &size) < 0) return false;
        return size == c->signature.size && CRYPTO_memcmp(mac, c->signature.data, size) == 0;
    }
    if (ln_jws_family_of((ln_jws_alg)k->alg) != LN_JWS_FAMILY_EC)
        return verified(k, c->signed_part, c->signature);
    size_t size = 0;
    uint8_t *der = ec_der(k, c->signature, &size);
    bool good = der && verified(k, c->signed_part, ln_slice_of(der, size));
    OPENSSL_free(der);
    return good;
}

static bool is_asked(const ln_jws_key *k, const checking *c) {
    if ((ln_jws_alg)k->alg != c->alg) return false;
    if (k->issuer_size && !ln_slice_eq(ln_jws_key_issuer(k), c->issuer)) return false;
    return !c->kid.data || !k->kid_size || ln_slice_eq(ln_jws_key_kid(k), c->kid);
}

static bool try_keys(const ln_jws_keys *keys, const checking *c, uint32_t *tries) {
    for (uint32_t i = 0; keys && i < keys->count && *tries < LN_JWS_TRIES; i++) {
        if (!is_asked(&keys->items[i], c)) continue;
        ++*tries;
        if (matches(&keys->items[i], c)) return true;
    }
    return false;
}

/* Whether it has never heard of the key. One of that name for another algorithm is there, and to
 * fetch it again would not change what it is for; and secrets never come from there. */
static bool lacks_key(const ln_jws_source *s, const checking *c) {
    if (ln_jws_family_of(c->alg) == LN_JWS_FAMILY_HMAC) return false;
    for (uint32_t i = 0; s->keys && i < s->keys->count; i++) {
        const ln_jws_key *k = &s->keys->items[i];
        bool named = c->kid.data && ln_slice_eq(ln_jws_key_kid(k), c->kid);
        if (named || (!c->kid.data && (ln_jws_alg)k->alg == c->alg)) return false;
    }
    return true;
}

/* A token is held against the keys of the issuer it names, and of no other. */
static ln_jws_fault check_signature(
    const ln_jws_keys *keys, const ln_jws_policy *p, const checking *c, uint32_t *lacking) {
    uint32_t tries = 0;
    bool good = try_keys(keys, c, &tries);
    for (uint32_t i = 0; i < p->source_count && !good; i++) {
        const ln_jws_source *s = &p->sources[i];
        if (!c->issuer.data || !ln_slice_eq(s->issuer, c->issuer)) continue;
        good = try_keys(s->keys, c, &tries);
        if (*lacking == LN_JWS_NO_SOURCE && lacks_key(s, c)) *lacking = i;
    }
    ERR_clear_error();
    if (good) return LN_JWS_FAULT_NONE;
    return tries && *lacking == LN_JWS_NO_SOURCE ? LN_JWS_FAULT_SIGNATURE : LN_JWS_FAULT_KEY;
}

/* Claims ---------------------------------------------------------------------------------- */

/* A time is a whole number of seconds. 0: it is not there. */
static bool read_time(const ln_json_value *claims, const char *name, uint64_t *out) {
    ln_json_value v;
    *out = 0;
    if (!member(claims, name, &v)) return true;
    return v.kind == LN_JSON_NUMBER && ln_json_uint(&v, out) && *out > 0;
}

static ln_jws_fault check_times(const ln_json_value *claims, uint64_t now, uint64_t *expires) {
    uint64_t exp, nbf, iat;
    if (!read_time(claims, "exp", &exp) || !read_time(claims, "nbf", &nbf) ||
        !read_time(claims, "iat", &iat) || !exp)
        return LN_JWS_FAULT_CLAIMS;
    if (exp + LN_JWS_SKEW_S <= now) return LN_JWS_FAULT_EXPIRED;
    if (nbf > now + LN_JWS_SKEW_S || iat > now + LN_JWS_SKEW_S) return LN_JWS_FAULT_EARLY;
    *expires = exp;
    return LN_JWS_FAULT_NONE;
}

static bool listed(const ln_slice *list, size_t count, ln_slice text) {
    for (size_t i = 0; i < count; i++)
        if (ln_slice_eq(list[i], text)) return true;
    return false;
}

static ln_jws_fault check_audience(checking *c, const ln_jws_policy *p) {
    ln_json_value aud, key, item;
    if (!p->audience_count) return LN_JWS_FAULT_NONE;
    if (!member(&c->claims, "aud", &aud)) return LN_JWS_FAULT_AUDIENCE;
    if (aud.kind == LN_JSON_STRING)
        return listed(p->audiences, p->audience_count, content(c, &aud)) ? LN_JWS_FAULT_NONE
                                                                         : LN_JWS_FAULT_AUDIENCE;
    if (aud.kind != LN_JSON_ARRAY) return LN_JWS_FAULT_CLAIMS;
    ln_jws_fault fault = LN_JWS_FAULT_AUDIENCE;
    ln_json_iter it = ln_json_iter_of(&aud);
    while (ln_json_next(&it, &key, &item)) {
        if (item.kind != LN_JSON_STRING) return LN_JWS_FAULT_CLAIMS;
        if (listed(p->audiences, p->audience_count, content(c, &item))) fault = LN_JWS_FAULT_NONE;
    }
    return fault;
}

static bool issuer_ok(const checking *c, const ln_jws_policy *p) {
    if (!p->issuer_count) return true;
    return c->issuer.data && listed(p->issuers, p->issuer_count, c->issuer);
}

int ln_jws_check(const ln_jws_keys *keys, const ln_jws_policy *policy, ln_slice token,
    uint64_t now_s, ln_buf *scratch, ln_jws_token *out, ln_jws_fault *fault) {
    *fault = LN_JWS_FAULT_SIZE;
    out->source = LN_JWS_NO_SOURCE;
    if (token.size > LN_JWS_TOKEN_MAX) return LINNET_ERR_DENIED;
    checking c = { .scratch = scratch };
    ln_buf_clear(scratch);
    if (ln_buf_reserve(scratch, LN_JWS_SCRATCH) < 0) return LINNET_ERR_NOMEM;
    *fault = read(&c, token);
    /* Who is not allowed to speak here is not even asked for a signature. */
    if (!*fault && !issuer_ok(&c, policy)) *fault = LN_JWS_FAULT_ISSUER;
    if (!*fault) *fault = check_signature(keys, policy, &c, &out->source);
    if (!*fault) *fault = check_times(&c.claims, now_s, &out->expires);
    if (!*fault) *fault = check_audience(&c, policy);
    if (*fault) return LINNET_ERR_DENIED;
    out->claims = c.claims;
    return LINNET_OK;
}
