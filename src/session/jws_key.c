/* jws_key.c -- keys: where they come from, and which algorithm each is good for. */
#include "session/jws_key.h"
#include "base/b64url.h"
#include "base/mem.h"
#include <assert.h>
#include <openssl/bio.h>
#include <openssl/core_names.h>
#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/hmac.h>
#include <openssl/param_build.h>
#include <openssl/pem.h>

#define RSA_BITS_MIN 2048
#define RSA_BITS_MAX 8192

/* Algorithms ------------------------------------------------------------------------------ */

static const struct {
    ln_slice name;
    const char *digest;
    ln_jws_family family;
} algs[] = { { LN_SLICE_INIT(""), NULL, LN_JWS_FAMILY_HMAC },
#define ROW(name, digest, family) { LN_SLICE_INIT(#name), digest, LN_JWS_FAMILY_##family },
    LN_JWS_ALGS(ROW)
#undef ROW
};
#define ALGS (sizeof algs / sizeof algs[0])

ln_jws_alg ln_jws_alg_of(ln_slice name) {
    if (ln_slice_eq(name, LN_SLICE("Ed25519"))) return LN_JWS_EdDSA;
    for (size_t i = 1; i < ALGS; i++)
        if (ln_slice_eq(name, algs[i].name)) return (ln_jws_alg)i;
    return LN_JWS_NO_ALG;
}

const char *ln_jws_alg_name(ln_jws_alg alg) {
    return (const char *)algs[alg].name.data;
}

ln_jws_family ln_jws_family_of(ln_jws_alg alg) {
    return algs[alg].family;
}

const char *ln_jws_digest_of(ln_jws_alg alg) {
    return algs[alg].digest;
}

size_t ln_jws_ec_size(ln_jws_alg alg) {
    if (alg == LN_JWS_ES256) return 64;
    return alg == LN_JWS_ES384 ? 96 : 132;
}

/* One key --------------------------------------------------------------------------------- */

static int refuse(const char **why, const char *words) {
    *why = words;
    return LINNET_ERR_INVAL;
}

static int take_name(ln_jws_key *k, const ln_jws_name *name, const char **why) {
    if (name->kid.size > LN_JWS_KID_MAX) return refuse(why, "its kid is over 128 bytes");
    if (name->issuer.size > LN_JWS_ISSUER_MAX) return refuse(why, "its issuer is over 255 bytes");
    k->kid_size = (uint8_t)name->kid.size;
    k->issuer_size = (uint8_t)name->issuer.size;
    if (name->kid.size) memcpy(k->kid, name->kid.data, name->kid.size);
    if (name->issuer.size) memcpy(k->issuer, name->issuer.data, name->issuer.size);
    return LINNET_OK;
}

int ln_jws_key_secret(ln_jws_key *k, const ln_jws_name *name, ln_slice secret, const char **why) {
    ln_jws_alg alg = name->alg ? name->alg : LN_JWS_HS256;
    if (ln_jws_family_of(alg) != LN_JWS_FAMILY_HMAC)
        return refuse(why, "a secret is for HS256, HS384 or HS512");
    if (secret.size < LN_JWS_SECRET_MIN) return refuse(why, "a secret has at least 32 bytes");
    if (secret.size > LN_JWS_SECRET_MAX) return refuse(why, "a secret has at most 4096 bytes");
    int err = take_name(k, name, why);
    if (err < 0) return err;
    k->secret = ln_malloc(secret.size);
    if (!k->secret) return LINNET_ERR_NOMEM;
    memcpy(k->secret, secret.data, secret.size);
    k->secret_size = (uint32_t)secret.size;
    k->alg = (uint8_t)alg;
    return LINNET_OK;
}

