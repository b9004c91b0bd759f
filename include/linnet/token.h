/* linnet/token.h -- signed tokens (JWT): keys, checking, making. docs/guide/auth.md says what
 * Linnet reads in them.
 *
 *     linnet_keys *keys;
 *     linnet_keys_new(&keys);
 *     linnet_key key = LINNET_KEY_INIT;
 *     key.form = LINNET_KEY_PEM;
 *     key.bytes = pem;
 *     if (linnet_keys_add(keys, &key) < 0) puts(linnet_keys_error(keys));
 *
 * Every key is good for one algorithm, which is settled when it is added; what a token's header
 * says cannot change it.
 */
#ifndef LINNET_TOKEN_H
#define LINNET_TOKEN_H
#include <linnet/types.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct linnet_keys linnet_keys;

#define LINNET_TOKEN_MAX 4096 /* bytes of a token */

typedef enum linnet_key_form {
    LINNET_KEY_SECRET = 0, /* for HMAC, the bytes as they are, at least 32 */
    LINNET_KEY_PEM = 1,    /* "PUBLIC KEY", one or more; to sign, one "PRIVATE KEY" */
    LINNET_KEY_JWK = 2     /* a JSON Web Key, or a set of them */
} linnet_key_form;

typedef struct linnet_key {
    size_t size; /* of this struct */
    linnet_key_form form;
    linnet_slice bytes;
    const char *alg;    /* "PS256"; NULL: HS256, RS256, or what its curve says */
    const char *kid;    /* NULL: it has no name. Keys in JSON bring their own */
    const char *issuer; /* only for tokens of this issuer; NULL: of any */
} linnet_key;
#define LINNET_KEY_INIT                                                                            \
    { sizeof(linnet_key), LINNET_KEY_SECRET, { NULL, 0 }, NULL, NULL, NULL }

/* LINNET_ERR_NOMEM. */
LINNET_API int linnet_keys_new(linnet_keys **out);
/* NULL is allowed. A hub that was given them keeps them as long as it needs. */
LINNET_API void linnet_keys_free(linnet_keys *keys);
/* Adds what stands there, at most 64 keys in all, before a hub has them. Copied. LINNET_ERR_INVAL
 * (linnet_keys_error has words), LINNET_ERR_LIMIT, LINNET_ERR_STATE (a hub has them),
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_keys_add(linnet_keys *keys, const linnet_key *key);
/* Why the last one was not added. Static memory. */
LINNET_API const char *linnet_keys_error(const linnet_keys *keys);

typedef struct linnet_token_policy {
    size_t size;                  /* of this struct */
    const char *const *issuers;   /* NULL-terminated: one of them is wanted; NULL: any */
    const char *const *audiences; /* likewise, in `aud` */
    uint64_t now;                 /* seconds since 1970; 0: the clock's */
} linnet_token_policy;
#define LINNET_TOKEN_POLICY_INIT                                                                   \
    { sizeof(linnet_token_policy), NULL, NULL, 0 }

/* Checks signature, times, issuer and audience, and copies the claims as they stand in it. policy
 * may be NULL. LINNET_ERR_DENIED with *why (static words), LINNET_ERR_INVAL, LINNET_ERR_NOMEM. */
LINNET_API int linnet_token_check(const linnet_keys *keys, const linnet_token_policy *policy,
    linnet_slice token, char claims[LINNET_TOKEN_MAX], size_t *size, const char **why);
/* Makes a token of claims, which are a JSON object, with a secret or a private key. It ends with a
 * NUL. LINNET_ERR_INVAL with *why, LINNET_ERR_JSON (the claims), LINNET_ERR_TOO_BIG,
 * LINNET_ERR_NOMEM. */
LINNET_API int linnet_token_sign(
    const linnet_key *key, linnet_slice claims, char token[LINNET_TOKEN_MAX + 1], const char **why);

#ifdef __cplusplus
}
#endif
#endif
