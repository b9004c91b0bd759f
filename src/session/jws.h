/* jws.h -- signed tokens (JWS compact, RFC 7515; JWT, RFC 7519): keys, checking, making.
 *
 * No file, no network, no clock: key material comes as bytes and `now` is an argument.
 *
 * What makes a token good is decided here and not by the token. Every key is pinned to one
 * algorithm, and perhaps to an issuer, when it is added; a token whose header names another
 * algorithm is no token of that key (RFC 8725, 3.1). So "none" matches nothing, and a public key is
 * never taken for an HMAC secret. What a header says about keys elsewhere (jku, x5u, jwk, x5c) is
 * not looked at.
 *
 * Which keys are asked. A token with a `kid` is checked by the keys of that very name, and by keys
 * that were given without a name; a token without one by every key of its algorithm, at most
 * LN_JWS_TRIES. A key with an issuer is asked only for tokens that name it: two issuers may use the
 * same kid. Keys are few and never change: a reload makes another set.
 *
 * Sources. The keys of an issuer may come from elsewhere, and others later (lib/keyring.h). For who
 * checks, a source is an issuer and the set that came last. A token whose issuer has a source that
 * lacks its key is told apart from other bad ones, because its key may be on its way.
 */
#ifndef LN_SESSION_JWS_H
#define LN_SESSION_JWS_H
#include "base/json.h"
#include "base/ref.h"

#define LN_JWS_TOKEN_MAX  4096 /* bytes of a token */
#define LN_JWS_SCRATCH    8192 /* bytes that checking one needs at most */
#define LN_JWS_KID_MAX    128
#define LN_JWS_ISSUER_MAX 255
#define LN_JWS_KEYS_MAX   64
#define LN_JWS_TRIES      8    /* signatures checked for one token at most */
#define LN_JWS_SECRET_MIN 32   /* bytes (THREATS row 92) */
#define LN_JWS_SECRET_MAX 4096 /* bytes */
#define LN_JWS_SKEW_S     30

/* Each: name in the header, digest, how it signs. */
#define LN_JWS_ALGS(X)                                                                             \
    X(HS256, "SHA256", HMAC)                                                                       \
    X(HS384, "SHA384", HMAC)                                                                       \
    X(HS512, "SHA512", HMAC)                                                                       \
    X(RS256, "SHA256", RSA)                                                                        \
    X(RS384, "SHA384", RSA)                                                                        \
    X(RS512, "SHA512", RSA)                                                                        \
    X(PS256, "SHA256", PSS)                                                                        \
    X(PS384, "SHA384", PSS)                                                                        \
    X(PS512, "SHA512", PSS)                                                                        \
    X(ES256, "SHA256", EC)                                                                         \
    X(ES384, "SHA384", EC)                                                                         \
    X(ES512, "SHA512", EC)                                                                         \
    X(EdDSA, NULL, ED)

typedef enum ln_jws_alg {
    LN_JWS_NO_ALG, /* as an argument: what is usual for the key (HS256, RS256, or its curve's) */
#define LN_JWS_ENUM(name, digest, family) LN_JWS_##name,
    LN_JWS_ALGS(LN_JWS_ENUM)
#undef LN_JWS_ENUM
} ln_jws_alg;
/* LN_JWS_NO_ALG: there is none of that name. "Ed25519" is EdDSA (RFC 9864). */
ln_jws_alg ln_jws_alg_of(ln_slice name);
const char *ln_jws_alg_name(ln_jws_alg alg);

/* Why a token was not taken, each with words for whoever may read them. */
#define LN_JWS_FAULTS(X)                                                                           \
    X(NONE, "good")                                                                                \
    X(SIZE, "longer than 4096 bytes")                                                              \
    X(FORM, "not a signed token of three parts")                                                   \
    X(HEADER, "a header that is not taken")                                                        \
    X(KEY, "no key for it")                                                                        \
    X(SIGNATURE, "a signature that does not match")                                                \
    X(CLAIMS, "claims that are missing or malformed")                                              \
    X(EXPIRED, "expired")                                                                          \
    X(EARLY, "not valid yet")                                                                      \
    X(ISSUER, "another issuer")                                                                    \
    X(AUDIENCE, "another audience")                                                                \
    X(REVOKED, "revoked")                                                                          \
    X(BANNED, "of somebody who may not be here")
typedef enum ln_jws_fault {
#define LN_JWS_ENUM(name, words) LN_JWS_FAULT_##name,
    LN_JWS_FAULTS(LN_JWS_ENUM)
#undef LN_JWS_ENUM
        LN_JWS_FAULT_COUNT
} ln_jws_fault;
const char *ln_jws_fault_words(ln_jws_fault fault);