static ln_jws_alg curve_alg(const EVP_PKEY *pkey) {
    static const struct {
        const char *name;
        ln_jws_alg alg;
    } curves[] = {
        { "prime256v1", LN_JWS_ES256 },
        { "secp384r1", LN_JWS_ES384 },
        { "secp521r1", LN_JWS_ES512 },
    };
    char group[32];
    size_t size;
    if (EVP_PKEY_get_utf8_string_param(
            pkey, OSSL_PKEY_PARAM_GROUP_NAME, group, sizeof group, &size) != 1)
        return LN_JWS_NO_ALG;
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (strcmp(group, curves[i].name) == 0) return curves[i].alg;
    return LN_JWS_NO_ALG;
}

static bool is_rsa_alg(ln_jws_alg alg) {
    ln_jws_family family = ln_jws_family_of(alg);
    return alg && (family == LN_JWS_FAMILY_RSA || family == LN_JWS_FAMILY_PSS);
}

/* What a key of this kind is for, and nothing else. */
static int pin(const EVP_PKEY *pkey, ln_jws_alg asked, uint8_t *out, const char **why) {
    ln_jws_alg alg = LN_JWS_NO_ALG;
    if (EVP_PKEY_is_a(pkey, "RSA")) {
        int bits = EVP_PKEY_get_bits(pkey);
        if (bits < RSA_BITS_MIN) return refuse(why, "an RSA key has at least 2048 bits");
        if (bits > RSA_BITS_MAX) return refuse(why, "an RSA key has at most 8192 bits");
        alg = is_rsa_alg(asked) ? asked : LN_JWS_RS256;
    } else if (EVP_PKEY_is_a(pkey, "EC")) {
        alg = curve_alg(pkey);
    } else if (EVP_PKEY_is_a(pkey, "ED25519")) {
        alg = LN_JWS_EdDSA;
    }
    if (!alg) return refuse(why, "a key is RSA, P-256, P-384, P-521 or Ed25519");
    if (asked && asked != alg) return refuse(why, "the algorithm does not fit the key");
    *out = (uint8_t)alg;
    return LINNET_OK;
}

int ln_jws_key_pkey(ln_jws_key *k, const ln_jws_name *name, EVP_PKEY *pkey, const char **why) {
    int err = pin(pkey, name->alg, &k->alg, why);
    if (err == LINNET_OK) err = take_name(k, name, why);
    if (err < 0)
        EVP_PKEY_free(pkey);
    else
        k->pkey = pkey;
    return err;
}

void ln_jws_key_fini(ln_jws_key *k) {
    EVP_PKEY_free(k->pkey);
    if (k->secret) OPENSSL_cleanse(k->secret, k->secret_size);
    ln_free(k->secret);
    *k = (ln_jws_key){ 0 };
}

int ln_jws_mac(const ln_jws_key *k, ln_slice bytes, uint8_t out[EVP_MAX_MD_SIZE], size_t *size) {
    size_t length = 0;
    const char *digest = ln_jws_digest_of((ln_jws_alg)k->alg);
    if (!EVP_Q_mac(NULL, "HMAC", NULL, digest, NULL, k->secret, k->secret_size, bytes.data,
            bytes.size, out, EVP_MAX_MD_SIZE, &length)) {
        ERR_clear_error();
        return LINNET_ERR_NOMEM;
    }
    *size = length;
    return LINNET_OK;
}

/* A set ----------------------------------------------------------------------------------- */

int ln_jws_keys_new(ln_jws_keys **out) {
    ln_jws_keys *keys = ln_calloc(1, sizeof *keys);
    if (!keys) return LINNET_ERR_NOMEM;
    ln_ref_init(&keys->refs, 1);
    *out = keys;
    return LINNET_OK;
}

void ln_jws_keys_ref(ln_jws_keys *keys) {
    ln_ref_get(&keys->refs, 1);
}

/* From the `count`th on. */
static void cut(ln_jws_keys *keys, uint32_t count) {
    while (keys->count > count)
        ln_jws_key_fini(&keys->items[--keys->count]);
}

void ln_jws_keys_unref(ln_jws_keys *keys) {
    if (!keys || !ln_ref_put(&keys->refs)) return;
    cut(keys, 0);
    ln_free(keys);
}

uint32_t ln_jws_keys_count(const ln_jws_keys *keys) {
    return keys->count;
}

int ln_jws_keys_secret(
    ln_jws_keys *keys, const ln_jws_name *name, ln_slice secret, const char **why) {
    if (keys->count == LN_JWS_KEYS_MAX) return LINNET_ERR_LIMIT;
    int err = ln_jws_key_secret(&keys->items[keys->count], name, secret, why);
    if (err == LINNET_OK) keys->count++;
    return err;
}

static int add(ln_jws_keys *keys, const ln_jws_name *name, EVP_PKEY *pkey, const char **why) {
    if (keys->count == LN_JWS_KEYS_MAX) {
        EVP_PKEY_free(pkey);
        return LINNET_ERR_LIMIT;
    }
    int err = ln_jws_key_pkey(&keys->items[keys->count], name, pkey, why);
    if (err == LINNET_OK) keys->count++;
    return err;
}

/* PEM ------------------------------------------------------------------------------------- */

static bool has(ln_slice text, const char *word) {
    return memmem(text.data, text.size, word, strlen(word)) != NULL;
}

int ln_jws_keys_pem(ln_jws_keys *keys, const ln_jws_name *name, ln_slice pem, const char **why) {
    if (pem.size == 0 || pem.size > LN_BUF_MAX) return refuse(why, "there is no key in it");
    if (has(pem, "PRIVATE KEY-----"))
        return refuse(why, "it holds a private key; to check tokens the public one is enough");
    BIO *bio = BIO_new_mem_buf(pem.data, (int)pem.size);
    if (!bio) return LINNET_ERR_NOMEM;
    uint32_t before = keys->count;
    int err = LINNET_OK;
    for (EVP_PKEY *pkey; err == LINNET_OK && (pkey = PEM_read_bio_PUBKEY(bio, NULL, NULL, NULL));)
        err = add(keys, name, pkey, why);
    ERR_clear_error();
    BIO_free(bio);
    if (err == LINNET_OK && keys->count == before)
        err = refuse(why, "there is no PEM public key in it");
    if (err < 0) cut(keys, before);
    return err;
}

/* JWK ------------------------------------------------------------------------------------- */

typedef enum member { KTY, KID, ALG, USE, OPS, CRV, N, E, X, Y, K, D, MEMBERS } member;

typedef struct jwk {
    ln_json_value m[MEMBERS]; /* raw empty: not there */
    ln_buf bytes;             /* decoded values */
    const char **why;
    bool foreign; /* of a set that somebody else may change */
} jwk;

static const ln_slice member_names[MEMBERS] = { LN_SLICE_INIT("kty"), LN_SLICE_INIT("kid"),
    LN_SLICE_INIT("alg"), LN_SLICE_INIT("use"), LN_SLICE_INIT("key_ops"), LN_SLICE_INIT("crv"),
    LN_SLICE_INIT("n"), LN_SLICE_INIT("e"), LN_SLICE_INIT("x"), LN_SLICE_INIT("y"),
    LN_SLICE_INIT("k"), LN_SLICE_INIT("d") };

static int collect(jwk *j, const ln_json_value *object) {
    ln_json_iter it = ln_json_iter_of(object);
    ln_json_value key, value;
    while (ln_json_next(&it, &key, &value)) {
        for (int i = 0; i < MEMBERS; i++) {
            if (!ln_json_is(&key, member_names[i])) continue;
            if (j->m[i].raw.size) return refuse(j->why, "a member of a key stands twice");
            if (i != OPS && value.kind != LN_JSON_STRING)
                return refuse(j->why, "a member of a key is not a string");
            j->m[i] = value;
        }
    }
    return LINNET_OK;
}

static bool is(const jwk *j, member m, const char *word) {
    return j->m[m].raw.size && ln_json_is(&j->m[m], ln_slice_str(word));
}