/* Keys that check, shared by the workers of a node once they are all in. */
typedef struct ln_jws_keys ln_jws_keys;
typedef struct ln_jws_name { /* of a key; empty: none */
    ln_slice kid, issuer;
    ln_jws_alg alg;
} ln_jws_name;

/* One reference. LINNET_ERR_NOMEM. */
int ln_jws_keys_new(ln_jws_keys **out);
void ln_jws_keys_ref(ln_jws_keys *keys);
/* NULL is allowed. Secrets are wiped with the last one. */
void ln_jws_keys_unref(ln_jws_keys *keys);
uint32_t ln_jws_keys_count(const ln_jws_keys *keys);
/* All three add to a set nobody else has yet, and on failure add nothing: LINNET_ERR_INVAL with
 * *why (static words), LINNET_ERR_LIMIT (too many keys), LINNET_ERR_NOMEM. All is copied.
 *
 * A secret for HMAC, the bytes as they are: LN_JWS_SECRET_MIN to LN_JWS_SECRET_MAX. */
int ln_jws_keys_secret(
    ln_jws_keys *keys, const ln_jws_name *name, ln_slice secret, const char **why);
/* Every public key in a PEM text ("PUBLIC KEY"): RSA of 2048 to 8192 bits, P-256, P-384, P-521,
 * Ed25519. A private key is refused: it does not belong where tokens are only checked. */
int ln_jws_keys_pem(ln_jws_keys *keys, const ln_jws_name *name, ln_slice pem, const char **why);
/* A JSON Web Key or a set of them (RFC 7517), with their own kid and alg; keys that are for
 * something else than signatures, or of a kind unknown here, are left out. A member "issuer" of the
 * set pins its keys to that issuer, unless name->issuer does. */
int ln_jws_keys_jwk(ln_jws_keys *keys, const ln_jws_name *name, ln_slice json, const char **why);

/* As ln_jws_keys_jwk, for a set that somebody else may change: its keys are for name->issuer,
 * whatever it says itself. What is no key for signatures here is left out: one that is malformed,
 * private or a secret, one of another kind, one without an algorithm unless name->alg fits it. */
int ln_jws_keys_foreign(
    ln_jws_keys *keys, const ln_jws_name *name, ln_slice json, const char **why);

#define LN_JWS_SOURCES_MAX 16
typedef struct ln_jws_source { /* borrowed */
    ln_slice issuer;
    const ln_jws_keys *keys; /* NULL: none have come yet */
} ln_jws_source;

typedef struct ln_jws_policy { /* what is wanted of claims; slices are borrowed */
    const ln_slice *issuers;   /* compared byte by byte; none: any, or none at all */
    size_t issuer_count;
    const ln_slice *audiences; /* one of them must be in `aud`; none: `aud` is not looked at */
    size_t audience_count;
    const ln_jws_source *sources; /* keys beside those that never change */
    size_t source_count;
} ln_jws_policy;

#define LN_JWS_NO_SOURCE UINT32_MAX

/* What a good token says. Slices lie in the scratch it was checked with. */
typedef struct ln_jws_token {
    ln_json_value claims; /* an object, checked; no key of it is there twice */
    uint64_t expires;     /* `exp`, seconds since 1970: it is always there */
    uint32_t source;      /* of one with LN_JWS_FAULT_KEY: the source that does not have its key, so
                           * that it may get it; LN_JWS_NO_SOURCE: there is none for its issuer */
} ln_jws_token;

/* Checks a token: signature, times (30 s of skew), issuer, audience. now_s: seconds since 1970.
 * scratch: its maximum is at least LN_JWS_SCRATCH; what it held is gone. LINNET_OK;
 * LINNET_ERR_DENIED with *fault; LINNET_ERR_NOMEM. */
int ln_jws_check(const ln_jws_keys *keys, const ln_jws_policy *policy, ln_slice token,
    uint64_t now_s, ln_buf *scratch, ln_jws_token *out, ln_jws_fault *fault);

/* A key that signs. */
typedef struct ln_jws_signer ln_jws_signer;
/* From a secret, or from a PEM text with one unencrypted private key. Errors as for keys. */
int ln_jws_signer_secret(
    const ln_jws_name *name, ln_slice secret, ln_jws_signer **out, const char **why);
int ln_jws_signer_pem(const ln_jws_name *name, ln_slice pem, ln_jws_signer **out, const char **why);
void ln_jws_signer_free(ln_jws_signer *signer); /* NULL is allowed */
ln_jws_alg ln_jws_signer_alg(const ln_jws_signer *signer);
/* Appends the token for some claims (a JSON object, not looked at). LINNET_ERR_NOMEM,
 * LINNET_ERR_TOO_BIG. */
int ln_jws_sign(const ln_jws_signer *signer, ln_slice claims, ln_buf *out);
#endif