static bool for_signatures(const jwk *j) {
    if (j->m[USE].raw.size && !is(j, USE, "sig")) return false;
    if (!j->m[OPS].raw.size) return true;
    if (j->m[OPS].kind != LN_JSON_ARRAY) return false;
    ln_json_iter it = ln_json_iter_of(&j->m[OPS]);
    ln_json_value key, op;
    while (ln_json_next(&it, &key, &op))
        if (op.kind == LN_JSON_STRING && ln_json_is(&op, LN_SLICE("verify"))) return true;
    return false;
}

/* The bytes of a member, behind what was decoded before. bytes must not move: room was made. */
static int bytes_of(jwk *j, member m, ln_slice *out) {
    uint32_t before = j->bytes.size;
    if (!j->m[m].raw.size) return refuse(j->why, "a member of a key is missing");
    if (ln_b64url_get(j->m[m].text, &j->bytes) < 0)
        return refuse(j->why, "a member of a key is not base64url");
    ln_slice all = ln_buf_slice(&j->bytes);
    *out = ln_slice_sub(all, before, all.size);
    return LINNET_OK;
}

static int from_params(const char *type, OSSL_PARAM_BLD *build, EVP_PKEY **out) {
    OSSL_PARAM *params = OSSL_PARAM_BLD_to_param(build);
    EVP_PKEY_CTX *ctx = params ? EVP_PKEY_CTX_new_from_name(NULL, type, NULL) : NULL;
    int err = ctx ? LINNET_ERR_INVAL : LINNET_ERR_NOMEM;
    if (ctx && EVP_PKEY_fromdata_init(ctx) == 1 &&
        EVP_PKEY_fromdata(ctx, out, EVP_PKEY_PUBLIC_KEY, params) == 1)
        err = LINNET_OK;
    EVP_PKEY_CTX_free(ctx);
    OSSL_PARAM_free(params);
    return err;
}

static int rsa_key(jwk *j, EVP_PKEY **out) {
    ln_slice n, e;
    int err = bytes_of(j, N, &n);
    if (err == LINNET_OK) err = bytes_of(j, E, &e);
    if (err < 0) return err;
    if (n.size > RSA_BITS_MAX / 8 + 1 || e.size > 8)
        return refuse(j->why, "an RSA key has at most 8192 bits");
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    BIGNUM *bn = BN_bin2bn(n.data, (int)n.size, NULL), *be = BN_bin2bn(e.data, (int)e.size, NULL);
    err = LINNET_ERR_NOMEM;
    if (build && bn && be && OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_N, bn) &&
        OSSL_PARAM_BLD_push_BN(build, OSSL_PKEY_PARAM_RSA_E, be))
        err = from_params("RSA", build, out);
    OSSL_PARAM_BLD_free(build);
    BN_free(bn);
    BN_free(be);
    return err;
}

/* The curve's name to OpenSSL and the bytes of a coordinate; NULL: another curve. */
static const char *curve_of(const jwk *j, size_t *size) {
    if (is(j, CRV, "P-256")) return *size = 32, "prime256v1";
    if (is(j, CRV, "P-384")) return *size = 48, "secp384r1";
    if (is(j, CRV, "P-521")) return *size = 66, "secp521r1";
    return NULL;
}

/* That the point lies on the curve is what keeps a forged key from leaking anything. */
static int checked_point(EVP_PKEY **pkey) {
    EVP_PKEY_CTX *ctx = EVP_PKEY_CTX_new_from_pkey(NULL, *pkey, NULL);
    int err = !ctx                              ? LINNET_ERR_NOMEM
              : EVP_PKEY_public_check(ctx) == 1 ? LINNET_OK
                                                : LINNET_ERR_INVAL;
    EVP_PKEY_CTX_free(ctx);
    if (err < 0) {
        EVP_PKEY_free(*pkey);
        *pkey = NULL;
    }
    return err;
}

static int ec_key(jwk *j, EVP_PKEY **out) {
    size_t size = 0;
    const char *curve = curve_of(j, &size);
    if (!curve) return LN_DONE;
    ln_slice x, y;
    int err = bytes_of(j, X, &x);
    if (err == LINNET_OK) err = bytes_of(j, Y, &y);
    if (err < 0) return err;
    if (x.size != size || y.size != size)
        return refuse(j->why, "a coordinate does not have the length of its curve");
    uint8_t point[1 + 2 * 66] = { 4 };
    memcpy(point + 1, x.data, size);
    memcpy(point + 1 + size, y.data, size);
    OSSL_PARAM_BLD *build = OSSL_PARAM_BLD_new();
    err = LINNET_ERR_NOMEM;
    if (build && OSSL_PARAM_BLD_push_utf8_string(build, OSSL_PKEY_PARAM_GROUP_NAME, curve, 0) &&
        OSSL_PARAM_BLD_push_octet_string(build, OSSL_PKEY_PARAM_PUB_KEY, point, 1 + 2 * size))
        err = from_params("EC", build, out);
    OSSL_PARAM_BLD_free(build);
    return err < 0 ? err : checked_point(out);
}

static int ed_key(jwk *j, EVP_PKEY **out) {
    if (!is(j, CRV, "Ed25519")) return LN_DONE;
    ln_slice x;
    int err = bytes_of(j, X, &x);
    if (err < 0) return err;
    *out = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, x.data, x.size);
    return *out ? LINNET_OK : LINNET_ERR_INVAL;
}

/* name: with the kid and algorithm of this key. A *pkey of NULL: it is of no use here. */
static int public_key(jwk *j, EVP_PKEY **pkey) {
    if (j->m[D].raw.size)
        return refuse(j->why, "it holds a private key; to check tokens the public one is enough");
    int err = LN_DONE;
    if (is(j, KTY, "RSA")) err = rsa_key(j, pkey);
    if (is(j, KTY, "EC")) err = ec_key(j, pkey);
    if (is(j, KTY, "OKP")) err = ed_key(j, pkey);
    if (err == LINNET_ERR_INVAL && !*j->why) *j->why = "a key whose numbers are no key";
    ERR_clear_error();
    return err;
}

static int add_jwk(ln_jws_keys *keys, ln_jws_name *name, jwk *j) {
    const ln_json_value *alg = &j->m[ALG], *kid = &j->m[KID];
    ln_jws_alg usual = name->alg;
    if (alg->raw.size && !(name->alg = ln_jws_alg_of(alg->text))) return LINNET_OK;
    if (kid->raw.size) {
        uint32_t before = j->bytes.size;
        int err = ln_json_unescape(kid, &j->bytes);
        if (err < 0) return err;
        ln_slice all = ln_buf_slice(&j->bytes);
        name->kid = ln_slice_sub(all, before, all.size);
    }
    if (j->foreign && (is(j, KTY, "oct") || !name->alg)) return LINNET_OK;
    if (is(j, KTY, "oct")) {
        ln_slice secret;
        int err = bytes_of(j, K, &secret);
        if (!alg->raw.size && ln_jws_family_of(usual) != LN_JWS_FAMILY_HMAC) name->alg = 0;
        return err < 0 ? err : ln_jws_keys_secret(keys, name, secret, j->why);
    }
    EVP_PKEY *pkey = NULL;
    int err = public_key(j, &pkey);
    if (err < 0 || !pkey) return err < 0 ? err : LINNET_OK;
    /* What was asked for all keys of a set can only be meant for those it fits. */
    bool rsa = EVP_PKEY_is_a(pkey, "RSA");
    if (!j->foreign && !alg->raw.size && is_rsa_alg(usual) != rsa) name->alg = LN_JWS_NO_ALG;
    return add(keys, name, pkey, j->why);
}

static int one_jwk(ln_jws_keys *keys, const ln_jws_name *name, const ln_json_value *v, bool foreign,
    const char **why) {
    if (v->kind != LN_JSON_OBJECT) return refuse(why, "a key is a JSON object");
    jwk j = { .why = why, .foreign = foreign };
    int err = collect(&j, v);
    if (err < 0) return err;
    if (!for_signatures(&j)) return LINNET_OK;
    ln_jws_name own = { .issuer = name->issuer, .alg = name->alg };
    ln_buf_init(&j.bytes, LN_BUF_MAX);
    err = ln_buf_reserve(&j.bytes, 2 * v->raw.size + 16); /* it must not move */
    if (err == LINNET_OK) err = add_jwk(keys, &own, &j);
    if (j.bytes.data) OPENSSL_cleanse(j.bytes.data, j.bytes.capacity);
    ln_buf_fini(&j.bytes);
    return err;
}

static int set_of_jwk(ln_jws_keys *keys, const ln_jws_name *name, const ln_json_value *list,
    const ln_json_value *issuer, const char **why) {
    ln_buf text;
    ln_buf_init(&text, LN_BUF_MAX);
    ln_jws_name own = *name;
    int err = LINNET_OK;
    if (issuer->raw.size && !name->issuer.size) {
        err = ln_json_unescape(issuer, &text);
        own.issuer = ln_buf_slice(&text);
    }
    ln_json_iter it = ln_json_iter_of(list);
    ln_json_value key, item;
    while (err == LINNET_OK && ln_json_next(&it, &key, &item))
        err = one_jwk(keys, &own, &item, false, why);
    ln_buf_fini(&text);
    return err;
}

/* Finds the keys of a set, and its issuer; raw empty: not there. Why that cannot be; or NULL. */
static const char *list_of(
    ln_slice json, ln_json_value *top, ln_json_value *list, ln_json_value *issuer) {
    ln_json_value key, value;
    if (ln_json_check(json, top) < 0 || top->kind != LN_JSON_OBJECT)
        return "it is not a JSON object";
    for (ln_json_iter it = ln_json_iter_of(top); ln_json_next(&it, &key, &value);) {
        if (ln_json_is(&key, LN_SLICE("keys"))) *list = value;
        if (ln_json_is(&key, LN_SLICE("issuer"))) *issuer = value;
    }
    return list->raw.size && list->kind != LN_JSON_ARRAY ? "its keys are not an array" : NULL;
}

int ln_jws_keys_jwk(ln_jws_keys *keys, const ln_jws_name *name, ln_slice json, const char **why) {
    *why = NULL;
    ln_json_value top, list = { 0 }, issuer = { 0 };
    const char *wrong = list_of(json, &top, &list, &issuer);
    if (wrong) return refuse(why, wrong);
    if (issuer.raw.size && issuer.kind != LN_JSON_STRING)
        return refuse(why, "its issuer is not a string");
    uint32_t before = keys->count;
    int err = list.raw.size ? set_of_jwk(keys, name, &list, &issuer, why)
                            : one_jwk(keys, name, &top, false, why);
    if (err == LINNET_OK && keys->count == before)
        err = refuse(why, "there is no key for signatures in it");
    if (err < 0) cut(keys, before);
    return err;
}

int ln_jws_keys_foreign(
    ln_jws_keys *keys, const ln_jws_name *name, ln_slice json, const char **why) {
    ln_json_value top, list = { 0 }, issuer = { 0 }, key, item;
    const char *wrong = list_of(json, &top, &list, &issuer), *ignored = NULL;
    *why = NULL;
    if (wrong || !list.raw.size) return refuse(why, wrong ? wrong : "it is no set of keys");
    uint32_t before = keys->count;
    int err = LINNET_OK;
    ln_json_iter it = ln_json_iter_of(&list);
    while ((err == LINNET_OK || err == LINNET_ERR_INVAL) && ln_json_next(&it, &key, &item))
        err = one_jwk(keys, name, &item, true, &ignored);
    if (err == LINNET_ERR_INVAL) err = LINNET_OK;
    if (err == LINNET_ERR_LIMIT) *why = "there are more than 64 keys in it";
    if (err == LINNET_OK && keys->count == before)
        err = refuse(why, "there is no key for signatures in it");
    if (err < 0) cut(keys, before);
    return err;
}
